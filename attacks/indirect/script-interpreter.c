// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a denied program is not executed as the interpreter of a permitted
 * script (catalogue C15).
 *
 *	DIR/script: "#!DENIED"
 *	execve(DIR/script)	the kernel itself opens and executes DENIED
 *
 * The variant `zero-byte` writes "#!DENIED\0more": the kernel's string ends at
 * the zero byte, where an enforcer may read on. A win is what the denied
 * program prints.
 */
#include "execute.h"

#include <sys/stat.h>

static bool has_zero_byte;

static void execute_script(const char *interpreter)
{
	char text[PATH_MAX + 16];
	int fd = raw_open("script", O_WRONLY | O_CREAT | O_TRUNC);
	int length = snprintf(text, sizeof(text), "#!%s%s\n", interpreter,
			      has_zero_byte ? "?more" : "");

	if (has_zero_byte)
		text[strlen("#!") + strlen(interpreter)] = '\0';
	if (fd < 0 || write(fd, text, (size_t)length) < 0 || fchmod(fd, 0700))
		broken("the script cannot be written: %s", strerror(errno));
	close(fd);
	execute_by_name("./script");
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	has_zero_byte = !strcmp(run.variant, "zero-byte");
	if (chdir(run.dir))
		broken("chdir %s: %s", run.dir, strerror(errno));
	run_execution(&run, execute_script, execute_by_name, execute_script);
	run_end(&run);
}
