// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a descriptor that only names a place is no way to its content
 * (catalogue B16).
 *
 *	fd = openat(DENIED, O_PATH | O_WRONLY)	permitted: for writing, it says
 *	read(fd)				a descriptor given in its stead
 *	openat("/proc/self/fd/<fd>", O_RDONLY)	the place opened anew
 *
 * The policy permits opening the denied file for writing and nothing else; the
 * kernel ignores O_WRONLY beside O_PATH. Winning prints DATA and the content of
 * the denied file.
 */
#include "attack.h"

static void read_place(struct run *run, const char *name)
{
	int fd = raw_open(name, O_PATH | O_WRONLY);
	char again[64];

	run->attempts = 1;
	if (fd < 0) {
		run->error = errno;
		return;
	}
	run_opened(run, fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (run->wins)
		return;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	run_opened(run, raw_openat(AT_FDCWD, again, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_place(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_place(&run, run.denied);
		break;
	}
	run_end(&run);
}
