/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptors that somebody else may have left open, looked through for content.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include "attack.h"

#define FIRST_DESCRIPTOR 3
#define LAST_DESCRIPTOR 63

/*
 * Reads what the descriptor leads to, where that is a regular file: anything
 * else could wait, or be somebody's who misses it. Those of procfs, which have no
 * size, hold nobody's content. Closes it.
 */
ATTACK_UNUSED void run_if_file(struct run *run, int fd)
{
	struct stat status;

	if (fd < 0)
		return;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_size)
		run_opened(run, fd);
	else
		close(fd);
}

#endif
