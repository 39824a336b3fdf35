// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: enforcement has nothing in the target's memory that writing there
 * disarms (catalogue D22).
 *
 *	sh				its parent
 *	"ready" ---------------------->	pwrite(/proc/PID/mem): its variables, which
 *					a hook of its own compares with, are x's
 *	{ read; } < DENIED <-----------	"go"
 *
 * The shell is its child, so the kernel lets it write. The twin is read without
 * that, because refusing such writes is a sound defence. Winning prints DATA
 * and the content of the denied file.
 */
#include "shell.h"

#include <sys/socket.h>

#define READ_ITSELF "{ read -r line; echo \"$line\"; } < \"$1\""

static char noise[1 << 16];

static void read_itself(const char *name)
{
	shell(READ_ITSELF, name);
}

/* Where the kernel has put the variables of `child`: fields 50 and 51 of proc_pid_stat(5). */
static bool variables_of(pid_t child, unsigned long bounds[2])
{
	char name[64], stat[2048] = "", *at;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)child);
	fd = raw_openat(AT_FDCWD, name, O_RDONLY);
	if (fd < 0 || read(fd, stat, sizeof(stat) - 1) <= 0)
		return false;
	close(fd);
	at = strrchr(stat, ')');
	for (int field = 2; at && field < 50; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, " %lu %lu", &bounds[0], &bounds[1]) == 2 &&
	       bounds[1] - bounds[0] < sizeof(noise);
}

static void disarm(pid_t child)
{
	unsigned long bounds[2];
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/mem", (int)child);
	fd = raw_openat(AT_FDCWD, name, O_RDWR);
	memset(noise, 'x', sizeof(noise));
	if (fd >= 0 && variables_of(child, bounds) &&
	    pwrite(fd, noise, bounds[1] - bounds[0] - 1, (off_t)bounds[0]) < 0)
		_exit(errno);
}

/* The shell is a child of this one, and waits until its memory was written. */
static void read_disarmed(const char *name)
{
	char said[16];
	int ends[2], status;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		_exit(errno);
	child = fork();
	if (!child) {
		dup2(ends[1], STDIN_FILENO);
		shell("echo ready >&0; read -r go; " READ_ITSELF, name);
	}
	close(ends[1]);
	if (read(ends[0], said, sizeof(said)) > 0) {
		disarm(child);
		if (write(ends[0], "go\n", 3) < 0)
			_exit(errno);
	}
	if (waitpid(child, &status, 0) != child)
		_exit(errno);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BROKEN);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_execution(&run, read_itself, read_itself, read_disarmed);
	shell_said(&run);
	run_end(&run);
}
