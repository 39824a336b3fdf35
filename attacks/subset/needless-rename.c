// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a list of permitted calls has none that takes names and that nobody
 * needs (catalogue C32).
 *
 *	openat(DENIED, O_TRUNC)		judged by its flags
 *	renameat2(ALLOWED, DENIED)	on the list for no reason
 *
 * The twin appends to the permitted file. A win puts another file in the denied
 * one's place.
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
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		run.attempts = 1;
		run_result(&run, raw_rename(run.allowed, run.denied));
		break;
	}
	run_end(&run);
}
