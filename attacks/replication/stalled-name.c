// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name whose reading takes as long as the target likes is judged when
 * it was read, and refused when it was not (catalogue A17).
 *
 *	the name lies in memory that a file system of the target's own serves
 *
 *	opener			supervisor		server
 *	openat(name) ---------> reads name -----------> waits
 *				too late: yes?
 *	kernel reads name ----------------------------> answers: DENIED
 *
 * The twin is a plain read, because refusing such a mount or such a name is a
 * sound defence. Winning prints DATA and the content of the denied file.
 */
#include "fuse.h"

#include <poll.h>

#define STALL_MS 400

static const char *denied;

static const char *stalled_text(void)
{
	poll(NULL, 0, STALL_MS);
	return denied;
}

static const char *in_served_memory(const struct run *run)
{
	static const struct fuse_text served = { stalled_text };
	char at[PATH_MAX], file[PATH_MAX];
	const char *memory;
	int fd;

	denied = run->denied;
	join(at, run->dir, "at");
	join(file, at, "name");
	if (mkdir(at, 0700))
		broken("mkdir %s: %s", at, strerror(errno));
	if (mount_fuse(at, &served))
		return NULL;
	fd = raw_openat(AT_FDCWD, file, O_RDONLY);
	if (fd < 0)
		return NULL;
	memory = mmap(NULL, PATH_MAX, PROT_READ, MAP_PRIVATE, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	const char *name;

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		name = in_served_memory(&run);
		run.error = errno;
		if (name)
			run_plain_read(&run, name);
		else
			run_next(&run); /* made, and refused before it had a name */
		break;
	}
	run_end(&run);
}
