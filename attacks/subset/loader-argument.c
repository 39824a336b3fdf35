// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that may not be executed does not run as the argument of
 * one that may (catalogue C14).
 *
 *	execve(DENIED)				judged
 *	execve("/bin/sh", DENIED)		only reads it, and runs it
 *	execve(ld.so, "/bin/sh", DENIED)	the shell is not executed either
 *
 * The variants are the latter two; the loader is the one that /bin/sh asks for.
 * The twin is executed by name. A win is what the denied program prints.
 */
#include "execute.h"

#define SHELL "/bin/sh"

/* PT_INTERP, which linkers put into the first page of a program. */
static const char *loader(void)
{
	static char head[4096];
	int fd = raw_openat(AT_FDCWD, SHELL, O_RDONLY);
	ssize_t size = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
	char *found = size < 0 ? NULL : memmem(head, size, "/lib", 4);

	close(fd);
	if (!found)
		unsupported("%s asks for no loader", SHELL);
	return found;
}

static void run_by_shell(const char *name)
{
	char *const arguments[] = { (char *)(uintptr_t)SHELL, (char *)(uintptr_t)name, NULL };

	syscall(SYS_execve, SHELL, arguments, no_environment);
}

static void run_by_loader(const char *name)
{
	const char *own = loader();
	char *const arguments[] = { (char *)(uintptr_t)own, (char *)(uintptr_t)SHELL,
				    (char *)(uintptr_t)name, NULL };

	syscall(SYS_execve, own, arguments, no_environment);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	bool by_loader = !strcmp(run.variant, "loader");

	run_execution(&run, execute_by_name, execute_by_name,
		      by_loader ? run_by_loader : run_by_shell);
	run_end(&run);
}
