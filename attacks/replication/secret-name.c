// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name that the kernel can read and the enforcer cannot is refused
 * (catalogue A13).
 *
 *	memfd_secret(): memory that no other process reads
 *	openat(name in it)	process_vm_readv: EFAULT, the kernel's own copy works
 *
 * The twin is a plain read, because refusing unreadable names is a sound
 * defence. Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static const char *in_secret(const char *name)
{
	int fd = (int)syscall(SYS_memfd_secret, JUNK(O_CLOEXEC));
	char *memory;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, PATH_MAX))
		broken("ftruncate: %s", strerror(errno));
	memory = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		broken("mmap: %s", strerror(errno));
	return strcpy(memory, name);
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
		name = in_secret(run.denied);
		run.error = errno;
		if (name)
			run_plain_read(&run, name);
		else
			run_next(&run); /* made, and refused before it had a name */
		break;
	}
	run_end(&run);
}
