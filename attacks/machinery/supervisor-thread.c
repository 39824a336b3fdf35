// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the target cannot stop its supervisor by the number of a thread that
 * it begins while it works (catalogue D14).
 *
 *	target			supervisor
 *	CROWD children wait for
 *	a writer of a FIFO ---> begins threads for other calls
 *	kill(THREAD, SIGSTOP) -> stopped, all of it
 *	openat(DENIED)		(nobody answers)
 *
 * A signal to any thread stops the process. Winning prints DATA and the content
 * of the denied file.
 */
#include "supervisor.h"

#include <signal.h>
#include <sys/prctl.h>

#define CROWD 20
#define TRIES 500
#define GROWTH_S 1

static pid_t crowd[CROWD];

/* Each waits in a call of its own, which nobody ends. */
static void gather(void)
{
	if (mknod("fifo", S_IFIFO | 0600, 0))
		broken("mknod: %s", strerror(errno));
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = fork();
		if (crowd[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		raw_open("fifo", O_RDONLY);
		_exit(0);
	}
}

static void disperse(void)
{
	for (int i = 0; i < CROWD; i++) {
		kill(crowd[i], SIGKILL);
		waitpid(crowd[i], NULL, 0);
	}
}

/* Waits a while for one that was not there before. */
static int thread_since(int pid, const int *before, int count)
{
	struct timespec now, end;
	int threads[THREADS_MAX];

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += GROWTH_S;
	do {
		int found = threads_of(pid, threads);

		for (int i = 0, k; i < found; i++) {
			for (k = 0; k < count && before[k] != threads[i]; k++)
				;
			if (k == count)
				return threads[i];
		}
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec <= end.tv_sec);
	return 0;
}

static void attack(struct run *run)
{
	int pid = find_supervisor(run), before[THREADS_MAX], states[THREADS_MAX];
	int count = pid ? threads_of(pid, before) : 0, thread;

	gather();
	thread = count ? thread_since(pid, before, count) : 0;
	count = thread ? open_states(pid, states) : 0;
	if (thread && !syscall(SYS_kill, JUNK(thread), JUNK(SIGSTOP)))
		wait_for_stop(states, count);
	else if (thread)
		run->error = errno;
	for (int i = 0; i < TRIES && !run->wins; i++) {
		run_opened(run, raw_open(run->denied, O_RDONLY));
		spin(20000);
	}
	run->attempts = 1;
	disperse();
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		gather();
		run_plain_read(&run, run.allowed);
		disperse();
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
