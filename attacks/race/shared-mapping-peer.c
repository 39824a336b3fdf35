// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: stopping the threads of the caller is not enough; the name lies in a
 * shared mapping and another process changes it (catalogue A3).
 *
 *	opener (process 1)	peer (process 2)	enforcer
 *	openat(shared name) -------------------------->	stops process 1,
 *							reads: permitted
 *				name := denied
 *	kernel reads name <---------------------------	lets the call through
 *				name := permitted
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

static void race(struct run *run, const char *first, const char *second)
{
	struct flip *flip = shared_memory(sizeof(*flip));
	pid_t peer;

	run_learn_decoy(run);
	flip_init(flip, first, second);
	peer = fork();
	if (peer < 0)
		broken("fork: %s", strerror(errno));
	if (!peer) {
		flip_run(flip, flip->buffer);
		_exit(0);
	}
	while (race_next(run, &flip->turns))
		run_opened(run, raw_open(flip->buffer, O_RDONLY));
	flip_reap(&flip->stop, peer);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(&run, run.allowed, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		race(&run, run.allowed, run.denied);
		break;
	}
	run_end(&run);
}
