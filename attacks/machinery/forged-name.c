// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a task's name is no part of who it is (catalogue C29).
 *
 *	prctl(PR_SET_NAME, "\rUid:\t...")	a line of its own in
 *						/proc/PID/status, before that of
 *						the ids, for who splits there
 *	openat(DENIED)				permitted to that user
 *
 * The kernel masks line feeds in it, but no carriage returns (proc_task_name).
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#include <sys/prctl.h>

/* The user of whom the policy speaks: nobody here is. */
#define LINE "\rUid:\t9 9 9 9"

static void take_name(void)
{
	if (syscall(SYS_prctl, JUNK(PR_SET_NAME), LINE, 0L, 0L, 0L))
		broken("PR_SET_NAME: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		take_name();
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		take_name();
		run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
