// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a second, permitted name cannot be given to a denied file
 * (catalogue B8).
 *
 *	linkat(DENIED, DIR/alias)	judged, or not, by its new name
 *	openat(DIR/alias)		a permitted name of the denied file
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

static void read_by_alias(struct run *run, const char *name)
{
	char alias[PATH_MAX];

	join(alias, run->dir, "alias");
	unlinkat(way_from, alias, 0);
	run->attempts = 1;
	if (raw_link(name, alias))
		run->error = errno;
	else
		run_opened(run, raw_open(alias, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_by_alias(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_by_alias(&run, run.denied);
		break;
	}
	run_end(&run);
}
