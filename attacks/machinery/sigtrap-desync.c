// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the tracer tells a call's entry from its return, and both from a
 * signal (catalogue D4).
 *
 *	target			tracer without PTRACE_O_TRACESYSGOOD
 *	tgkill(SIGTRAP)		entry, return
 *	the signal arrives	SIGTRAP again: the next entry
 *	openat(DENIED)		a return: not looked at
 *
 * The signal is ignored where it arrives. Winning prints DATA and the content
 * of the denied file.
 */
#include "attack.h"

#include <signal.h>

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		warm_up(O_RDONLY);
		signal(SIGTRAP, SIG_IGN);
		if (syscall(SYS_tgkill, JUNK(getpid()), syscall(SYS_gettid), JUNK(SIGTRAP)))
			broken("tgkill: %s", strerror(errno));
		run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
