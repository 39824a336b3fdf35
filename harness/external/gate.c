// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a target begins with inside somebody else's sandbox: it tries the acts that must be
 * refused, says what they answered, and waits to be looked at from outside before it becomes the
 * program. Nothing of the program has run until then.
 *
 * GATE NUMBER [PROBE...] -- PROGRAM [ARGUMENT...]
 *   read:PATH  write:PATH  execute:PATH  call:NR  connect:PORT  bind:PORT
 *
 * Prints `GATE NUMBER PROBE=ERRNO...` (0: the act went through) and reads one byte of its input.
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		/* A directory that may be opened for writing has been reached all the same. */
		return errno == EISDIR || errno == ENXIO ? 0 : errno;
	close(fd);
	return 0;
}

static int executed(const char *path)
{
	int ends[2], failed = 0;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	child = fork();
	if (child == 0) {
		dup2(open("/dev/null", O_RDWR), 1);
		execl(path, path, (char *)NULL);
		failed = errno;
		if (write(ends[1], &failed, sizeof(failed)) < 0)
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	if (read(ends[0], &failed, sizeof(failed)) != sizeof(failed))
		failed = 0;
	close(ends[0]);
	waitpid(child, NULL, 0);
	return failed;
}

static int reached(const char *port, int binding)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((unsigned short)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), failed;

	if (fd < 0)
		return errno;
	failed = binding ? bind(fd, (struct sockaddr *)&address, sizeof(address)) :
			   connect(fd, (struct sockaddr *)&address, sizeof(address));
	failed = failed ? errno : 0;
	close(fd);
	/* Nobody listens there, but the packet went out. */
	return failed == ECONNREFUSED || failed == EADDRINUSE ? 0 : failed;
}

static int called(const char *number)
{
	/* Of a call that takes a name first: EFAULT where nothing refuses it. */
	if (syscall(atol(number), NULL, NULL, -1L, -1L, -1L, -1L) >= 0)
		return 0;
	return errno == EFAULT ? 0 : errno;
}

static int tried(const char *probe)
{
	const char *what = strchr(probe, ':') + 1;

	switch (probe[0]) {
	case 'r':
		return opened(what, O_RDONLY);
	case 'w':
		return opened(what, O_WRONLY);
	case 'e':
		return executed(what);
	case 'b':
		return reached(what, 1);
	default:
		return probe[1] == 'a' ? called(what) : reached(what, 0);
	}
}

int main(int argc, char **argv)
{
	static char said[4096];
	int used, next = 2;
	char go;

	if (argc < 4)
		return 99;
	used = snprintf(said, sizeof(said), "GATE %s", argv[1]);
	for (; next < argc && strcmp(argv[next], "--"); next++)
		used += snprintf(said + used, sizeof(said) - used, " %s=%d", argv[next],
				 tried(argv[next]));
	said[used++] = '\n';
	if (write(1, said, used) != used)
		return 99;
	if (read(0, &go, 1) != 1) {
		puts("BROKEN the sandbox gives its program another standard input");
		return 99;
	}
	next++;
	execv(argv[next], argv + next);
	if (errno == ENOENT)
		execvp(argv[next], argv + next);
	perror(argv[next]);
	return 127;
}
