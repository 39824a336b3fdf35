// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: no name that a program gives itself makes it another one
 * (catalogue C29).
 *
 *	prctl(PR_SET_NAME, "dpkg")		the variants: by call,
 *	write("dpkg") to /proc/self/comm	by procfs,
 *	execve(copy of itself called dpkg)	by its file's name
 *	openat(DENIED, O_WRONLY)
 *
 * A win replaces the content of the denied file by the run's nonce.
 */
#include "attack.h"

#include <sys/prctl.h>

#define TRUSTED "dpkg"

/* A policy need not permit it: refused, the attack is over, and the twin goes on as it is. */
static void write_to_comm(struct run *run)
{
	int fd = raw_open("/proc/self/comm", O_WRONLY);

	if (fd >= 0 && write(fd, TRUSTED, strlen(TRUSTED)) >= 0) {
		close(fd);
		return;
	}
	run->error = errno;
	if (run->mode == MODE_BENIGN)
		run_plain_write(run, run->allowed, O_TRUNC);
	else
		run_next(run);
	run_end(run);
}

static void copy_program(const char *copy)
{
	static char room[1 << 16];
	int from = raw_open("/proc/self/exe", O_RDONLY);
	int to = raw_open(copy, O_WRONLY | O_CREAT | O_EXCL);
	ssize_t size;

	if (from < 0 || to < 0 || fchmod(to, 0700))
		broken("copying to %s: %s", copy, strerror(errno));
	while ((size = read(from, room, sizeof(room))) > 0)
		if (write(to, room, (size_t)size) != size)
			broken("%s: %s", copy, strerror(errno));
	close(from);
	close(to);
}

/* Goes on as a program of that file name, which then finds that it is one. */
static void execute_copy(const struct run *run, char **argv)
{
	char copy[PATH_MAX];

	join(copy, run->dir, TRUSTED);
	copy_program(copy);
	syscall(SYS_execve, copy, argv, NULL);
	broken("execve %s: %s", copy, strerror(errno));
}

static void call_oneself(struct run *run, char **argv)
{
	char name[16] = "";

	if (!strcmp(run->variant, "call"))
		syscall(SYS_prctl, JUNK(PR_SET_NAME), TRUSTED, 0ul, 0ul, 0ul);
	else if (!strcmp(run->variant, "procfs"))
		write_to_comm(run);
	syscall(SYS_prctl, JUNK(PR_GET_NAME), name, 0ul, 0ul, 0ul);
	if (strcmp(name, TRUSTED))
		execute_copy(run, argv);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		call_oneself(&run, argv);
		run_plain_write(&run, run.allowed, O_TRUNC);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		call_oneself(&run, argv);
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	}
	run_end(&run);
}
