// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a rule that permits one file permits no other that lies beside it
 * (catalogue D35).
 *
 *	the policy	permits DIR/twin
 *	what is loaded	permits DIR, because that is what can be compiled
 *	openat(DIR/link)	the denied file, by a name from before the run
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "earlier.h"

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_earlier_link(&run);
	run_end(&run);
}
