// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: calls that an enforcer makes the target do are those that are done
 * (catalogue D37).
 *
 *	opener (fresh memory)	peer			enforcer
 *	openat(ALLOWED)	------------------------------>	injects calls first (maps its
 *							copies): back to `syscall`
 *				`syscall` := jump
 *	jumps; openat(DENIED)				takes it for its own call
 *
 * Each attempt executes this program anew, for only in fresh memory there is
 * something to inject. Without an enforcer the instruction is used once more,
 * replaced by then. Winning prints DATA and the content of the denied file.
 */
#include "execute.h"
#include "race.h"

#define CALL_AT 15
#define OTHER_AT 32
#define FILES 32
#define TRIES 20

/* mov rax, rdi; mov rdi, rsi; mov rsi, rdx; mov rdx, rcx; mov r10, r8; syscall; ret */
static const unsigned char call[] = {
	0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6,
	0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2, 0x0f, 0x05, 0xc3,
};

/* mov eax, openat; mov edi, AT_FDCWD; mov rsi, NAME; xor edx, edx; xor r10d, r10d; syscall; ret */
static unsigned char other[] = {
	0xb8, 1,    1,    0, 0, 0xbf, 0x9c, 0xff, 0xff, 0xff, 0x48, 0xbe, 0,    0,    0,
	0,    0,    0,    0, 0, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0x0f, 0x05, 0xc3,
};

static const char *names[2];
static unsigned char *code;
static _Atomic bool ready, go;

static int peer(void *unused)
{
	(void)unused;
	atomic_store(&ready, true);
	while (!atomic_load(&go))
		let_run();
	*(volatile unsigned short *)(code + CALL_AT) = 0x0feb; /* jmp +15 */
	_exit(0);
}

static void open_by_code(void)
{
	typedef long (*opening)(long, long, const char *, long, long);

	((opening)(uintptr_t)code)(SYS_openat, AT_FDCWD, names[0], O_RDONLY, 0);
}

/* In the program executed anew: nothing was opened before. Prints what it has open at the end. */
static void open_beside_peer(void)
{
	char *stack = shared_memory(65536), line[CONTENT_MAX];
	pid_t child;

	code = shared_memory(4096);
	mprotect(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(other + 12, &names[1], sizeof(names[1]));
	memcpy(code, call, sizeof(call));
	memcpy(code + OTHER_AT, other, sizeof(other));
	child = clone(peer, stack + 65536, CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
	wait_until(&ready);
	atomic_store(&go, strcmp(names[0], names[1])); /* the benign twin's comes when all is done */
	open_by_code();
	atomic_store(&go, true);
	waitpid(child, NULL, __WALL);
	open_by_code();
	for (int fd = FILES; fd > 2; fd--)
		if (take_line(fd, line))
			puts(line);
}

static void execute_anew(const char *name)
{
	char *const arguments[] = { "injected-call", (char *)(uintptr_t)names[0],
				    (char *)(uintptr_t)name, NULL };

	execve("/proc/self/exe", arguments, no_environment);
}

static void attempt(struct run *run, const char *name)
{
	char line[CONTENT_MAX];

	if (!executed(execute_anew, name, line)) {
		run->error = errno;
	} else if (strcmp(line, run->decoy) || name == run->allowed) {
		run->wins++;
		memcpy(run->content, line, sizeof(line));
	}
}

int main(int argc, char **argv)
{
	struct run run;

	if (!strcmp(argv[0], "injected-call") && argc == 3) {
		names[0] = argv[1];
		names[1] = argv[2];
		open_beside_peer();
		return 0;
	}
	run = run_begin(argc, argv);
	names[0] = run.allowed;
	if (run.mode == MODE_DIRECT)
		run_plain_read(&run, run.denied);
	else
		run_learn_decoy(&run);
	run.limit = run.mode == MODE_ATTACK ? TRIES : run.mode == MODE_BENIGN;
	while (!run.wins && run_next(&run))
		attempt(&run, run.mode == MODE_BENIGN ? run.allowed : run.denied);
	run_end(&run);
}
