// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that may not be written to is not written to by the link of
 * a process that executes it (catalogue B12).
 *
 *	target				a helper that executes DENIED
 *	fd = open(/proc/HELPER/exe)
 *					ends: the text is not busy any more
 *	open(/proc/self/fd/N, O_WRONLY)
 *
 * Here the target starts the helper itself, so that nothing depends on time.
 * A win changes the content of the denied program.
 */
#include "attack.h"

#define IDLE "idle"

static void execute_idle(const char *name, const int ends[2])
{
	char *const arguments[] = { (char *)(uintptr_t)name, "benign", "variant=" IDLE, NULL };

	dup2(ends[0], STDIN_FILENO);
	close(ends[1]);
	syscall(SYS_execve, name, arguments, NULL);
	_exit(EXIT_BROKEN);
}

/* A descriptor of the program of a process that is over by then. */
static int open_program(const char *name)
{
	int ends[2], ready[2], fd, status;
	char link[PATH_MAX], nothing;
	pid_t child;

	if (pipe2(ends, 0) || pipe2(ready, O_CLOEXEC))
		broken("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (!child)
		execute_idle(name, ends);
	close(ready[1]);
	if (read(ready[0], &nothing, 1))
		broken("the helper is not executed");
	snprintf(link, sizeof(link), "/proc/%d/exe", child);
	fd = raw_openat(AT_FDCWD, link, O_RDONLY);
	if (fd < 0)
		broken("%s: %s", link, strerror(errno));
	close(ends[1]);
	if (waitpid(child, &status, 0) != child || status)
		broken("the helper ended with %d", status);
	return fd;
}

static void overwrite(struct run *run, const char *name)
{
	char link[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", open_program(name));
	run->attempts = 1;
	run_opened_to_write(run, raw_openat(AT_FDCWD, link, O_WRONLY | O_TRUNC));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	char nothing;

	if (!strcmp(run.variant, IDLE))
		_exit(read(STDIN_FILENO, &nothing, 1) ? EXIT_BROKEN : 0);
	switch (run.mode) {
	case MODE_BENIGN:
		overwrite(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		overwrite(&run, run.denied);
		break;
	}
	run_end(&run);
}
