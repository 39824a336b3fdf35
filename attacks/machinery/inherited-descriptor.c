// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: no descriptor that was opened before enforcement began is left to the
 * target (catalogue C26).
 *
 *	launcher			target
 *	open(DENIED) = 7
 *	confines itself, execve ----->	read(7)
 *
 * Where nothing was left, the denied file is opened plainly. Winning prints
 * DATA and the content of the denied file.
 */
#include "descriptors.h"

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
		for (int fd = FIRST_DESCRIPTOR; fd <= LAST_DESCRIPTOR && !run.wins; fd++)
			run_if_file(&run, fd);
		run.attempts = 1;
		if (!run.wins)
			run_plain_read(&run, run.denied);
		break;
	}
	run_end(&run);
}
