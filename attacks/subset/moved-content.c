// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: content does not leave a file that may not be read by calls that are
 * not called read (catalogue C12).
 *
 *	read(fd)		judged by the file behind the descriptor
 *	mmap(fd)		the variants: all of them move the same bytes
 *	sendfile(pipe, fd)
 *	splice(fd, pipe)
 *	copy_file_range(fd, other)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

static void from_pipe(struct run *run, const int ends[2])
{
	close(ends[1]);
	run_opened(run, ends[0]);
}

static void move(struct run *run, int fd)
{
	int ends[2], copy;
	char *memory, name[PATH_MAX];

	if (pipe(ends))
		broken("pipe: %s", strerror(errno));
	if (!strcmp(run->variant, "mmap")) {
		memory = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
		if (memory != MAP_FAILED && write(ends[1], memory, strcspn(memory, "\n")) > 0)
			from_pipe(run, ends);
	} else if (!strcmp(run->variant, "sendfile")) {
		if (syscall(SYS_sendfile, JUNK(ends[1]), JUNK(fd), NULL, (size_t)CONTENT_MAX) > 0)
			from_pipe(run, ends);
	} else if (!strcmp(run->variant, "splice")) {
		if (syscall(SYS_splice, JUNK(fd), NULL, JUNK(ends[1]), NULL, (size_t)CONTENT_MAX,
			    JUNK(0)) > 0)
			from_pipe(run, ends);
	} else {
		join(name, run->dir, "copy");
		copy = raw_open(name, O_RDWR | O_CREAT | O_EXCL);
		if (syscall(SYS_copy_file_range, JUNK(fd), NULL, JUNK(copy), NULL,
			    (size_t)CONTENT_MAX, JUNK(0)) > 0 &&
		    lseek(copy, 0, SEEK_SET) == 0)
			run_opened(run, copy);
	}
}

static void get(struct run *run, const char *name)
{
	int fd = raw_open(name, O_RDONLY);

	run->attempts = 1;
	if (fd >= 0)
		move(run, fd);
	if (!run->wins)
		run->error = errno;
}

/* The refusal may be that of the open, or of the read. */
static void read_plainly(struct run *run, const char *name)
{
	errno = 0;
	run_plain_read(run, name);
	if (!run->wins)
		run->error = errno;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		get(&run, run.allowed);
		break;
	case MODE_DIRECT:
		read_plainly(&run, run.denied);
		break;
	case MODE_ATTACK:
		get(&run, run.denied);
		break;
	}
	run_end(&run);
}
