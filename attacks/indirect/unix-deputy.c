// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what the target may not read nobody outside reads for it
 * (catalogue C24), nor starts a program that does (D33).
 *
 *	target				a service of the same user
 *	sendto("read DENIED") ------->	open, read
 *	recvmsg() <-------------------	the content
 *
 * The variants are the service's two names, a path and an abstract one; and a
 * variable for the program that it starts outside, which reads what that names.
 * The twin is read plainly, because to close all such sockets is a sound
 * defence. Winning prints DATA and the content of the denied file.
 */
#include "deputy.h"

static void attack(struct run *run)
{
	bool is_variable = !strcmp(run->variant, "variable");
	int fd;

	run->attempts = 1;
	fd = deputy_ask(run, is_variable ? "with" : "read", run->denied,
			!strcmp(run->variant, "abstract"));
	run_result(run, fd);
	if (run->wins)
		deputy_answer(fd, run->content);
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
