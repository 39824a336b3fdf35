// SPDX-License-Identifier: GPL-2.0-only
/*
 * A sandbox that a program brings up as it starts: a listener for opens
 * (seccomp_unotify(2)) and a child that answers. Opening what begins with the text
 * of PRELOAD_DENIED is refused. A task has one listener only: where there is one
 * already, seccomp says EBUSY, and the program goes on as it is.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void serve(int listener, const char *denied)
{
	for (;;) {
		struct seccomp_notif held = { 0 };
		struct seccomp_notif_resp answer = { 0 };
		char name[PATH_MAX] = "";
		struct iovec to = { name, sizeof(name) - 1 }, from = { NULL, sizeof(name) - 1 };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &held))
			continue;
		from.iov_base = (void *)held.data.args[1];
		answer.id = held.id;
		if (process_vm_readv((pid_t)held.pid, &to, 1, &from, 1, 0) < 0 ||
		    !strncmp(name, denied, strlen(denied)))
			answer.error = -EACCES;
		else
			answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

__attribute__((constructor)) static void begin(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	const char *denied = getenv("PRELOAD_DENIED");
	pid_t parent = getpid();
	int listener;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (listener < 0 || !denied)
		return;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			serve(listener, denied);
		_exit(0);
	}
	close(listener);
}
