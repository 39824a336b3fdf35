// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what is denied does not happen before it is denied (catalogue D26).
 *
 *	target				kernel			enforcer
 *	openat(DENIED, O_TRUNC) ----->	opens and empties it
 *					returns ------------->	looks: denied,
 *								answers EACCES
 *
 * The direct attempt opens for writing, and would write; whoever looks at the
 * call's return is in time for that. The twin appends. A win leaves the denied
 * file empty.
 */
#include "attack.h"

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_write(&run, run.allowed, O_APPEND);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, 0);
		break;
	case MODE_ATTACK:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	}
	run_end(&run);
}
