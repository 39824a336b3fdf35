// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the target cannot shake its supervisor off, neither by signals nor by
 * taking its descriptors away (catalogue D3 and D14).
 *
 *	target			supervisor
 *	finds it: enforcer_pid=, TracerPid, or /proc
 *	SIGKILL or SIGSTOP ----> dead or stopped
 *	prlimit(NOFILE, 0) ----> cannot open anything
 *	openat(DENIED)		(nobody answers)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#define TRIES 500

/* A supervisor that is dying may still take a call, which nobody would answer. */
static void wait_for_end(int pid)
{
	int fd = (int)syscall(SYS_pidfd_open, JUNK(pid), JUNK(0));

	if (fd >= 0)
		poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1000);
}

/* True when the supervisor was hit. */
static bool strike(const struct run *run, int pid)
{
	static const uint64_t nothing[2];

	if (!strcmp(run->variant, "limit"))
		return !syscall(SYS_prlimit64, JUNK(pid), JUNK(RLIMIT_NOFILE), nothing, NULL);
	if (!strcmp(run->variant, "stop")) {
		int states[THREADS_MAX], count = open_states(pid, states);

		if (syscall(SYS_kill, JUNK(pid), JUNK(SIGSTOP)))
			return false;
		wait_for_stop(states, count);
		return true;
	}
	if (syscall(SYS_kill, JUNK(pid), JUNK(SIGKILL)))
		return false;
	wait_for_end(pid);
	return true;
}

static void attack(struct run *run)
{
	int pid = find_supervisor(run);

	if (pid && !strike(run, pid))
		run->error = errno;
	for (int i = 0; i < TRIES && !run->wins; i++) {
		run_opened(run, raw_open(run->denied, O_RDONLY));
		spin(20000);
	}
	run->attempts = 1;
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
