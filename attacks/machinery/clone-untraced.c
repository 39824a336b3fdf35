// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a child made with CLONE_UNTRACED is enforced upon like any other
 * (catalogue D1).
 *
 *	clone(CLONE_UNTRACED)	no fork event: the tracer never attaches
 *	child: openat(DENIED)	nobody is asked
 *
 * The child hands what it read back in shared memory. Winning prints DATA and
 * the content of the denied file.
 */
#include "attack.h"

#include <sched.h>
#include <signal.h>

static long raw_clone(unsigned long flags)
{
#ifdef __s390x__
	return syscall(SYS_clone, 0ul, flags, 0ul, 0ul, 0ul);
#else
	return syscall(SYS_clone, flags, 0ul, 0ul, 0ul, 0ul);
#endif
}

static void read_in_child(struct run *run, const char *name, unsigned long flags)
{
	struct run *shared = shared_memory(sizeof(*shared));
	pid_t child;
	int status;

	*shared = *run;
	child = (pid_t)raw_clone(flags | SIGCHLD);
	if (!child) {
		run_plain_read(shared, name);
		_exit(0);
	}
	if (child < 0)
		shared->error = errno;
	else if (waitpid(child, &status, 0) != child)
		broken("waitpid: %s", strerror(errno));
	*run = *shared;
	run->attempts = 1;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_in_child(&run, run.allowed, 0);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_in_child(&run, run.denied, CLONE_UNTRACED);
		break;
	}
	run_end(&run);
}
