// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a call is judged wherever the instruction stands that makes it
 * (catalogue D24).
 *
 *	mmap(PROT_WRITE), the instruction, mprotect(PROT_EXEC)
 *	call it			openat(DENIED): no scan of the program has seen it
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

typedef int (*opener)(int number, int dirfd, const char *name, int flags);

/* mov %edi, %eax; mov %esi, %edi; mov %rdx, %rsi; mov %ecx, %edx; syscall; ret */
static const unsigned char code[] = {
	0x89, 0xf8, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x89, 0xca, 0x0f, 0x05, 0xc3,
};

static void read_by_new_code(struct run *run, const char *name)
{
	void *site = mmap(NULL, sizeof(code), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	if (site == MAP_FAILED)
		broken("mmap: %s", strerror(errno));
	memcpy(site, code, sizeof(code));
	if (mprotect(site, sizeof(code), PROT_READ | PROT_EXEC))
		broken("mprotect: %s", strerror(errno));
	run->attempts = 1;
	fd = ((opener)(uintptr_t)site)(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		errno = -fd;
	run_opened(run, fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_by_new_code(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_by_new_code(&run, run.denied);
		break;
	}
	run_end(&run);
}
