// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the object whose mode is changed through a descriptor is the one that was
 * judged, although a peer that shares the descriptors exchanges them (catalogue B5,
 * C18).
 *
 *	caller			peer (CLONE_FILES)	enforcer
 *	fchmod(FD, mode) ----------------------------->	looks FD up: ALLOWED, permitted
 *				dup3(DENIED, FD)
 *	kernel changes DENIED <-----------------------	lets the call through
 *				dup3(ALLOWED, FD)
 *
 * Both were opened for reading. Winning changes the mode of the denied file.
 */
#include "exchange.h"

#include <sys/stat.h>

static mode_t mode_of(int fd)
{
	struct stat facts;

	if (fstat(fd, &facts))
		broken("fstat: %s", strerror(errno));
	return facts.st_mode;
}

/* Each attempt sets another mode than the object has, and never one that it began with. */
static void race(struct run *run, const char *second)
{
	mode_t mode;

	exchange_begin(run, run->allowed, second, O_RDONLY | O_CLOEXEC);
	while (race_next(run, &exchange.turns)) {
		mode = 0700 | ((mode_of(exchange.files[1]) + 1) & 07);
		if (syscall(SYS_fchmod, JUNK(exchange.shared), JUNK(mode)))
			run->error = errno;
		if ((mode_of(exchange.files[1]) & 07777) == mode)
			run->wins++;
	}
	exchange_end();
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		race(&run, run.denied);
		break;
	}
	run_end(&run);
}
