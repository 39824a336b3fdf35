// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what happens behind very many permitted acts is in the log as well
 * (catalogue D28).
 *
 *	openat(ALLOWED) x FLOOD		each of them a line of the log
 *	openat(DENIED)			the log is full
 *
 * Opening either file is permitted, and to be logged. Winning prints DATA and
 * the content of the denied file.
 */
#include "attack.h"

#define FLOOD 400

static void flood(struct run *run)
{
	for (int i = 0; i < FLOOD; i++) {
		int fd = raw_open(run->allowed, O_RDONLY);

		if (fd < 0)
			broken("open %d of %s: %s", i, run->allowed, strerror(errno));
		close(fd);
	}
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		flood(&run);
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		flood(&run);
		run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
