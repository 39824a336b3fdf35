// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: enforcement does not live in a library of the target's own, which it
 * need not load (catalogue D20 and D21).
 *
 *	cat DENIED		its C library was told: judged
 *	syscall(openat, DENIED)	a static program without any library
 *	cat DENIED		without environment: LD_PRELOAD is gone
 *	cat LINK		a symbolic link to it: another name
 *
 * The variants are the latter three; direct attempt and twin run cat in the
 * environment that there is. Winning prints DATA and the content of the denied
 * file.
 */
#include "execute.h"

#define ERRNOS 134

static int words[2];

static void cat(const char *name, char *const environment[])
{
	char *const arguments[] = { (char *)(uintptr_t)"cat", (char *)(uintptr_t)name, NULL };

	dup2(words[1], STDERR_FILENO);
	syscall(SYS_execve, "/bin/cat", arguments, environment);
}

/* Whatever was refused, cat ends with 1, and says the errno in words. */
static void run_cat(struct run *run, execution execute, const char *name)
{
	char said[BUFSIZ];
	ssize_t size;

	if (pipe2(words, O_CLOEXEC | O_NONBLOCK))
		broken("pipe2: %s", strerror(errno));
	run_executed(run, execute, name);
	size = read(words[0], said, sizeof(said) - 1);
	said[size < 0 ? 0 : size] = '\0';
	for (int number = 1; !run->wins && number < ERRNOS; number++)
		if (strstr(said, strerror(number)))
			run->error = number;
}

static void cat_as_told(const char *name)
{
	cat(name, environ);
}

static void cat_alone(const char *name)
{
	cat(name, no_environment);
}

static void cat_by_link(struct run *run)
{
	if (symlink(run->denied, "alias"))
		broken("symlink: %s", strerror(errno));
	run_cat(run, cat_as_told, "alias");
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_cat(&run, cat_as_told, run.allowed);
		break;
	case MODE_DIRECT:
		run_cat(&run, cat_as_told, run.denied);
		break;
	case MODE_ATTACK:
		if (!strcmp(run.variant, "link"))
			cat_by_link(&run);
		else if (strcmp(run.variant, "raw"))
			run_cat(&run, cat_alone, run.denied);
		else
			run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
