// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: who may not mount(2) may not mount by other calls either
 * (catalogue B22).
 *
 *	unshare(CLONE_NEWUSER | CLONE_NEWNS)
 *	mount(dirname of DENIED, DIR, MS_BIND)			denied
 *	open_tree(dirname of DENIED, OPEN_TREE_CLONE)		came with Linux 5.2
 *	move_mount(tree, DIR)
 *
 * The variants are that, and an overlay by fsopen and fsmount. Reading is
 * permitted; the twin reads plainly. Winning prints DATA and the content of the
 * denied file, read at its new place.
 */
#include "own_namespaces.h"

static int mount_by(const char *variant, const char *from, const char *at)
{
	if (!strcmp(variant, "mount"))
		return mount(from, at, NULL, MS_BIND, NULL);
	return !strcmp(variant, "overlay") ? move_overlay(from, at) : move_copy(from, at);
}

static void read_through(struct run *run, const char *variant)
{
	char from[PATH_MAX], at[PATH_MAX], seen[PATH_MAX];

	directory_of(from, run->denied);
	join(at, run->dir, "at");
	join(seen, at, leaf_of(run->denied) + 1);
	if (mkdir(at, 0700))
		broken("mkdir %s: %s", at, strerror(errno));
	run->attempts = 1;
	if (own_namespaces() || mount_by(variant, from, at))
		run->error = errno;
	else
		run_opened(run, raw_openat(AT_FDCWD, seen, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		read_through(&run, "mount");
		break;
	case MODE_ATTACK:
		read_through(&run, run.variant);
		break;
	}
	run_end(&run);
}
