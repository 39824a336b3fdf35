// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a mount that a target makes in namespaces of its own gives a denied
 * file no permitted name (catalogue B24).
 *
 *	target				child
 *					unshare(CLONE_NEWUSER | CLONE_NEWNS)
 *					mount(dirname of DENIED, DIR, MS_BIND)
 *	openat(/proc/CHILD/root/DIR/object)
 *
 * The kernel's name for what is reached is DIR/object, in a namespace that the
 * enforcer is not in. Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#include <signal.h>
#include <sys/mount.h>

static void read_through(struct run *run, const char *name)
{
	char from[PATH_MAX], seen[PATH_MAX + 64];
	const char *leaf = strrchr(name, '/');
	int ready[2], failed = EIO;
	pid_t child;

	snprintf(from, sizeof(from), "%.*s", (int)(leaf - name), name);
	if (pipe(ready))
		broken("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (child == 0) {
		failed = 0;
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) || mount(from, run->dir, NULL, MS_BIND, NULL))
			failed = errno;
		if (write(ready[1], &failed, sizeof(failed)) == sizeof(failed))
			pause();
		_exit(0);
	}
	close(ready[1]);
	run->attempts = 1;
	if (read(ready[0], &failed, sizeof(failed)) != sizeof(failed) || failed) {
		run->error = failed;
	} else {
		snprintf(seen, sizeof(seen), "/proc/%d/root%s%s", child, run->dir, leaf);
		run_opened(run, raw_openat(AT_FDCWD, seen, O_RDONLY));
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_through(&run, run.allowed);
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
