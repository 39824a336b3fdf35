/*
 * Opens by inline assembly with every register known, under a storm of SA_RESTART signals, and
 * compares all of them afterwards. The blocking open of a FIFO must be restarted with the original
 * number and arguments. Prints "opens N restarts N signals N" and exits with 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct registers {
	unsigned long rax, rdi, rsi, rdx, r10, r8, r9, rbx, r12, r13, r14, r15, rbp, flags;
};

static volatile sig_atomic_t signals;

static void count(int number)
{
	(void)number;
	signals++;
}

extern void call(struct registers *in_and_out);
__asm__(".text\n.globl call\n.type call,@function\ncall:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rdi\n"
	"mov %rdi, %r11\n"
	"mov 0(%r11), %rax\nmov 8(%r11), %rdi\nmov 16(%r11), %rsi\nmov 24(%r11), %rdx\n"
	"mov 32(%r11), %r10\nmov 40(%r11), %r8\nmov 48(%r11), %r9\nmov 56(%r11), %rbx\n"
	"mov 64(%r11), %r12\nmov 72(%r11), %r13\nmov 80(%r11), %r14\nmov 88(%r11), %r15\n"
	"mov 96(%r11), %rbp\n"
	"syscall\n"
	"mov (%rsp), %r11\n"
	"mov %rax, 0(%r11)\nmov %rdi, 8(%r11)\nmov %rsi, 16(%r11)\nmov %rdx, 24(%r11)\n"
	"mov %r10, 32(%r11)\nmov %r8, 40(%r11)\nmov %r9, 48(%r11)\nmov %rbx, 56(%r11)\n"
	"mov %r12, 64(%r11)\nmov %r13, 72(%r11)\nmov %r14, 80(%r11)\nmov %r15, 88(%r11)\n"
	"mov %rbp, 96(%r11)\n"
	"pop %rdi\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

static int checked_open(const char *name, int flags)
{
	struct registers before = {
		.rax = SYS_openat, .rdi = 0xdeadbeef00000000UL | (unsigned int)AT_FDCWD,
		.rsi = (unsigned long)name, .rdx = 0xabcd000000000000UL | (unsigned int)flags,
		.r10 = 0x1234567800000644UL, .r8 = 8, .r9 = 9, .rbx = 10, .r12 = 12, .r13 = 13,
		.r14 = 14, .r15 = 15, .rbp = 16,
	};
	struct registers after = before;

	call(&after);
	before.rax = after.rax;
	if (memcmp(&before, &after, sizeof(before))) {
		fprintf(stderr, "registers differ after %s\n", name);
		exit(1);
	}
	return (int)after.rax;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART };
	struct itimerval storm = { { 0, 200 }, { 0, 200 } }, calm = { { 0, 0 }, { 0, 0 } };
	int opens = 0, restarts = 0;

	if (argc < 4)
		return 99;
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < atoi(argv[2]); i++) {
		const char *name = argv[1 + 2 * (i & 1)];
		int fd;

		setitimer(ITIMER_REAL, i & 2 ? &storm : &calm, NULL);
		fd = checked_open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || close(fd)) {
			fprintf(stderr, "%s: %s\n", name, strerror(-fd));
			return 1;
		}
		if (checked_open("no/such/file", O_RDONLY) != -ENOENT)
			return 2;
		opens += 2;
	}
	setitimer(ITIMER_REAL, &calm, NULL);
	if (mkfifo("fifo", 0600) && errno != EEXIST)
		return 3;
	for (int i = 0; i < 20; i++) {
		int before = signals, fd;
		pid_t pid = fork();

		if (!pid) {
			struct timespec wait = { 0, 3000000 };

			nanosleep(&wait, NULL);
			_exit(open("fifo", O_WRONLY) < 0);
		}
		setitimer(ITIMER_REAL, &storm, NULL);
		fd = checked_open("fifo", O_RDONLY);
		setitimer(ITIMER_REAL, &calm, NULL);
		if (fd < 0 || close(fd))
			return 4;
		restarts += signals > before;
		waitpid(pid, NULL, 0);
	}
	printf("opens %d restarts %d signals %d\n", opens, restarts, (int)signals);
	return 0;
}
