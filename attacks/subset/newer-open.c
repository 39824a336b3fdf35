// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the log has an opening by whatever call it is made (catalogue D29).
 *
 *	openat(DENIED)		in the log
 *	openat2(DENIED)		came later than the log's list of calls
 *
 * Opening the denied file is permitted, and to be logged. Winning prints DATA
 * and the content of the denied file.
 */
#include "attack.h"

static void read_newly(struct run *run, const char *name)
{
	struct open_how_v0 how = { .flags = O_RDONLY | O_CLOEXEC };

	run->attempts = 1;
	run_opened(run, (int)syscall(SYS_openat2, JUNK(AT_FDCWD), name, &how, sizeof(how)));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_newly(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_newly(&run, run.denied);
		break;
	}
	run_end(&run);
}
