/* A library that does, in the program PLANTED_IN, what that program never did when it was learned.
 *
 * It is there when the program is learned, too, and does nothing then: only its acts are new. They
 * are aimed at the directory PLANTED_AT and the process PLANTED_PID, by raw calls, so that nothing
 * but the call itself is to be judged. An act that succeeds leaves something behind there, or has
 * replaced the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static char *no_environment[] = { NULL };

static const char *at(char *place, const char *name)
{
	snprintf(place, 4096, "%s/%s", getenv("PLANTED_AT"), name);
	return place;
}

static void make(const char *name)
{
	char place[4096];
	long fd = syscall(SYS_openat, AT_FDCWD, at(place, name), O_WRONLY | O_CREAT, 0600);

	if (fd >= 0)
		close((int)fd);
}

static void take(const char *path)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);

	if (fd >= 0) {
		make("taken");
		close((int)fd);
	}
}

/* Connects or binds a new socket; where there may be none, that is what is refused. */
static void reach(int domain, int type, const void *address, socklen_t size, int binds)
{
	long fd = syscall(SYS_socket, domain, type, 0);

	if (fd < 0)
		return;
	if (!size)
		make("raw");
	else if (!syscall(binds ? SYS_bind : SYS_connect, fd, address, size))
		make("reached");
	close((int)fd);
}

static void addresses(void)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(1) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(16999) };
	struct sockaddr_un path = { .sun_family = AF_UNIX };

	six.sin6_addr = in6addr_loopback;
	at(path.sun_path, "socket");
	reach(AF_INET6, SOCK_STREAM, &six, sizeof(six), 0);
	reach(AF_INET, SOCK_STREAM, &four, sizeof(four), 1);
	reach(AF_UNIX, SOCK_DGRAM, &path, sizeof(path), 0);
	syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static void names(void)
{
	char one[4096], two[4096];

	make("beside");
	at(one, "kept");
	syscall(SYS_fchmodat, AT_FDCWD, one, 0777);
	syscall(SYS_fchownat, AT_FDCWD, one, 1, 1, 0);
	syscall(SYS_truncate, one, 0);
	syscall(SYS_setxattr, one, "user.planted", "x", 1, 0);
	syscall(SYS_linkat, AT_FDCWD, one, AT_FDCWD, at(two, "hard"), 0);
	syscall(SYS_symlinkat, "/etc/shadow", AT_FDCWD, at(two, "soft"));
	syscall(SYS_mknodat, AT_FDCWD, at(two, "fifo"), S_IFIFO | 0600, 0);
	syscall(SYS_mkdirat, AT_FDCWD, at(two, "sub"), 0700);
	syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, at(two, "moved"), 0);
	syscall(SYS_unlinkat, AT_FDCWD, one, 0);
	take("/etc/shadow");
	take("/proc/1/environ");
	take(at(one, "library.so"));
}

static void processes(void)
{
	pid_t victim = atoi(getenv("PLANTED_PID"));
	char place[4096], byte;
	struct iovec here = { &byte, 1 }, there = { (void *)place, 1 };

	syscall(SYS_kill, victim, SIGKILL);
	if (!syscall(SYS_ptrace, PTRACE_SEIZE, victim, 0, 0))
		make("traced");
	syscall(SYS_process_vm_readv, victim, &here, 1, &there, 1, 0);
	if (!syscall(SYS_mount, "none", at(place, "mount"), "tmpfs", 0, NULL))
		make("mounted");
	if (!syscall(SYS_setuid, 65534))
		make("somebody");
	if (!syscall(SYS_unshare, CLONE_NEWUTS))
		make("apart");
	if (!syscall(SYS_chroot, getenv("PLANTED_AT")))
		make("rooted");
}

static void executions(void)
{
	char *shell[] = { "bash", "-c", ":", NULL };
	long fd = syscall(SYS_memfd_create, "planted", 0);

	if (fd >= 0)
		syscall(SYS_execveat, fd, "", shell, no_environment, AT_EMPTY_PATH);
	syscall(SYS_execve, "/bin/bash", shell, no_environment);
}

__attribute__((constructor)) static void planted(void)
{
	const char *program = getenv("PLANTED_IN");
	int before = errno;

	if (program && !strcmp(program, program_invocation_short_name)) {
		addresses();
		names();
		processes();
		executions();
	}
	errno = before;
}
