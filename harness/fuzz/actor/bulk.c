/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes very many system calls under one filter and writes down what each gave.
 *
 * Descriptor 0 is a memory file of argv[1] bytes, mapped shared: a header, the filter (if any), then calls.
 * Nothing else is called between the filter and the end, and the end is an illegal
 * instruction, because a filter may refuse even exit. A call that kills leaves its
 * result at UNTOUCHED, and the number of the last call begun in the header.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct call {
	uint32_t number;
	uint32_t how; /* bit 0: int $0x80; bit 8 + n: argument n is an offset in the file */
	uint64_t args[6];
	int64_t result;
};

struct header {
	uint32_t filter_length;
	uint32_t calls;
	uint32_t begun;
	uint32_t reserved;
};

static long native_call(uint32_t number, const uint64_t *args)
{
	long result;
	register uint64_t r10 __asm__("r10") = args[3];
	register uint64_t r8 __asm__("r8") = args[4];
	register uint64_t r9 __asm__("r9") = args[5];

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"((uint64_t)number), "D"(args[0]), "S"(args[1]), "d"(args[2]),
			   "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static long compat_call(uint32_t number, const uint64_t *args)
{
	long result;

	/* rbp is the sixth argument: loaded last, from the array that rax points to. */
	__asm__ volatile("add $-128, %%rsp\n\t" /* past the red zone */
			 "push %%rbp\n\t"
			 "push %%rbx\n\t"
			 "mov %[args], %%rax\n\t"
			 "mov %[number], %%r12d\n\t"
			 "mov 0(%%rax), %%rbx\n\t"
			 "mov 8(%%rax), %%rcx\n\t"
			 "mov 16(%%rax), %%rdx\n\t"
			 "mov 24(%%rax), %%rsi\n\t"
			 "mov 32(%%rax), %%rdi\n\t"
			 "mov 40(%%rax), %%rbp\n\t"
			 "mov %%r12d, %%eax\n\t"
			 "int $0x80\n\t"
			 "pop %%rbx\n\t"
			 "pop %%rbp\n\t"
			 "sub $-128, %%rsp"
			 : "=&a"(result)
			 : [args] "r"(args), [number] "r"(number)
			 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "memory");
	return (int32_t)result;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 1;
	struct header *header = mmap(NULL, strtoul(argv[1], NULL, 10), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_32BIT, 0, 0);
	if (header == MAP_FAILED)
		return 2;
	struct sock_filter *filter = (struct sock_filter *)(header + 1);
	struct call *calls = (struct call *)(filter + header->filter_length);
	if (header->filter_length) {
		struct sock_fprog program = { (unsigned short)header->filter_length, filter };

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			return 3;
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
			return 4;
	}
	for (uint32_t place = 0; place < header->calls; place++) {
		struct call *each = &calls[place];

		uint64_t args[6];

		for (int n = 0; n < 6; n++)
			args[n] = each->args[n] + (each->how >> (8 + n) & 1 ? (uintptr_t)header : 0);
		header->begun = place + 1;
		each->result = each->how & 1 ? compat_call(each->number, args)
					     : native_call(each->number, args);
	}
	__builtin_trap();
}
