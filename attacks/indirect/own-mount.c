// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what a target mounts in namespaces of its own gives a denied file no
 * permitted name (catalogue B7).
 *
 *	unshare(CLONE_NEWUSER | CLONE_NEWNS)
 *	mount(dirname of DENIED, DIR)
 *	openat(DIR/object)
 *
 * The variants are a bind; an overlay with that directory as a layer (B17); and
 * a bind that is taken away again while a descriptor holds it, so that the
 * kernel's name of the file in it is /object (B19). The kernel's own names
 * are believed by whoever reads them back from /proc/PID/fd. Winning prints DATA
 * and the content of the denied file.
 */
#include "own_namespaces.h"

static int open_detached(const char *dir, const char *leaf)
{
	int kept = raw_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);

	if (kept < 0 || umount2(dir, MNT_DETACH))
		return -1;
	return raw_openat(kept, leaf + 1, O_RDONLY);
}

static int open_mounted(const struct run *run, const char *name)
{
	bool is_overlay = !strcmp(run->variant, "overlay");
	const char *leaf = leaf_of(name);
	char from[PATH_MAX], at[PATH_MAX], seen[PATH_MAX];

	directory_of(from, name);
	join(at, run->dir, "at");
	if (mkdir(at, 0700))
		broken("mkdir %s: %s", at, strerror(errno));
	if (own_namespaces() ||
	    (is_overlay ? mount_overlay(from, at) : mount(from, at, NULL, MS_BIND, NULL)))
		return -1;
	if (!strcmp(run->variant, "detached"))
		return open_detached(at, leaf);
	join(seen, at, leaf + 1);
	return raw_openat(AT_FDCWD, seen, O_RDONLY);
}

static void read_through(struct run *run, const char *name)
{
	run->attempts = 1;
	run_opened(run, open_mounted(run, name));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		if (!strcmp(run.variant, "bind"))
			read_through(&run, run.allowed);
		else
			run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_through(&run, run.denied);
		break;
	}
	run_end(&run);
}
