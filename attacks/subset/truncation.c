// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a file that may not be written cannot be emptied without opening it
 * for writing either (catalogue C17), nor by an enforcer that quietly does
 * without the newer half of its rights (D34).
 *
 *	truncate(DENIED, 0)			no descriptor, no access mode
 *	openat(DENIED, O_RDONLY | O_TRUNC)	opened for reading
 *
 * The variants are the two. The twin appends by a plain open, so that policies
 * may deny truncation altogether. A win leaves the denied file empty.
 */
#include "attack.h"

static void empty(struct run *run, const char *name)
{
	int fd;

	run->attempts = 1;
	if (!strcmp(run->variant, "truncate")) {
		run_result(run, syscall(SYS_truncate, name, 0ul));
		return;
	}
	fd = raw_open(name, O_RDONLY | O_TRUNC);
	run_result(run, fd);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_write(&run, run.allowed, O_APPEND);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		empty(&run, run.denied);
		break;
	}
	run_end(&run);
}
