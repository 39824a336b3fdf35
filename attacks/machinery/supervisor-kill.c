// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the target cannot shake its supervisor off by signals (catalogue D14).
 *
 *	target			supervisor
 *	finds it: enforcer_pid=, TracerPid, or /proc
 *	SIGKILL or SIGSTOP ----> dead or stopped
 *	openat(DENIED)		(nobody answers)
 *
 * Found by /proc only inside a pid namespace made for this run: then it is in
 * another process group, not our ancestor, and started when we did. Nothing is
 * ever signalled that was there before. Winning prints DATA and the content of
 * the denied file.
 */
#include "attack.h"

#include <dirent.h>
#include <signal.h>

#define NAMESPACE_PIDS 64
#define TRIES 500

struct process {
	int pid, parent, group;
	unsigned long long start;
};

static bool look_up(int pid, struct process *process)
{
	char name[32], text[1024], *after;
	ssize_t size;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	fd = raw_open(name, O_RDONLY);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	after = strrchr(text, ')');
	process->pid = pid;
	return after && sscanf(after + 2, "%*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
					  "%*d %*d %*d %*d %*d %llu",
			       &process->parent, &process->group, &process->start) == 3;
}

static int tracer(void)
{
	char text[4096], *at;
	int fd = raw_open("/proc/self/status", O_RDONLY);
	ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	at = strstr(text, "TracerPid:");
	return at ? atoi(at + strlen("TracerPid:")) : 0;
}

/* Only in a small pid namespace of which /proc speaks, and whose init is young. */
static int other_group_beside_us(void)
{
	struct process self, parent, init, other;

	if (getpid() > NAMESPACE_PIDS || !look_up(getpid(), &self) || self.parent != getppid() ||
	    !look_up(1, &init) || !look_up(self.parent, &parent) || parent.parent > 1)
		return 0;
	for (int pid = 2; pid <= NAMESPACE_PIDS; pid++)
		if (look_up(pid, &other) && pid != self.pid && pid != self.parent &&
		    other.parent != self.pid && other.group != self.group &&
		    other.start >= parent.start)
			return pid;
	return 0;
}

static int find_supervisor(const struct run *run)
{
	int pid = run->enforcer_pid;

	if (!pid)
		pid = tracer();
	if (!pid)
		pid = other_group_beside_us();
	return pid > 1 && pid != getpid() ? pid : 0;
}

static void attack(struct run *run)
{
	int number = strcmp(run->variant, "stop") ? SIGKILL : SIGSTOP;
	int supervisor = find_supervisor(run);

	if (supervisor && syscall(SYS_kill, JUNK(supervisor), JUNK(number)))
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
