// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that may not have memory to write and execute does not write
 * to its own text either (catalogue C21).
 *
 *	mmap(PROT_WRITE | PROT_EXEC)		denied
 *	pwrite(/proc/self/mem, code, text)	asks for no right of the page
 *
 * Reading the denied file is permitted, and what was read comes out by the code
 * that was written only. The twin runs code of the program's own. Winning prints
 * DATA and the content.
 */
#include "generated.h"

/* A page of the program's text, for what is written into it. */
extern char host[];
__asm__(".text\n.balign 4096\nhost:\n.zero 4096\n");

static void *by_procfs(void)
{
	int fd = raw_open("/proc/self/mem", O_RDWR);

	return fd >= 0 && pwrite(fd, page, PAGE, (off_t)(uintptr_t)host) == PAGE ? host : NULL;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_own_code(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_code(&run, run.denied, both_at_once);
		break;
	case MODE_ATTACK:
		run_code(&run, run.denied, by_procfs);
		break;
	}
	run_end(&run);
}
