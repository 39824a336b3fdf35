// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a denied file is denied whatever becomes of the directory that it lies
 * in (catalogue B10).
 *
 *	renameat2(DENIED, DIR/kept/object)	from one denied name to another
 *	renameat2(DIR/kept, DIR/free)		judged, if at all, as a directory
 *	openat(DIR/free/object)			a name of which no rule speaks
 *
 * The variant `exchange` puts another directory in its place by the same call.
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static long move(const char *from, const char *to, int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, JUNK(flags));
}

static void read_moved(struct run *run, const char *name, const char *keep)
{
	char from[PATH_MAX], to[PATH_MAX], inside[PATH_MAX], moved[PATH_MAX];
	int flags = 0;

	join(from, run->dir, keep);
	join(to, run->dir, "free");
	join(inside, from, "object");
	join(moved, to, "object");
	if (!strcmp(run->variant, "exchange"))
		flags = RENAME_EXCHANGE;
	/* What a policy speaks of can be there already: mounts need a place. */
	if ((mkdir(from, 0755) && errno != EEXIST) || (flags && mkdir(to, 0755)))
		broken("mkdir in %s: %s", run->dir, strerror(errno));
	run->attempts = 1;
	if (move(name, inside, 0)) {
		run->error = errno;
		return;
	}
	if (move(from, to, flags)) {
		run->error = errno;
	} else {
		run_opened(run, raw_openat(AT_FDCWD, moved, O_RDONLY));
		move(to, from, flags);
	}
	move(inside, name, 0);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_moved(&run, run.allowed, "other");
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_moved(&run, run.denied, "kept");
		break;
	}
	run_end(&run);
}
