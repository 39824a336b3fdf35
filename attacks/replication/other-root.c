// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name is looked up from the root that its task has
 * (catalogue B6).
 *
 *	unshare(CLONE_NEWUSER | CLONE_NEWNS)
 *	chroot(dirname of DENIED)
 *	openat("/object")		the denied file; from another root nothing
 *
 * The variants are chroot and pivot_root. Winning prints DATA and the content
 * of the denied file.
 */
#include "own_namespaces.h"

static int change_root(const struct run *run, const char *root)
{
	if (own_namespaces())
		return -1;
	if (!strcmp(run->variant, "chroot"))
		return chroot(root);
	/* A mount on itself; `.` twice puts the old root beneath the new one (pivot_root(2)). */
	if (mount(root, root, NULL, MS_BIND, NULL) || chdir(root) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH))
		return -1;
	return 0;
}

static void read_below(struct run *run, const char *name)
{
	const char *leaf = leaf_of(name);
	char root[PATH_MAX];

	run->attempts = 1;
	directory_of(root, name);
	run_opened(run, change_root(run, root) ? -1 : raw_openat(AT_FDCWD, leaf, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_below(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_below(&run, run.denied);
		break;
	}
	run_end(&run);
}
