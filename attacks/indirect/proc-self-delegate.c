// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a supervisor that opens for the target takes /proc/self for the
 * target's, not for its own (catalogue B14).
 *
 *	target				supervisor
 *					keeps DENIED open as 9
 *	openat("/proc/self/fd/9") --->	opens it, and hands it over
 *
 * Every number that a supervisor may use is tried. Where none leads to a file,
 * the denied one is opened plainly. Winning prints DATA and the content of the
 * denied file.
 */
#include "descriptors.h"

static void attack(struct run *run)
{
	char name[32];

	for (int fd = FIRST_DESCRIPTOR; fd <= LAST_DESCRIPTOR && !run->wins; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		run_if_file(run, raw_openat(AT_FDCWD, name, O_RDONLY | O_NONBLOCK));
	}
	run->attempts = 1;
	if (!run->wins)
		run_plain_read(run, run->denied);
}

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
		attack(&run);
		break;
	}
	run_end(&run);
}
