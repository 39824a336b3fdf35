// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: renaming that is denied call by call is denied to whoever asks and
 * however it is asked for (catalogue C1, C2, C5).
 *
 *	renameat2(ALLOWED, DENIED)	the denied call
 *	the same in a child		child: what was begun is inherited
 *	int $0x80, eax = 302		compat: the i386 table's renameat
 *	ring: IORING_OP_RENAMEAT	ring: no rename is ever entered
 *
 * The variants are the latter three. The twin appends to the permitted file. A
 * win puts another file in the denied one's place.
 */
#include "ring.h"

#define I386_RENAMEAT 302

static long by_compat(const char *from, const char *to)
{
#ifdef __x86_64__
	long result = I386_RENAMEAT;
	size_t length = strlen(from) + 1;
	char *low = mmap(NULL, 2 * PATH_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (low == MAP_FAILED)
		broken("no room below 4 GiB: %s", strerror(errno));
	strcpy(low, from);
	strcpy(low + length, to);
	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(AT_FDCWD), "c"(low), "d"(AT_FDCWD), "S"(low + length)
			 : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	return result < 0 ? -1 : 0;
#else /* one table only: the other call of the same kind, in it */
	return syscall(SYS_renameat, JUNK(AT_FDCWD), from, JUNK(AT_FDCWD), to);
#endif
}

static long by_ring(const char *from, const char *to)
{
	const struct io_uring_sqe entry = {
		.opcode = IORING_OP_RENAMEAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)from,
		.len = (uint32_t)AT_FDCWD,
		.addr2 = (uintptr_t)to,
	};
	struct ring ring;

	return ring_make(&ring) ? ring_do(&ring, &entry) : -1;
}

static long by_child(const char *from, const char *to)
{
	int *error = shared_memory(sizeof(*error));
	pid_t child = fork();

	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (child == 0) {
		*error = raw_rename(from, to) ? errno : 0;
		_exit(0);
	}
	waitpid(child, NULL, 0);
	errno = *error;
	return errno ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run.attempts = 1;
	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_write(&run, run.allowed, O_APPEND);
		break;
	case MODE_DIRECT:
		run_result(&run, raw_rename(run.allowed, run.denied));
		break;
	case MODE_ATTACK:
		if (!strcmp(run.variant, "ring"))
			run_result(&run, by_ring(run.allowed, run.denied));
		else if (!strcmp(run.variant, "compat"))
			run_result(&run, by_compat(run.allowed, run.denied));
		else
			run_result(&run, by_child(run.allowed, run.denied));
		break;
	}
	run_end(&run);
}
