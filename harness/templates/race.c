// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: (one sentence: what an enforcer must not let happen).
 *
 *	opener			peer process		enforcer
 *	openat(name) -------------------------------->	reads name: permitted
 *				name := denied
 *	kernel reads name <---------------------------	(draw the interleaving here)
 *				name := permitted
 *
 * This first version has a peer overwrite a name in shared memory, to which an enforcer
 * falls that judges one name and lets the kernel read another. Winning prints DATA and
 * the content of the denied file.
 */
#include "race.h"

static void race(struct run *run, const char *first, const char *second)
{
	struct flip *flip = shared_memory(sizeof(*flip));

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
		run_learn_decoy(&run);
		race(&run, run.allowed, run.denied);
		break;
	}
	run_end(&run);
}
