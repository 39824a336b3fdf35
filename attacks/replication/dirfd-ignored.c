// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a relative name is judged from the directory that the call names, not
 * from the current one (catalogue B3).
 *
 *	openat(fd of DIR/top, "../../../denied/file")
 *		kernel:   DIR/top/../../..		= the denied file
 *		careless: DIR/d/d/d/../../..		= DIR/denied/file, permitted
 *
 * Everything that the attack opens and makes lies in the scratch directory.
 * Winning prints DATA and the content of the denied file.
 */
#include "mirror.h"

static void open_at(struct run *run, const char *goal)
{
	struct mirror mirror;
	int top;

	run_learn_decoy(run);
	mirror_make(&mirror, run->dir, goal, run->decoy);
	if (chdir(mirror.deep))
		broken("chdir %s: %s", mirror.deep, strerror(errno));
	top = raw_open(mirror.top, O_RDONLY | O_DIRECTORY);
	if (top < 0)
		broken("open %s: %s", mirror.top, strerror(errno));
	run->attempts = 1;
	run_opened(run, raw_openat(top, mirror.name, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		open_at(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		open_at(&run, run.denied);
		break;
	}
	run_end(&run);
}
