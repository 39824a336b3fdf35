// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a denied program is not executed as the interpreter of a script whose
 * first line has a zero byte behind the interpreter's name (catalogue C15).
 *
 *	DIR/script: "#!DENIED\0more"
 *	execve(DIR/script)	an enforcer takes "DENIED\0more" for the name,
 *				the kernel's string ends at the zero byte
 *
 * A win is what the denied program prints.
 */
#include "execute.h"

#include <sys/stat.h>

static void execute_script(const char *interpreter)
{
	char text[PATH_MAX + 16];
	int fd = raw_open("script", O_WRONLY | O_CREAT | O_TRUNC);
	int length = snprintf(text, sizeof(text), "#!%s%cmore\n", interpreter, 0);

	if (fd < 0 || write(fd, text, (size_t)length) < 0 || fchmod(fd, 0700))
		broken("the script cannot be written: %s", strerror(errno));
	close(fd);
	execute_by_name("./script");
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	if (chdir(run.dir))
		broken("chdir %s: %s", run.dir, strerror(errno));
	switch (run.mode) {
	case MODE_BENIGN:
		run_executed(&run, execute_script, run.allowed);
		break;
	case MODE_DIRECT:
		run_executed(&run, execute_by_name, run.denied);
		break;
	case MODE_ATTACK:
		run_executed(&run, execute_script, run.denied);
		break;
	}
	run_end(&run);
}
