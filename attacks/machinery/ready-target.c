// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that says itself when it is confined can reach nothing else
 * from then on, and nothing of before is left to it (catalogue D23, C2).
 *
 *	ready, openat(DENIED)		the denied act
 *	openat(DENIED), ready, read	early: what was opened before stays usable
 *	ready, int $0x80, eax = 5	compat: the i386 table's open
 *
 * The variants are the latter two; the twin goes the way of the first on the
 * permitted file. Winning prints DATA and the content of the denied file.
 */
#include "ready.h"

#define I386_OPEN 5

static int open_by_compat(const char *low)
{
#ifdef __x86_64__
	long result = I386_OPEN;

	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(low), "c"(O_RDONLY), "d"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	return result < 0 ? -1 : (int)result;
#else
	(void)low;
	unsupported("one table of calls only");
#endif
}

/* Below 4 GiB, where the other gate takes names from. */
static const char *low_copy(const char *name)
{
	char *low = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE,
#ifdef MAP_32BIT
			 MAP_32BIT |
#endif
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (low == MAP_FAILED)
		broken("no room below 4 GiB: %s", strerror(errno));
	return strcpy(low, name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	const char *name = low_copy(run.denied);
	int fd = -1;

	if (run.mode == MODE_BENIGN)
		fd = (int)raw_open(run.allowed, O_RDONLY);
	else if (run.mode == MODE_ATTACK && !strcmp(run.variant, "early"))
		fd = (int)raw_open(run.denied, O_RDONLY);
	run_ready();
	if (run.mode == MODE_DIRECT)
		fd = (int)raw_open(run.denied, O_RDONLY);
	else if (run.mode == MODE_ATTACK && !strcmp(run.variant, "compat"))
		fd = open_by_compat(name);
	run_held(&run, fd);
	run_end_ready(&run);
}
