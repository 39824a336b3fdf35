// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program that may not have memory to write and execute does not
 * execute what it has written (catalogue C19).
 *
 *	mmap(PROT_WRITE | PROT_EXEC)	denied
 *	the variants:			a memory file, mapped once to write and once
 *					to execute; memory attached by shmat; another
 *					call of mprotect's; READ_IMPLIES_EXEC, with
 *					which what is read is executed (C20)
 *
 * Reading the denied file is permitted, and what was read comes out by the code
 * that was written only. The twin runs code of the program's own. Winning prints
 * DATA and the content.
 */
#include "generated.h"

#include <sys/personality.h>
#include <sys/shm.h>

#ifndef SYS_pkey_mprotect
#define SYS_pkey_mprotect (-1)
#endif
#ifndef SYS_shmat
#define SYS_shmat (-1)
#endif

static void *by_file(void)
{
	int fd = (int)syscall(SYS_memfd_create, "code", JUNK(0));

	if (fd < 0 || ftruncate(fd, PAGE) || !filled(mapped(PROT_READ | PROT_WRITE, MAP_SHARED, fd)))
		broken("no memory file: %s", strerror(errno));
	return mapped(PROT_READ | PROT_EXEC, MAP_SHARED, fd);
}

static void *by_shm(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0700);
	void *memory = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
	long code;

	if (memory == (void *)-1)
		broken("no shared memory: %s", strerror(errno));
	filled(memory);
	code = syscall(SYS_shmat, JUNK(id), NULL, JUNK(SHM_RDONLY | SHM_EXEC));
	shmctl(id, IPC_RMID, NULL);
	return code == -1 ? NULL : (void *)code;
}

static void *by_protection(void)
{
	void *memory = own_memory(PROT_READ | PROT_WRITE);

	return syscall(SYS_pkey_mprotect, memory, (size_t)PAGE, (long)(PROT_READ | PROT_EXEC), JUNK(-1))
		       ? NULL
		       : memory;
}

static void *by_personality(void)
{
	if (syscall(SYS_personality, (unsigned long)READ_IMPLIES_EXEC) < 0)
		return NULL;
	return own_memory(PROT_READ | PROT_WRITE);
}

static void *(*maker(const char *variant))(void)
{
	if (!strcmp(variant, "file"))
		return by_file;
	if (!strcmp(variant, "shm"))
		return by_shm;
	return strcmp(variant, "pkey") ? by_personality : by_protection;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_own_code(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_code(&run, run.denied, both_at_once);
		break;
	case MODE_ATTACK:
		run_code(&run, run.denied, maker(run.variant));
		break;
	}
	run_end(&run);
}
