// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a descriptor that somebody outside opened gives the target nothing
 * that it may not open itself (catalogue C25).
 *
 *	target				a service of the same user
 *	sendto("open DENIED") ------->	open
 *	recvmsg() <-------------------	SCM_RIGHTS
 *	read(descriptor)
 *
 * The twin is read plainly. Winning prints DATA and the content of the denied
 * file.
 */
#include "deputy.h"

static void attack(struct run *run)
{
	char line[CONTENT_MAX];
	int fd;

	run->attempts = 1;
	fd = deputy_ask(run, "open", run->denied, false);
	if (fd < 0)
		run->error = errno;
	else
		run_opened(run, deputy_answer(fd, line));
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
		attack(&run);
		break;
	}
	run_end(&run);
}
