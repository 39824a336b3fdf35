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

static void cat(const char *name, char *const environment[])
{
	char *const arguments[] = { (char *)(uintptr_t)"cat", (char *)(uintptr_t)name, NULL };

	syscall(SYS_execve, "/bin/cat", arguments, environment);
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
	run_executed(run, cat_as_told, "alias");
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_executed(&run, cat_as_told, run.allowed);
		break;
	case MODE_DIRECT:
		run_executed(&run, cat_as_told, run.denied);
		break;
	case MODE_ATTACK:
		if (!strcmp(run.variant, "link"))
			cat_by_link(&run);
		else if (strcmp(run.variant, "raw"))
			run_executed(&run, cat_alone, run.denied);
		else
			run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
