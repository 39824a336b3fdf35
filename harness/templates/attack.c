// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: (one sentence: what an enforcer must not let happen).
 *
 *	target			enforcer
 *	openat(DENIED) ------->	(draw the interleaving here)
 *
 * This first version is no attack yet: it opens the denied file plainly, so
 * every sound enforcer holds. Winning prints DATA and the content of the file.
 */
#include "attack.h"

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
		run_learn_decoy(&run);
		while (run_next(&run))
			run_opened(&run, raw_open(run.denied, O_RDONLY));
		break;
	}
	run_end(&run);
}
