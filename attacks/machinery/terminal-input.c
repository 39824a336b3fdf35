// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that may not type into the terminal that it was given does
 * not type into its controlling one by another descriptor (catalogue C22).
 *
 *	ioctl(0, TIOCSTI, c)		denied, or 0 is another terminal
 *	fd = open("/dev/tty")		the session's terminal is still that one
 *	ioctl(fd, TIOCSTI, c)
 *
 * The terminal is private to the run. A win puts the text of inject= into its
 * input queue, where the laboratory's end sees the echo. The twin writes print=
 * to it.
 */
#include "attack.h"

#include <sys/ioctl.h>
#include <termios.h>

static void inject(struct run *run, int terminal)
{
	long result = 0;

	for (const char *at = run->inject; *at && result >= 0; at++)
		result = syscall(SYS_ioctl, JUNK(terminal), (unsigned long)TIOCSTI, at);
	run_result(run, result);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	int terminal = raw_open(run.tty, O_RDWR | O_NOCTTY);

	if (terminal < 0 || (terminal && dup2(terminal, STDIN_FILENO)))
		broken("%s: %s", run.tty, strerror(errno));
	run.attempts = 1;
	switch (run.mode) {
	case MODE_BENIGN:
		run_result(&run, write(STDIN_FILENO, run.print, strlen(run.print)));
		break;
	case MODE_DIRECT:
		inject(&run, STDIN_FILENO);
		break;
	case MODE_ATTACK:
		inject(&run, raw_open("/dev/tty", O_RDWR));
		break;
	}
	run_end(&run);
}
