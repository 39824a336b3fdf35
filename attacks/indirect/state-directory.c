// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what the target may not write nobody outside writes for it, whatever
 * it makes of the directory that they share (catalogue B23).
 *
 *	target					a service of the same user
 *	symlink(dirname DENIED, STATE)
 *	sendto("keep TEXT") ----------------->	makes STATE unless it is there,
 *						writes TEXT to STATE/object
 *
 * The twin is written plainly, because to close all such sockets is a sound
 * defence. A win replaces the content of the denied file by the run's nonce.
 */
#include "deputy.h"

static void attack(struct run *run)
{
	char state[PATH_MAX], elsewhere[PATH_MAX], answer[CONTENT_MAX];
	int fd;

	join(state, run->dir, "state");
	snprintf(elsewhere, sizeof(elsewhere), "%s", run->denied);
	*strrchr(elsewhere, '/') = '\0';
	run->attempts = 1;
	if (symlink(elsewhere, state)) {
		run->error = errno;
		return;
	}
	fd = deputy_ask(run, "keep", run->nonce, false);
	run_result(run, fd);
	if (run->wins)
		deputy_answer(fd, answer);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_write(&run, run.allowed, O_TRUNC);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		attack(&run);
		break;
	}
	run_end(&run);
}
