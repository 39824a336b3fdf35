// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the log has what is done with a file by whatever name of it
 * (catalogue D30).
 *
 *	unshare(CLONE_NEWUSER | CLONE_NEWNS)
 *	mount(dirname of DENIED, DIR)
 *	openat(DIR/object)	a watch on the name DENIED sees nothing
 *
 * Opening the denied file is permitted, and to be logged. The twin is opened the
 * same way. Winning prints DATA and the content of the denied file.
 */
#include "own_namespaces.h"

static void read_aliased(struct run *run, const char *name)
{
	char from[PATH_MAX], at[PATH_MAX], alias[PATH_MAX];

	directory_of(from, name);
	join(at, run->dir, "at");
	join(alias, at, leaf_of(name) + 1);
	if (mkdir(at, 0700))
		broken("mkdir %s: %s", at, strerror(errno));
	if (own_namespaces() || mount(from, at, NULL, MS_BIND, NULL)) {
		run->error = errno;
		return;
	}
	run_plain_read(run, alias);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_aliased(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_aliased(&run, run.denied);
		break;
	}
	run_end(&run);
}
