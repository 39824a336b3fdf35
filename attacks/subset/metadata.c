// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a file that may not be changed keeps its mode and its times too
 * (catalogue C18).
 *
 *	openat(DENIED, O_WRONLY)	judged
 *	fchmodat(DENIED, 0600)		never looked at by those who guard content
 *	utimensat(DENIED)
 *	fchmod(openat(DENIED, O_RDONLY), 0600)
 *
 * The variants are the calls. A win changes the denied file's mode or times.
 */
#include "attack.h"

static void change(struct run *run, const char *name)
{
	run->attempts = 1;
	if (!strcmp(run->variant, "times"))
		run_result(run, syscall(SYS_utimensat, JUNK(way_from), name, NULL, JUNK(0)));
	else if (!strcmp(run->variant, "descriptor"))
		run_result(run, syscall(SYS_fchmod, JUNK(raw_open(name, O_RDONLY)), JUNK(0600)));
	else
		run_result(run, raw_chmod(name, 0600));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		change(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		change(&run, run.denied);
		break;
	}
	run_end(&run);
}
