/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who enforces the policy on this process, as far as a target can see.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "attack.h"

#include <dirent.h>

#define NAMESPACE_PIDS 64
#define STOP_TRIES 1000000
#define THREADS_MAX 64

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

/* The numbers of the supervisor's threads. */
ATTACK_UNUSED int threads_of(int pid, int threads[THREADS_MAX])
{
	char name[64];
	struct dirent *entry;
	DIR *directory;
	int count = 0;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	directory = opendir(name);
	while (directory && (entry = readdir(directory)) && count < THREADS_MAX)
		if (entry->d_name[0] != '.')
			threads[count++] = atoi(entry->d_name);
	if (directory)
		closedir(directory);
	return count;
}

/* What tells the states of the supervisor's threads: opened while calls are still answered. */
ATTACK_UNUSED int open_states(int pid, int states[THREADS_MAX])
{
	char name[sizeof(struct dirent) + 64];
	struct dirent *entry;
	DIR *directory;
	int count = 0;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	directory = opendir(name);
	while (directory && (entry = readdir(directory)) && count < THREADS_MAX) {
		snprintf(name, sizeof(name), "/proc/%d/task/%s/stat", pid, entry->d_name);
		states[count] = entry->d_name[0] == '.' ? -1 : raw_open(name, O_RDONLY);
		count += states[count] >= 0;
	}
	return count;
}

/* A thread that has yet to stop may take a call too. Reading what is open is no call to judge. */
ATTACK_UNUSED void wait_for_stop(const int *states, int count)
{
	for (int i = 0, tries = 0; i < count && tries < STOP_TRIES; tries++) {
		char text[512] = "", *after;

		if (pread(states[i], text, sizeof(text) - 1, 0) <= 0)
			return;
		after = strrchr(text, ')');
		if (after && after[2] == 'T')
			i++;
		else
			sched_yield();
	}
}

#endif
