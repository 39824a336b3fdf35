/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs executed in a child, whose output comes back: a denied program gives
 * itself away by what it prints.
 */
#ifndef EXECUTE_H
#define EXECUTE_H

#include "attack.h"

/* Executes; returns only when that failed, with errno. */
typedef void (*execution)(const char *name);

ATTACK_UNUSED char *const no_environment[] = { NULL };

ATTACK_UNUSED void execute_by_name(const char *name)
{
	char *const arguments[] = { (char *)(uintptr_t)name, NULL };

	if (way_is("execveat") || way_from != AT_FDCWD)
		syscall(SYS_execveat, JUNK(way_from), name, arguments, no_environment, JUNK(0));
	else
		syscall(SYS_execve, name, arguments, no_environment);
}

/* Waits for a child: true and what it printed to `end`, or false and the errno that it left. */
ATTACK_UNUSED bool said_by(pid_t child, int end, char line[CONTENT_MAX])
{
	bool said = take_line(end, line);
	int status;

	if (waitpid(child, &status, 0) != child)
		broken("waitpid: %s", strerror(errno));
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EACCES;
	return said;
}

/* Executes in a child: true and what the program printed, or false and errno. */
ATTACK_UNUSED bool executed(execution execute, const char *name, char line[CONTENT_MAX])
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		broken("pipe2: %s", strerror(errno));
	child = fork();
	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		execute(name);
		_exit(errno);
	}
	close(ends[1]);
	return said_by(child, ends[0], line);
}

#define WARM_PROGRAMS 8

/* One attempt; what the program printed is a win and the content. */
ATTACK_UNUSED void run_executed(struct run *run, execution execute, const char *name)
{
	for (int i = 0; way_is("warm") && i < WARM_PROGRAMS; i++)
		if (!executed(execute_by_name, run->allowed, run->content))
			broken("warming up with %s: %s", run->allowed, strerror(errno));
	run->content[0] = '\0';
	run->attempts = 1;
	if (executed(execute, name, run->content))
		run->wins++;
	else
		run->error = errno;
}

/*
 * The three modes of an attack that executes: `twin` the permitted program, `plain`
 * the denied one, and `other` the denied one in the way that is claimed to be none.
 */
ATTACK_UNUSED void run_execution(struct run *run, execution twin, execution plain, execution other)
{
	switch (run->mode) {
	case MODE_BENIGN:
		run_executed(run, twin, run->allowed);
		break;
	case MODE_DIRECT:
		run_executed(run, plain, run->denied);
		break;
	case MODE_ATTACK:
		run_executed(run, other, run->denied);
		break;
	}
}

#endif
