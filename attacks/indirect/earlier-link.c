// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a hard link that was made before the enforcer began is no way to the
 * denied file (catalogue B8).
 *
 *	DIR/link	the denied file's, since before the run
 *	openat(DIR/link)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

static void read_link(struct run *run, const char *leaf)
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
		read_link(&run, "twin");
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_link(&run, "link");
		break;
	}
	run_end(&run);
}
