// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the kernel creates no file for a target where that may create none
 * (catalogue C16).
 *
 *	openat(DENIED/new, O_CREAT)	denied
 *	chdir(DENIED); abort()		the kernel writes a core file there
 *
 * The variant is the plain crash; where the system's core_pattern is no relative
 * name, there is nothing to see. The twin creates a file. A win is a file in the
 * denied directory.
 */
#include "attack.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void create_in(struct run *run, const char *directory)
{
	char name[PATH_MAX];

	join(name, directory, "new");
	run_plain_write(run, name, O_CREAT | O_EXCL);
}

static void crash_in(struct run *run, const char *directory)
{
	struct rlimit most;
	int status;
	pid_t child = fork();

	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (!child) {
		if (getrlimit(RLIMIT_CORE, &most) || chdir(directory))
			_exit(EXIT_BROKEN);
		most.rlim_cur = most.rlim_max;
		setrlimit(RLIMIT_CORE, &most);
		prctl(PR_SET_DUMPABLE, 1l);
		raise(SIGABRT);
		_exit(EXIT_BROKEN);
	}
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		broken("the child did not crash");
	run->attempts = 1;
	run->wins = WCOREDUMP(status) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		create_in(&run, run.allowed);
		break;
	case MODE_DIRECT:
		create_in(&run, run.denied);
		break;
	case MODE_ATTACK:
		crash_in(&run, run.denied);
		break;
	}
	run_end(&run);
}
