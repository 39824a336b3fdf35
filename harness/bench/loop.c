// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loop that `harness bench` times: PROGRAM KIND COUNT NAME
 *
 *	open	openat(NAME) and close, COUNT times
 *	getppid	getppid, COUNT times
 *
 * A tenth as many rounds warm up first. Prints the nanoseconds of one round.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int one_round(int opens, const char *name)
{
	long fd;

	if (!opens)
		return syscall(SYS_getppid) < 0;
	fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	return fd < 0 || close((int)fd);
}

int main(int argc, char **argv)
{
	struct timespec start, end;
	long count = argc > 3 ? atol(argv[2]) : 0;
	int opens;

	if (count < 1)
		return 2;
	opens = !strcmp(argv[1], "open");
	for (long i = 0; i < count / 10 + 1; i++)
		if (one_round(opens, argv[3])) {
			perror(argv[3]);
			return 1;
		}
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (long i = 0; i < count; i++)
		if (one_round(opens, argv[3]))
			return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.1f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / count);
	return 0;
}
