/*
 * Installs a filter of its own, by prctl or seccomp (argv[1]), that refuses getppid with errno 77
 * and kills for openat2 and for numbers of no call; opens argv[2] twice and argv[3] once, and
 * prints each errno; at last calls openat2, which must kill it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int attempt(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 10000, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	long result;

	if (argc < 4 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 99;
	if (argv[1][0] == 'p')
		result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
	else
		result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
	if (result)
		return 1;
	result = syscall(SYS_getppid);
	printf("loaded getppid:%d ", result < 0 ? errno : 0);
	printf("open:%d ", attempt(argv[2]));
	printf("open:%d ", attempt(argv[2]));
	printf("open:%d\n", attempt(argv[3]));
	fflush(stdout);
	syscall(SYS_openat2, AT_FDCWD, argv[2], NULL, 0);
	return 2;
}
