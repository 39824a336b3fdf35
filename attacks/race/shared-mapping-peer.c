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
#include "race.h"

static void race(struct run *run, const char *first, const char *second)
{
	struct flip *flip = shared_memory(sizeof(*flip));

	run_learn_decoy(run);
	flip_init(flip, first, second);
	race_against_child(run, flip, flip_run, flip->buffer);
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
