/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Acts made by sh, which has a C library, and its true reason for a failure: what it complains of
 * goes where its output goes, and ends with the text of errno.
 */
#ifndef SHELL_H
#define SHELL_H

#include "execute.h"

#define COMPLAINS "sh: "
#define LAST_ERRNO 133

/* Becomes a shell with this script; "$1" is the name. */
ATTACK_UNUSED void shell(const char *script, const char *name)
{
	char *const arguments[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c",
				    (char *)(uintptr_t)script, (char *)(uintptr_t)"sh",
				    (char *)(uintptr_t)name, NULL };

	dup2(STDOUT_FILENO, STDERR_FILENO);
	syscall(SYS_execve, "/bin/sh", arguments, environ);
	_exit(errno);
}

/* dash has words of its own for ENOENT: "No such file" and, of what it creates, the other. */
static int complained_of(const char *line)
{
	const char *said = strrchr(line, ':');
	size_t size;

	if (!said || said[1] != ' ' || !said[2])
		broken("the shell says: %s", line);
	said += 2;
	size = strlen(said);
	if (!strcmp(said, "Directory nonexistent"))
		return ENOENT;
	for (int error = 1; error <= LAST_ERRNO; error++)
		if (!strncmp(strerror(error), said, size))
			return error;
	broken("the shell says: %s", line);
}

/* After a run in which `shell` was executed: a complaint is no content, but the errno. */
ATTACK_UNUSED void shell_said(struct run *run)
{
	if (!run->wins || strncmp(run->content, COMPLAINS, strlen(COMPLAINS)))
		return;
	run->wins = 0;
	run->error = complained_of(run->content);
	run->content[0] = '\0';
}

#endif
