// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a denied program is not executed by descriptor either (catalogue C13
 * and B16).
 *
 *	memfd: copy of DENIED			a readable program, without its name
 *	openat(DENIED, O_PATH)			a handle that gives no access
 *	execveat(fd, "", AT_EMPTY_PATH)
 *
 * The variants are the two descriptors. Reading the denied program is
 * permitted. The twin is executed by name, because refusing what has no name is
 * a sound defence. A win is what the denied program prints.
 */
#include "execute.h"

static void execute_descriptor(int fd)
{
	char *const arguments[] = { (char *)(uintptr_t)"program", NULL };

	syscall(SYS_execveat, JUNK(fd), "", arguments, no_environment, JUNK(AT_EMPTY_PATH));
}

static void execute_copy(const char *name)
{
	int from = raw_open(name, O_RDONLY), to = (int)syscall(SYS_memfd_create, "copy", JUNK(0));
	char content[PATH_MAX];
	ssize_t size = read(from, content, sizeof(content));

	if (to < 0 || size < 0 || write(to, content, size) != size)
		broken("%s cannot be copied: %s", name, strerror(errno));
	execute_descriptor(to);
}

/* Not close-on-exec: the interpreter opens the script by its descriptor. */
static void execute_handle(const char *name)
{
	int fd = (int)syscall(SYS_openat, JUNK(way_from), name, JUNK(O_PATH), JUNK(0));

	if (fd >= 0)
		execute_descriptor(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	bool by_handle = !strcmp(run.variant, "handle");

	run_execution(&run, execute_by_name, execute_by_name,
		      by_handle ? execute_handle : execute_copy);
	run_end(&run);
}
