/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who enforces the policy on this process, as far as a target can see.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "attack.h"

#define NAMESPACE_PIDS 64

struct process {
	int parent, group;
	unsigned long long start;
};

/* The beginning of a file of procfs, empty when it cannot be read. */
ATTACK_UNUSED const char *text_of(const char *name)
{
	static char text[4096];
	int fd = raw_open(name, O_RDONLY);
	ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	return text;
}

ATTACK_UNUSED bool look_up(int pid, struct process *process)
{
	char name[32], *after;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	after = strrchr(text_of(name), ')');
	return after && sscanf(after + 2, "%*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
					  "%*d %*d %*d %*d %*d %llu",
			       &process->parent, &process->group, &process->start) == 3;
}

ATTACK_UNUSED int tracer(void)
{
	const char *at = strstr(text_of("/proc/self/status"), "TracerPid:");

	return at ? atoi(at + strlen("TracerPid:")) : 0;
}

ATTACK_UNUSED int other_group_beside_us(void)
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

/*
 * The supervisor of this run, 0 when there is none to see. Found by /proc only
 * inside a pid namespace made for this run: in another group, not our ancestor,
 * and no older than we.
 */
ATTACK_UNUSED int find_supervisor(const struct run *run)
{
	int pid = run->enforcer_pid ? run->enforcer_pid : tracer();

	if (!pid)
		pid = other_group_beside_us();
	return pid > 1 && pid != getpid() ? pid : 0;
}

#endif
