/*
 * Takes all free memory below 4 GiB, as Chromium and Wine do before anything else, then makes a
 * child by clone3 and opens argv[1] and argv[2], printing the errno of each; so does the child.
 * With a third argument it first loads a filter of its own that kills for openat2.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP (1UL << 20)

static int attempt(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int load_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void show(const char *who, char **names)
{
	printf("%s %d %d\n", who, attempt(names[0]), attempt(names[1]));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t arguments[8] = { [4] = SIGCHLD };
	uintptr_t place;
	long child;

	if (argc < 3)
		return 99;
	for (place = STEP / 16; place < 1UL << 32; place += place < STEP ? STEP / 16 : STEP)
		mmap((void *)place, place < STEP ? STEP / 16 : STEP, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (argc > 3 && load_filter())
		return 99;
	child = syscall(SYS_clone3, arguments, sizeof(arguments));
	if (child == 0) {
		show("child", argv + 1);
		return 0;
	}
	wait(NULL);
	printf("clone3 %d\n", child < 0 ? errno : 0);
	show("parent", argv + 1);
	return 0;
}
