// SPDX-License-Identifier: GPL-2.0-only
/*
 * What LD_PRELOAD puts before the C library: opening what begins with the text
 * of PRELOAD_DENIED is refused. Programs that load no library never come here.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int judged(int dirfd, const char *name, int flags, mode_t mode)
{
	const char *denied = getenv("PRELOAD_DENIED");

	if (denied && !strncmp(name, denied, strlen(denied))) {
		errno = EACCES;
		return -1;
	}
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

#define JUDGE(dirfd)                                                           \
	va_list rest;                                                          \
	mode_t mode;                                                           \
                                                                               \
	va_start(rest, flags);                                                 \
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;     \
	va_end(rest);                                                          \
	return judged(dirfd, name, flags, mode)

int open(const char *name, int flags, ...)
{
	JUDGE(AT_FDCWD);
}

int open64(const char *name, int flags, ...)
{
	JUDGE(AT_FDCWD);
}

int openat(int dirfd, const char *name, int flags, ...)
{
	JUDGE(dirfd);
}

int openat64(int dirfd, const char *name, int flags, ...)
{
	JUDGE(dirfd);
}
