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
#include "attack.h"

static void read_in(struct run *run, const char *leaf)
{
	char name[PATH_MAX];

	join(name, run->dir, leaf);
	run_plain_read(run, name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_in(&run, "twin");
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_in(&run, "link");
		break;
	}
	run_end(&run);
}
