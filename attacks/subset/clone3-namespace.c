// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: who may not have a user namespace does not get one by the call whose
 * flags lie in memory (catalogue C30, A10).
 *
 *	unshare(CLONE_NEWUSER | CLONE_NEWNS)	denied by its flags
 *	clone3({CLONE_NEWUSER | CLONE_NEWNS})	nothing that a filter could look at
 *	mount(dirname of DENIED, DIR)		in there an ordinary user may
 *
 * Reading is permitted; the twin reads plainly. Winning prints DATA and the
 * content of the denied file, read at a place that only the new namespaces can
 * give it.
 */
#include "own_namespaces.h"

#include <signal.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

struct clone_args_v0 {
	uint64_t flags;
	uint64_t unused[3];
	uint64_t exit_signal;
	uint64_t stack[3];
};

/* What those who are in namespaces of their own can do; they print it. */
static void mount_and_read(struct run *run)
{
	char from[PATH_MAX], at[PATH_MAX], seen[PATH_MAX];

	directory_of(from, run->denied);
	join(at, run->dir, "at");
	join(seen, at, leaf_of(run->denied) + 1);
	if (mkdir(at, 0700) || mount(from, at, NULL, MS_BIND, NULL))
		run->error = errno;
	else
		run_opened(run, raw_openat(AT_FDCWD, seen, O_RDONLY));
}

static void by_unshare(struct run *run)
{
	run->attempts = 1;
	if (own_namespaces())
		run->error = errno;
	else
		mount_and_read(run);
}

static void by_clone3(struct run *run)
{
	struct clone_args_v0 args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	long child;
	int status;

	run->attempts = 1;
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0) {
		run->error = errno;
		return;
	}
	if (!child) {
		mount_and_read(run);
		run_end(run);
	}
	if (waitpid((pid_t)child, &status, 0) != child || status)
		broken("the child ended with %d", status);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		by_unshare(&run);
		break;
	case MODE_ATTACK:
		by_clone3(&run);
		break;
	}
	run_end(&run);
}
