// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what a program does before its libraries are there is judged as well
 * (catalogue D23).
 *
 *	execve(sh), LD_DEBUG_OUTPUT=DENIED/trace
 *	the loader: openat(DENIED/trace.PID, O_CREAT)	no library was begun yet
 *	main
 *
 * The denied directory is changed by a file in it. The direct attempt and the
 * twin have the shell make that.
 */
#include "shell.h"

static void make_in(const char *name)
{
	shell("{ :; } > \"$1/made\" && echo made", name);
}

static void trace_into(const char *name)
{
	char output[PATH_MAX];

	join(output, name, "trace");
	if (setenv("LD_DEBUG", "versions", true) || setenv("LD_DEBUG_OUTPUT", output, true))
		_exit(errno);
	shell("for f in \"$1\"/trace*; do [ -e \"$f\" ] || exit 2; echo made; done", name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_execution(&run, make_in, make_in, trace_into);
	shell_said(&run);
	/* The loader writes to standard output where it could make no file (ld.so(8)). */
	if (run.mode == MODE_ATTACK && run.wins && strcmp(run.content, "made")) {
		run.content[0] = '\0';
		run.wins = 0;
		run.error = EACCES;
	}
	run_end(&run);
}
