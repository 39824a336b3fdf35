// SPDX-License-Identifier: GPL-2.0-only
/*
 * Syscall user dispatch as an enforcer (x86-64): but for the instructions of the
 * section `own_calls`, every call of the process is a SIGSYS, whose handler judges it
 * and makes it. Opening what begins with the text of PRELOAD_DENIED is refused.
 * The kernel switches it off in every child (syscall-user-dispatch.rst).
 */
#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define BLOCK 1
#define SA_RESTORER 0x04000000

/* As rt_sigaction(2) takes it, without the C library. */
struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

extern const char __start_own_calls[], __stop_own_calls[];
long gate(long a, long b, long c, long d, long e, long f, long nr);
void back(void);

__asm__(".pushsection own_calls, \"ax\", @progbits\n"
	".globl gate, back\n.hidden gate\n.hidden back\n"
	"gate:\n"
	"	mov %rcx, %r10\n"
	"	mov 8(%rsp), %rax\n"
	"	syscall\n"
	"	ret\n"
	"back:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n"
	"	ret\n"
	".popsection\n");

static char selector = BLOCK;
static const char *denied;

static long judged(long nr, const greg_t *r)
{
	const char *name = (const char *)r[nr == SYS_openat ? REG_RSI : REG_RDI];

	if ((nr == SYS_openat || nr == SYS_open) && denied && name &&
	    !strncmp(name, denied, strlen(denied)))
		return -EACCES;
	if (nr == SYS_rt_sigaction && r[REG_RSI]) { /* SIGSYS must never be blocked */
		struct kernel_sigaction action = *(const struct kernel_sigaction *)r[REG_RSI];

		action.mask &= ~(1ul << (SIGSYS - 1));
		return gate(r[REG_RDI], (long)&action, r[REG_RDX], r[REG_R10], 0, 0, nr);
	}
	if (nr == SYS_vfork) /* its child would return here on our stack */
		nr = SYS_fork;
	return gate(r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9], nr);
}

static void on_call(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	if (info->si_syscall == SYS_rt_sigreturn) { /* of another handler: on its own stack */
		registers[REG_RIP] = (greg_t)back;
		return;
	}
	registers[REG_RAX] = judged(info->si_syscall, registers);
}

__attribute__((constructor)) static void begin(void)
{
	struct kernel_sigaction action = {
		.handler = on_call,
		.flags = SA_SIGINFO | SA_RESTORER | SA_NODEFER,
		.restorer = back,
	};

	denied = getenv("PRELOAD_DENIED");
	if (syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, 8) ||
	    prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, __start_own_calls,
		  __stop_own_calls - __start_own_calls, &selector))
		abort();
}
