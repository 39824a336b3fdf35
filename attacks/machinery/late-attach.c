// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a child is enforced upon from its first call on, whichever call made it
 * (catalogue D2).
 *
 *	target			child			tracer
 *	fork, or vfork		openat(DENIED)		(will attach later)
 *	waits			_exit
 *
 * The variants are the two events of ptrace(2). The child hands what it read
 * back in shared memory. Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#include <signal.h>

static long raw_clone(unsigned long flags)
{
#ifdef __s390x__
	return syscall(SYS_clone, 0ul, flags, 0ul, 0ul, 0ul);
#else
	return syscall(SYS_clone, flags, 0ul, 0ul, 0ul, 0ul);
#endif
}

static void read_in_child(struct run *run, const char *name)
{
	unsigned long parent_waits = strcmp(run->variant, "vfork") ? 0 : CLONE_VFORK;
	struct run *shared = shared_memory(sizeof(*shared));
	pid_t child;
	int status;

	*shared = *run;
	child = (pid_t)raw_clone(parent_waits | SIGCHLD);
	if (!child) {
		run_plain_read(shared, name);
		_exit(0);
	}
	if (child < 0)
		broken("clone: %s", strerror(errno));
	if (waitpid(child, &status, 0) != child)
		broken("waitpid: %s", strerror(errno));
	*run = *shared;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_in_child(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_in_child(&run, run.denied);
		break;
	}
	run_end(&run);
}
