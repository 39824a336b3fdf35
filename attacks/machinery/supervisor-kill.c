// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the target cannot shake its supervisor off, neither by signals nor by
 * taking its descriptors away (catalogue D14).
 *
 *	target			supervisor
 *	finds it: enforcer_pid=, TracerPid, or /proc
 *	SIGKILL or SIGSTOP ----> dead or stopped
 *	prlimit(NOFILE, 0) ----> cannot open anything
 *	openat(DENIED)		(nobody answers)
 *
 * Found by /proc only inside a pid namespace made for this run: in another group,
 * not our ancestor, and no older than we. Winning prints DATA and the content.
 */
#include "attack.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#define NAMESPACE_PIDS 64
#define TRIES 500

struct process {
	int parent, group;
	unsigned long long start;
};

/* The beginning of a file of procfs, empty when it cannot be read. */
static const char *text_of(const char *name)
{
	static char text[4096];
	int fd = raw_open(name, O_RDONLY);
	ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static bool look_up(int pid, struct process *process)
{
	char name[32], *after;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	after = strrchr(text_of(name), ')');
	return after && sscanf(after + 2, "%*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
					  "%*d %*d %*d %*d %*d %llu",
			       &process->parent, &process->group, &process->start) == 3;
}

static int tracer(void)
{
	const char *at = strstr(text_of("/proc/self/status"), "TracerPid:");

	return at ? atoi(at + strlen("TracerPid:")) : 0;
}

static int other_group_beside_us(void)
{
	struct process self, parent, other;

	if (getpid() > NAMESPACE_PIDS || !look_up(getpid(), &self) || self.parent != getppid() ||
	    !look_up(self.parent, &parent) || parent.parent > 1)
		return 0;
	for (int pid = 2; pid <= NAMESPACE_PIDS; pid++)
		if (look_up(pid, &other) && pid != getpid() && pid != self.parent &&
		    other.parent != getpid() && other.group != self.group &&
		    other.start >= parent.start)
			return pid;
	return 0;
}

static int find_supervisor(const struct run *run)
{
	int pid = run->enforcer_pid ? run->enforcer_pid : tracer();

	if (!pid)
		pid = other_group_beside_us();
	return pid > 1 && pid != getpid() ? pid : 0;
}

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
	if (!strcmp(run->variant, "stop"))
		return !syscall(SYS_kill, JUNK(pid), JUNK(SIGSTOP));
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
