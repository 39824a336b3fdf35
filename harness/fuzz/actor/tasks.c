/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree of tasks that make the system calls of a program, each call in the task it names.
 *
 * Descriptor SHARED is a memory file, mapped shared at BASE in every task: a header, then calls,
 * then their memory. In a batch the tasks take turns (a futex on the header's turn), so that the
 * order of all calls is that of the program. Told step by step, each task reads the place of its
 * next call from a socket of its own, CHANNEL + task, and writes it back when the call is made.
 *
 * usage: tasks BYTES [TASK PLACE]; with TASK and PLACE it is the new image of that task, made by
 * the call at PLACE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define SHARED 900
#define CHANNEL 901
#define BASE 0x100000000000UL /* nothing is put there by chance: the heap begins within 1 GiB of us */
#define TASKS 16
#define STACK 16384
#define PERMITTED 'p' /* what files that may be read begin with */

enum operation { CALL, CLONE, EXEC, EXIT, STORE, LOAD, RACE };

struct call {
	uint32_t operation;
	uint32_t task;
	uint32_t number;
	uint32_t references; /* bit n: argument n is the place of an earlier call, whose result is meant */
	uint64_t args[6];
	int64_t result;
};

struct header {
	uint32_t turn;
	uint32_t calls;
	uint32_t told;
	uint32_t reserved;
	uint32_t maker[TASKS]; /* who makes a task's calls: its parent, when it could not be made */
};

static char stacks[TASKS][STACK] __attribute__((aligned(64)));
static char *size_text;

static struct header *const header = (struct header *)BASE;
static struct call *const calls = (struct call *)(BASE + sizeof(struct header));

static long raw(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	long result;
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/*
 * A task in the same memory that calls `function` on a stack of its own, which never returns.
 * musl's wrapper refuses to make threads.
 */
static long start(void (*function)(void *), char *top, uint64_t flags, void *argument)
{
	void **stack = (void **)top - 2;
	long result;
	register uint64_t r10 __asm__("r10") = 0;
	register uint64_t r8 __asm__("r8") = 0;

	stack[0] = (void *)function;
	stack[1] = argument;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "pop %%rax\n\t"
			 "pop %%rdi\n\t"
			 "call *%%rax\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone), "D"(flags), "S"(stack), "d"(0UL), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

static void next_turn(uint32_t place)
{
	__atomic_store_n(&header->turn, place + 1, __ATOMIC_SEQ_CST);
	raw(SYS_futex, (uintptr_t)&header->turn, FUTEX_WAKE, TASKS, 0, 0, 0);
}

/* The call at `place` is made: let the next one be made. */
static void finished(uint32_t place, uint32_t task)
{
	if (header->told)
		raw(SYS_write, CHANNEL + task, (uintptr_t)&place, sizeof(place), 0, 0, 0);
	else
		next_turn(place);
}

static void perform(uint32_t place, uint32_t task);

static __attribute__((noreturn)) void follow(uint32_t task)
{
	uint32_t place;

	for (;;) {
		if (header->told) {
			if (raw(SYS_read, CHANNEL + task, (uintptr_t)&place, sizeof(place), 0, 0, 0) <= 0)
				break;
		} else {
			place = __atomic_load_n(&header->turn, __ATOMIC_SEQ_CST);
			if (place >= header->calls)
				break;
			if (header->maker[calls[place].task % TASKS] != task) {
				raw(SYS_futex, (uintptr_t)&header->turn, FUTEX_WAIT, place, 0, 0, 0);
				continue;
			}
		}
		perform(place, task);
	}
	for (;;)
		raw(SYS_exit, 0, 0, 0, 0, 0, 0);
}

static __attribute__((noreturn)) void born(uint32_t place)
{
	uint32_t task = (uint32_t)calls[place].args[1];

	calls[place].result = raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
	finished(place, task);
	follow(task);
}

static void enter(void *place)
{
	born((uint32_t)(uintptr_t)place);
}

/* args: flags, the new task, whether by clone3. */
static long make_task(uint32_t place, const uint64_t *args)
{
	uint64_t flags = args[0];
	long result;

	if (args[2]) {
		struct clone_args how = { .flags = flags & ~0xffUL, .exit_signal = flags & 0xff };

		result = raw(SYS_clone3, (uintptr_t)&how, sizeof(how), 0, 0, 0, 0);
	} else if (flags & CLONE_VM) {
		return start(enter, stacks[args[1] % TASKS] + STACK, flags, (void *)(uintptr_t)place);
	} else {
		result = raw(SYS_clone, flags, 0, 0, 0, 0, 0);
	}
	if (result == 0)
		born(place);
	return result;
}

static void write_number(char *text, uint32_t number)
{
	char digits[12];
	int count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		*text++ = digits[--count];
	*text = 0;
}

/* args: address of a path, whether by execveat. */
static long execute(uint32_t place, uint32_t task, const uint64_t *args)
{
	char task_text[12], place_text[12];
	char *argv[] = { "tasks", size_text, task_text, place_text, NULL };
	char *envp[] = { NULL };

	write_number(task_text, task);
	write_number(place_text, place);
	if (args[1])
		return raw(SYS_execveat, (uint64_t)-100, args[0], (uintptr_t)argv, (uintptr_t)envp, 0, 0);
	return raw(SYS_execve, args[0], (uintptr_t)argv, (uintptr_t)envp, 0, 0, 0);
}

struct flip {
	volatile char *path;
	const char *names[2];
	volatile int stop;
};

static void flip(void *argument)
{
	struct flip *flipping = argument;

	for (unsigned turn = 0; !flipping->stop; turn++)
		for (int n = 0; flipping->names[turn & 1][n]; n++)
			flipping->path[n] = flipping->names[turn & 1][n];
	flipping->stop = 2;
	raw(SYS_exit, 0, 0, 0, 0, 0, 0);
}

/*
 * args: where the path lies, two names of one length, where to read to, how many bytes, attempts.
 * A second thread writes one name over the other while this one opens; the result is how often a
 * file was opened, and what was read last stays in memory.
 */
static long race(const uint64_t *args)
{
	struct flip flipping = { (char *)args[0], { (char *)args[1], (char *)args[2] }, 0 };
	volatile char *content = (char *)args[3];
	long opened = 0;
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
	long made = start(flip, stacks[TASKS - 1] + STACK, (uint64_t)flags, &flipping);

	if (made < 0)
		return made;
	for (uint64_t n = 0; n < args[5]; n++) {
		long fd = raw(SYS_openat, (uint64_t)-100, args[0], 0, 0, 0, 0);

		if (fd < 0)
			continue;
		opened++;
		raw(SYS_read, (uint64_t)fd, args[3], args[4], 0, 0, 0);
		raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
		if (*content != PERMITTED)
			break;
	}
	flipping.stop = 1;
	while (flipping.stop != 2)
		raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return opened;
}

static void perform(uint32_t place, uint32_t task)
{
	struct call *each = &calls[place];
	uint64_t args[6];

	for (int n = 0; n < 6; n++)
		args[n] = each->references >> n & 1 ? (uint64_t)calls[each->args[n]].result : each->args[n];
	switch (each->operation) {
	case CALL:
		each->result = raw(each->number, args[0], args[1], args[2], args[3], args[4], args[5]);
		break;
	case CLONE: {
		long result = make_task(place, args);

		each->result = result;
		/* The newborn has taken the turn; told step by step, both say so. */
		if (result >= 0 && !header->told) {
			while (__atomic_load_n(&header->turn, __ATOMIC_SEQ_CST) == place)
				raw(SYS_futex, (uintptr_t)&header->turn, FUTEX_WAIT, place, 0, 0, 0);
			return;
		}
		if (!header->told)
			header->maker[args[1] % TASKS] = task;
		break;
	}
	case EXEC:
		each->result = each->task != task ? -ECHILD : execute(place, task, args);
		break;
	case EXIT:
		each->result = each->task != task ? -ECHILD : 0;
		if (each->result)
			break;
		finished(place, task);
		for (;;)
			raw(args[0] ? SYS_exit_group : SYS_exit, 0, 0, 0, 0, 0, 0);
	case STORE:
		*(int32_t *)args[0] = (int32_t)args[1];
		each->result = 0;
		break;
	case LOAD:
		each->result = *(int32_t *)args[0];
		break;
	case RACE:
		each->result = race(args);
		break;
	}
	finished(place, task);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	/* What a call gives is its result, however the program was started: EPIPE, EFBIG. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	size_text = argv[1];
	if (mmap((void *)BASE, strtoul(size_text, NULL, 10), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, SHARED, 0) != (void *)BASE)
		return 2;
	if (argc < 4)
		follow(0);

	uint32_t task = (uint32_t)strtoul(argv[2], NULL, 10);
	uint32_t place = (uint32_t)strtoul(argv[3], NULL, 10);

	calls[place].result = 0;
	finished(place, task);
	follow(task);
}
