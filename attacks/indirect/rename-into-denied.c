// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a file that may not be written cannot be replaced by rename either
 * (catalogue B9).
 *
 *	openat(DIR/new, O_WRONLY)	permitted
 *	renameat2(DIR/new, DENIED)	never looked at by those who watch open
 *
 * A win replaces the denied file by one that holds the run's nonce.
 */
#include "attack.h"

#ifndef SYS_renameat2
#error "renameat2 needs headers of Linux 3.15 or later"
#endif

static void write_nonce(struct run *run, const char *name, int flags)
{
	int fd = raw_open(name, O_WRONLY | O_TRUNC | flags);

	if (fd < 0) {
		run->error = errno;
		return;
	}
	if (write(fd, run->nonce, strlen(run->nonce)) < 0)
		broken("write %s: %s", name, strerror(errno));
	close(fd);
	run->wins++;
}

static void replace(struct run *run, const char *victim)
{
	char name[PATH_MAX];

	if (snprintf(name, sizeof(name), "%s/new", run->dir) >= PATH_MAX)
		broken("name too long: %s", run->dir);
	write_nonce(run, name, O_CREAT);
	if (!run->wins)
		broken("the scratch directory cannot be written: %s", strerror(run->error));
	run->wins = 0;
	run_result(run, syscall(SYS_renameat2, JUNK(AT_FDCWD), name, JUNK(AT_FDCWD), victim,
				JUNK(0)));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run.attempts = 1;
	switch (run.mode) {
	case MODE_BENIGN:
		replace(&run, run.allowed);
		break;
	case MODE_DIRECT:
		write_nonce(&run, run.denied, 0);
		break;
	case MODE_ATTACK:
		replace(&run, run.denied);
		break;
	}
	run_end(&run);
}
