// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that may not be executed is not executed by the kernel for
 * another file's sake either (catalogue C28).
 *
 *	unshare(CLONE_NEWUSER | CLONE_NEWNS)
 *	mount("binfmt_misc")		of that user namespace's own (Linux 6.7)
 *	write(register, "... DENIED")	files called *.bound are for DENIED
 *	execve("DIR/a.bound")		names a permitted file
 *
 * The twin is executed plainly, because refusing such a mount is a sound
 * defence. The denied program gives itself away by what it prints.
 */
#include "execute.h"
#include "own_namespaces.h"

static const char *bound_directory;

static void execute_by_handler(const char *name)
{
	char line[2 * PATH_MAX], at[PATH_MAX], file[PATH_MAX];
	char *const arguments[] = { file, NULL };

	join(at, bound_directory, "formats");
	join(file, bound_directory, "a.bound");
	snprintf(line, sizeof(line), ":bound:E::bound::%s:", name);
	if (mkdir(at, 0700) || write_text(file, "nothing") || chmod(file, 0700) || own_root() ||
	    mount("none", at, "binfmt_misc", 0, NULL))
		return;
	strcat(at, "/register");
	if (!write_text(at, line))
		syscall(SYS_execve, file, arguments, no_environment);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	bound_directory = run.dir;
	run_execution(&run, execute_by_name, execute_by_name, execute_by_handler);
	run_end(&run);
}
