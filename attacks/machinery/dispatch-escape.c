// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: enforcement does not depend on a switch of the process's own, which
 * the kernel turns off in its children (catalogue D19).
 *
 *	sh				enforcer
 *	{ read; } < DENIED		SIGSYS: judged
 *	fork: the child's selector is gone
 *	({ read; } < DENIED)		(hears nothing)
 *
 * The shell has a C library, where an enforcer in the process can stand; its
 * subshell is a child without an execve. Winning prints DATA and the content of
 * the denied file.
 */
#include "shell.h"

static void read_itself(const char *name)
{
	shell("{ read -r line; echo \"$line\"; } < \"$1\"", name);
}

static void read_in_subshell(const char *name)
{
	shell("({ read -r line; echo \"$line\"; } < \"$1\"); exit $?", name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_execution(&run, read_in_subshell, read_itself, read_in_subshell);
	shell_said(&run);
	run_end(&run);
}
