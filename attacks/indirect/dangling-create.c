// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a file is not made in a denied directory through a symbolic link that
 * leads to nothing yet (catalogue B20).
 *
 *	symlink(DENIED/new, DIR/link)
 *	openat(DIR/link, O_CREAT)	there is nothing to canonicalise; by its text
 *					the name is permitted
 *
 * The denied object is a directory. A win makes a file in it.
 */
#include "attack.h"

static void create_through_link(struct run *run, const char *directory)
{
	char name[PATH_MAX], link[PATH_MAX];

	join(name, directory, "new");
	join(link, run->dir, "link");
	unlinkat(way_from, link, 0);
	if (symlinkat(name, way_from, link))
		broken("symlink %s: %s", link, strerror(errno));
	run_plain_write(run, link, O_CREAT);
}

static void create(struct run *run, const char *directory)
{
	char name[PATH_MAX];

	join(name, directory, "new");
	run_plain_write(run, name, O_CREAT);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		create_through_link(&run, run.allowed);
		break;
	case MODE_DIRECT:
		create(&run, run.denied);
		break;
	case MODE_ATTACK:
		create_through_link(&run, run.denied);
		break;
	}
	run_end(&run);
}
