// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: nothing that the target holds is what its policy is read from
 * (catalogue D18).
 *
 *	target				enforcer
 *	openat(DENIED)			reads its policy: denied
 *	ftruncate(every descriptor that it did not open)
 *	openat(DENIED)			reads its policy: nothing is left of it
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#define MOST_DESCRIPTORS 256

static void empty_what_was_inherited(void)
{
	for (int fd = STDERR_FILENO + 1; fd < MOST_DESCRIPTORS; fd++) {
		struct stat found;

		if (!fstat(fd, &found) && S_ISREG(found.st_mode) && ftruncate(fd, 0))
			continue; /* not writable, or sealed: the next one */
	}
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		empty_what_was_inherited();
		run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
