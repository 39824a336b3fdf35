// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loop that `harness bench` times: PROGRAM KIND COUNT SPREAD NAME
 *
 *	open, missing	openat(NAME) and close
 *	stat, no-stat	fstatat(NAME)
 *	readlink	readlink(NAME)
 *	access		access(NAME)
 *	create		openat(NAME, O_CREAT | O_EXCL), close and unlink
 *	mkdir		mkdir(NAME) and rmdir
 *	connect		connect of a datagram socket to 127.0.0.1, port NAME
 *	spawn		vfork, execve(NAME) and wait
 *	getppid		getppid
 *	getuid, setuid	getuid, and setuid to what it is anyway
 *	chdir		chdir(NAME)
 *	read		read of a byte of NAME, which is open (/dev/zero never ends)
 *
 * Each COUNT times. With a SPREAD above 1 round number i adds i modulo SPREAD to NAME (a number to a
 * port, decimal digits to a name). One name is warmed up by a tenth as many rounds; different ones
 * are all met for the first time. `missing` and `no-stat` are to fail with ENOENT, all others to
 * succeed. Prints the nanoseconds of one round.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int datagram;

static int absent(long result)
{
	return result >= 0 || errno != ENOENT;
}

static int opened(const char *name, int flags)
{
	long fd = syscall(SYS_openat, AT_FDCWD, name, flags | O_CLOEXEC, 0600);

	return fd < 0 || close((int)fd);
}

static int do_open(const char *name)
{
	return opened(name, O_RDONLY);
}

static int do_missing(const char *name)
{
	return absent(syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0));
}

static int do_stat(const char *name)
{
	struct stat facts;

	return stat(name, &facts);
}

static int do_no_stat(const char *name)
{
	struct stat facts;

	return absent(stat(name, &facts));
}

static int do_readlink(const char *name)
{
	char text[256];

	return readlink(name, text, sizeof(text)) < 0;
}

static int do_access(const char *name)
{
	return access(name, R_OK);
}

static int do_create(const char *name)
{
	return opened(name, O_WRONLY | O_CREAT | O_EXCL) || unlink(name);
}

static int do_mkdir(const char *name)
{
	return mkdir(name, 0700) || rmdir(name);
}

static int do_connect(const char *port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((unsigned short)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return connect(datagram, (struct sockaddr *)&to, sizeof(to));
}

static int do_spawn(const char *name)
{
	char *argv[] = { (char *)name, NULL };
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execve(name, argv, NULL);
		_exit(127);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

static int do_getppid(const char *name)
{
	(void)name;
	return syscall(SYS_getppid) < 0;
}

static int do_getuid(const char *name)
{
	(void)name;
	return syscall(SYS_getuid) < 0;
}

static int do_setuid(const char *name)
{
	static long own = -1;

	(void)name;
	if (own < 0)
		own = syscall(SYS_getuid);
	return syscall(SYS_setuid, own) < 0;
}

static int do_chdir(const char *name)
{
	return chdir(name);
}

static int do_read(const char *name)
{
	static int fd = -1;
	char byte;

	if (fd < 0)
		fd = open(name, O_RDONLY | O_CLOEXEC);
	return syscall(SYS_read, fd, &byte, 1) < 0;
}

static const struct {
	const char *name;
	int (*round)(const char *name);
} kinds[] = {
	{ "open", do_open },	     { "missing", do_missing },	  { "stat", do_stat },
	{ "no-stat", do_no_stat },   { "readlink", do_readlink }, { "access", do_access },
	{ "create", do_create },     { "mkdir", do_mkdir },	  { "connect", do_connect },
	{ "spawn", do_spawn },	     { "getppid", do_getppid },
	{ "getuid", do_getuid },     { "setuid", do_setuid },	  { "chdir", do_chdir },
	{ "read", do_read },
};

static int rounds(int (*round)(const char *), long count, long spread, const char *name)
{
	char each[4096];

	for (long i = 0; i < count; i++) {
		if (spread > 1 && round == do_connect)
			snprintf(each, sizeof(each), "%ld", atol(name) + i % spread);
		else if (spread > 1)
			snprintf(each, sizeof(each), "%s%ld", name, i % spread);
		if (round(spread > 1 ? each : name)) {
			perror(spread > 1 ? each : name);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct timespec start, end;
	long count = argc == 5 ? atol(argv[2]) : 0;
	long spread = argc == 5 ? atol(argv[3]) : 0;
	int (*round)(const char *) = NULL;

	if (argc == 1) /* what `spawn` executes */
		return 0;
	for (size_t i = 0; argc == 5 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(argv[1], kinds[i].name))
			round = kinds[i].round;
	if (!round || count < 1 || spread < 1)
		return 2;
	datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (spread == 1 && rounds(round, count / 10 + 1, 1, argv[4]))
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (rounds(round, count, spread, argv[4]))
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.1f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / count);
	return 0;
}
