// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: an open by the newest call of the family is judged like the others
 * (catalogue C4, D9).
 *
 *	openat(DENIED, O_TRUNC)		on the list
 *	openat2(DENIED, {O_TRUNC})	made after the list was written
 *
 * The denied act is to open for truncation, which filters on registers can tell
 * too; its twin appends, by a plain open, because refusing a call whose flags
 * lie in memory is a sound defence. A win replaces the content of the denied
 * file by the nonce.
 */
#include "attack.h"

static int open_for_truncation(const char *name)
{
	struct open_how_v0 how = { .flags = O_WRONLY | O_TRUNC | O_CLOEXEC };

	return (int)syscall(SYS_openat2, JUNK(way_from), name, &how, sizeof(how));
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
		run.attempts = 1;
		run_opened_to_write(&run, open_for_truncation(run.denied));
		break;
	}
	run_end(&run);
}
