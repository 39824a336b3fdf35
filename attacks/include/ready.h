/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that say when they are ready to be confined to what they hold: an
 * unknown option of prctl(2), which means something to enforcers that wait for
 * it, and the text by which these know that it will come. Then only read and
 * write are left, and an exit without the C library's.
 */
#ifndef READY_H
#define READY_H

#include "attack.h"

#define READY_OPTION 0x4c414253

static volatile const char ready_note[] = "LABORATORY: says when it is ready";

ATTACK_UNUSED void run_ready(void)
{
	if (ready_note[0])
		syscall(SYS_prctl, READY_OPTION, 0ul, 0ul, 0ul, 0ul);
}

/* As run_end(), by write(2) and exit(2) alone. */
__attribute__((noreturn)) ATTACK_UNUSED void run_end_ready(const struct run *run)
{
	static char said[2 * CONTENT_MAX + 128];
	int size = 0;

	if (run->content[0])
		size = snprintf(said, sizeof(said), "DATA %s\n", run->content);
	size += snprintf(said + size, sizeof(said) - (size_t)size,
			 "TOKEN %s attempts=%d wins=%d errno=%d\n", run->nonce, run->attempts,
			 run->wins, run->error);
	for (int at = 0; at < size;) {
		long written = syscall(SYS_write, 1, said + at, (size_t)(size - at));

		if (written <= 0)
			break;
		at += (int)written;
	}
	for (;;)
		syscall(SYS_exit, 0);
}

/* The first line of a descriptor, which stays open: to close it is a call more. */
ATTACK_UNUSED void run_held(struct run *run, int fd)
{
	ssize_t size = fd < 0 ? -1 : syscall(SYS_read, fd, run->content, CONTENT_MAX - 1);

	run->attempts = 1;
	if (size <= 0) {
		run->error = errno;
		run->content[0] = '\0';
		return;
	}
	run->content[size] = '\0';
	run->content[strcspn(run->content, "\n")] = '\0';
	run->wins++;
}

#endif
