// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a target under `broker` begins with: it maps the program, and the loader
 * of a dynamic one, as execve(2) does, makes every call that opens a file end in
 * a handler here (SIGSYS), and jumps into the program. It stays mapped.
 *
 *	STUB CHANNEL PROGRAM -- ARGUMENT...	the program gets ARGUMENT...
 *
 * There is no C library: the program brings its own, and both would want the
 * same thread pointer.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#define PAGE 4096UL
#define FAILED 125
#define SHIFT 4 /* words of ours before the program's own; the stack stays aligned */
#define BEGUN (-1) /* instead of a call: the filter is on */
#define TAKEN_S 10 /* within which a broker that is not stopped says that it has a question */
#define RESTORER 0x04000000
#define FROM_SECCOMP 1 /* si_code of seccomp's SIGSYS */

/* As enforcer/mechanisms/broker/channel.py unpacks it; the name follows. */
struct question {
	int call, tid, dirfd, unused;
	unsigned long flags, mode, resolve;
};

struct image {
	unsigned long base, entry, headers, count;
	char loader[PATH_MAX];
};

struct action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static int channel;
static int stopped; /* a question was not taken: no further one waits */

void *memset(void *to, int value, size_t size)
{
	for (volatile char *at = to; size--; at++)
		*at = (char)value;
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long fourth __asm__("r10") = d, fifth __asm__("r8") = e, sixth __asm__("r9") = f;
	long answer;

	__asm__ volatile("syscall"
			 : "=a"(answer)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
			 : "rcx", "r11", "memory");
	return answer;
}

#define CALL(n, a, b, c) call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static _Noreturn void fail(const char *what)
{
	size_t size = 0;

	while (what[size])
		size++;
	CALL(SYS_write, 2, what, size);
	for (;;)
		CALL(SYS_exit_group, FAILED, 0, 0);
}

/* Whatever the target gives: a bad address is EFAULT, as the kernel says. */
static long copied(void *to, unsigned long from, size_t size)
{
	struct iovec here = { to, size }, there = { (void *)from, size };

	return call(SYS_process_vm_readv, CALL(SYS_getpid, 0, 0, 0), (long)&here, 1, (long)&there,
		    1, 0);
}

/* The size of a name with its end, or -errno. It is read once, here. */
static long copied_name(char *to, unsigned long from)
{
	size_t done = 0;

	while (done < PATH_MAX) {
		size_t rest = PAGE - (from + done) % PAGE;
		long got = copied(to + done, from + done, rest < PATH_MAX - done ? rest : PATH_MAX - done);

		if (got <= 0)
			return -EFAULT;
		for (long i = 0; i < got; i++)
			if (!to[done + i])
				return done + i + 1;
		done += got;
	}
	return -ENAMETOOLONG;
}

/* The lowest number that is free, as an open gives. */
static long lowest(int fd, int command)
{
	long lower = CALL(SYS_fcntl, fd, command, 0);

	if (lower < 0)
		return fd;
	if (lower > fd) {
		CALL(SYS_close, lower, 0, 0);
		return fd;
	}
	CALL(SYS_close, fd, 0, 0);
	return lower;
}

/* Whether the broker took the question: whoever has its user id can stop it. */
static int taken(int end)
{
	struct timespec left = { TAKEN_S, 0 };
	struct pollfd waits = { end, POLLIN, 0 };
	char said[sizeof(long)];
	long done;

	do /* the kernel writes into `left` what is left */
		done = call(SYS_ppoll, (long)&waits, 1, (long)&left, 0, 0, 0);
	while (done == -EINTR);
	stopped |= !done;
	return done > 0 && CALL(SYS_read, end, said, sizeof(said)) == sizeof(said);
}

/* Ask by a pair of this question's own, so that no answer is another's. */
static long asked(struct question *question, const char *name, size_t size)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec parts[2] = { { question, sizeof(*question) }, { (void *)name, size } };
	struct msghdr message = { .msg_iov = parts,
				  .msg_iovlen = 2,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int pair[2];
	long said = -EIO, done;

	if (stopped)
		return -EIO;
	done = call(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, (long)pair, 0, 0);
	if (done < 0)
		return done;
	question->tid = (int)CALL(SYS_gettid, 0, 0, 0);
	*(int *)CMSG_DATA(&control.header) = pair[1];
	do /* a channel with a limit of time restarts nothing; see channel.py */
		done = CALL(SYS_sendmsg, channel, &message, MSG_NOSIGNAL);
	while (done == -EINTR);
	CALL(SYS_close, pair[1], 0, 0);
	if (done > 0 && taken(pair[0])) {
		int on_exec = question->flags & O_CLOEXEC ? MSG_CMSG_CLOEXEC : 0;

		parts[0] = (struct iovec){ &said, sizeof(said) };
		message.msg_iovlen = 1;
		do {
			message.msg_controllen = sizeof(control);
			done = CALL(SYS_recvmsg, pair[0], &message, on_exec);
		} while (done == -EINTR);
	} else {
		stopped |= done == -EAGAIN;
		done = 0;
	}
	CALL(SYS_close, pair[0], 0, 0);
	if (done != sizeof(said))
		return -EIO;
	if (said || !message.msg_controllen)
		return said;
	return lowest(*(int *)CMSG_DATA(&control.header),
		      question->flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD);
}

static long opened(struct question *question, unsigned long name)
{
	char copy[PATH_MAX];
	long size = copied_name(copy, name);

	return size < 0 ? size : asked(question, copy, size);
}

static long opened_how(struct question *question, unsigned long name, unsigned long how,
		       unsigned long size)
{
	struct open_how copy;

	if (size < sizeof(copy))
		return -EINVAL;
	if (size > sizeof(copy))
		return -E2BIG;
	if (copied(&copy, how, sizeof(copy)) != sizeof(copy))
		return -EFAULT;
	question->flags = copy.flags;
	question->mode = copy.mode;
	question->resolve = copy.resolve;
	return opened(question, name);
}

static long answered(int number, const greg_t *r)
{
	struct question question = { .call = number, .dirfd = AT_FDCWD };

	switch (number) {
	case SYS_open:
		question.flags = (unsigned int)r[REG_RSI];
		question.mode = (unsigned short)r[REG_RDX];
		return opened(&question, r[REG_RDI]);
	case SYS_creat:
		question.flags = O_CREAT | O_WRONLY | O_TRUNC;
		question.mode = (unsigned short)r[REG_RSI];
		return opened(&question, r[REG_RDI]);
	case SYS_openat:
		question.dirfd = (int)r[REG_RDI];
		question.flags = (unsigned int)r[REG_RDX];
		question.mode = (unsigned short)r[REG_R10];
		return opened(&question, r[REG_RSI]);
	case SYS_openat2:
		question.dirfd = (int)r[REG_RDI];
		return opened_how(&question, r[REG_RSI], r[REG_RDX], r[REG_R10]);
	}
	/* A new program would have the filter and no handler. */
	return -EACCES;
}

static void on_call(int signal, siginfo_t *information, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	if (information->si_code == FROM_SECCOMP)
		r[REG_RAX] = answered(information->si_syscall, r);
}

void restorer(void);
__asm__("restorer: mov $15, %eax\n\tsyscall\n"); /* rt_sigreturn */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ON(number, action) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

static void confine(void)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* x32 */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_open, SECCOMP_RET_TRAP),
		ON(SYS_openat, SECCOMP_RET_TRAP),
		ON(SYS_openat2, SECCOMP_RET_TRAP),
		ON(SYS_creat, SECCOMP_RET_TRAP),
		ON(SYS_execve, SECCOMP_RET_TRAP),
		ON(SYS_execveat, SECCOMP_RET_TRAP),
		ON(SYS_open_by_handle_at, SECCOMP_RET_ERRNO | EACCES),
		ON(SYS_io_uring_setup, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	struct action action = { on_call, SA_SIGINFO | SA_NODEFER | SA_RESTART | RESTORER, restorer,
				 0 };
	struct question begun = { .call = BEGUN };

	if (call(SYS_rt_sigaction, SIGSYS, (long)&action, 0, sizeof(action.mask), 0, 0) ||
	    CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0) ||
	    CALL(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		fail("stub: no filter\n");
	if (asked(&begun, "", 1))
		fail("stub: no broker\n");
}

static unsigned long down(unsigned long address)
{
	return address & ~(PAGE - 1);
}

static unsigned long placed(unsigned long at, size_t size, int access, int flags, int fd,
			    unsigned long offset)
{
	long found = call(SYS_mmap, at, size, access, flags, fd, offset);

	if (found < 0 && found > -(long)PAGE)
		fail("stub: no room for the program\n");
	return found;
}

static void map_segment(const Elf64_Phdr *part, unsigned long base, int fd)
{
	unsigned long start = base + part->p_vaddr, filled = start + part->p_filesz;
	unsigned long end = down(start + part->p_memsz + PAGE - 1);
	unsigned long backed = down(filled + PAGE - 1);
	int access = (part->p_flags & PF_R ? PROT_READ : 0) |
		     (part->p_flags & PF_W ? PROT_WRITE : 0) |
		     (part->p_flags & PF_X ? PROT_EXEC : 0);

	if (part->p_filesz)
		placed(down(start), filled - down(start), access, MAP_PRIVATE | MAP_FIXED, fd,
		       down(part->p_offset));
	else
		backed = down(start);
	if (part->p_filesz && part->p_memsz > part->p_filesz && access & PROT_WRITE)
		memset((void *)filled, 0, backed - filled);
	if (end > backed)
		placed(backed, end - backed, access, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
}

static void map_program(const char *path, struct image *image)
{
	Elf64_Ehdr head;
	Elf64_Phdr parts[64];
	unsigned long low = ~0UL, high = 0;
	int fd = (int)CALL(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0 || CALL(SYS_read, fd, &head, sizeof(head)) != sizeof(head) ||
	    head.e_machine != EM_X86_64 || head.e_phnum > 64 ||
	    call(SYS_pread64, fd, (long)parts, head.e_phnum * sizeof(*parts), head.e_phoff, 0, 0) !=
		    (long)(head.e_phnum * sizeof(*parts)))
		fail("stub: no program for x86-64\n");
	for (int i = 0; i < head.e_phnum; i++) {
		if (parts[i].p_type != PT_LOAD)
			continue;
		low = down(parts[i].p_vaddr) < low ? down(parts[i].p_vaddr) : low;
		high = parts[i].p_vaddr + parts[i].p_memsz;
	}
	image->base = head.e_type == ET_DYN ?
			      placed(0, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) -
				      low :
			      0;
	if (head.e_type == ET_EXEC)
		placed(low, high - low, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	image->entry = image->base + head.e_entry;
	image->count = head.e_phnum;
	for (int i = 0; i < head.e_phnum; i++) {
		const Elf64_Phdr *part = &parts[i];

		if (part->p_type == PT_LOAD) {
			map_segment(part, image->base, fd);
			if (part->p_offset <= head.e_phoff &&
			    head.e_phoff < part->p_offset + part->p_filesz)
				image->headers = image->base + part->p_vaddr + head.e_phoff -
						 part->p_offset;
		}
		if (part->p_type == PT_INTERP && part->p_filesz <= sizeof(image->loader))
			call(SYS_pread64, fd, (long)image->loader, part->p_filesz, part->p_offset, 0,
			     0);
	}
	CALL(SYS_close, fd, 0, 0);
}

static void tell(unsigned long *auxiliary, const struct image *image, unsigned long loader,
		 const char *path)
{
	for (; auxiliary[0] != AT_NULL; auxiliary += 2) {
		switch (auxiliary[0]) {
		case AT_PHDR:
			auxiliary[1] = image->headers;
			break;
		case AT_PHNUM:
			auxiliary[1] = image->count;
			break;
		case AT_BASE:
			auxiliary[1] = loader;
			break;
		case AT_ENTRY:
			auxiliary[1] = image->entry;
			break;
		case AT_EXECFN:
			auxiliary[1] = (unsigned long)path;
			break;
		}
	}
}

static int number_in(const char *text)
{
	int number = 0;

	while (*text)
		number = number * 10 + *text++ - '0';
	return number;
}

/* `stack` as the kernel leaves it: the count of arguments, they, the environment, the auxv. */
__attribute__((used)) static _Noreturn void begin(unsigned long *stack)
{
	static struct image program, loader;
	char **arguments = (char **)(stack + 1);
	unsigned long *at = stack + SHIFT, entry;

	if (stack[0] <= SHIFT)
		fail("stub: CHANNEL PROGRAM -- ARGUMENT...\n");
	channel = number_in(arguments[1]);
	map_program(arguments[2], &program);
	entry = program.entry;
	if (program.loader[0]) {
		map_program(program.loader, &loader);
		entry = loader.entry;
	}
	at[0] = stack[0] - SHIFT;
	stack = at + 1 + at[0] + 1;
	while (*stack)
		stack++;
	tell(stack + 1, &program, loader.base, arguments[2]);
	confine();
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%edx, %%edx\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "jmp *%1"
			 :
			 : "a"(at), "c"(entry)
			 : "memory", "rdx");
	__builtin_unreachable();
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
