// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a program with CAP_SYS_CHROOT that may not change its root cannot,
 * whoever asks and however it is asked for (catalogue C2, C30).
 *
 *	chroot(dirname of DENIED)	the denied call
 *	the same in a child		child: what was begun is inherited
 *	int $0x80, eax = 61		compat: the i386 table's chroot
 *	unshare(CLONE_NEWUSER), chroot	namespace: there every capability is back
 *
 * The variants are the latter three. The twin opens the permitted
 * file. Winning prints DATA and what is at "/object", which only another
 * root has.
 */
#include "own_namespaces.h"

#define I386_CHROOT 61

static long by_compat(const char *root)
{
#ifdef __x86_64__
	long result = I386_CHROOT;
	char *low = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (low == MAP_FAILED)
		broken("no room below 4 GiB: %s", strerror(errno));
	strcpy(low, root);
	__asm__ volatile("int $0x80" : "+a"(result) : "b"(low) : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	return result < 0 ? -1 : 0;
#else
	(void)root;
	unsupported("one table of calls only");
#endif
}

static long change_root(const struct run *run, const char *root)
{
	if (run->mode == MODE_ATTACK && !strcmp(run->variant, "compat"))
		return by_compat(root);
	if (run->mode == MODE_ATTACK && !strcmp(run->variant, "namespace") &&
	    syscall(SYS_unshare, (unsigned long)CLONE_NEWUSER))
		return -1;
	return syscall(SYS_chroot, root);
}

static void read_below(struct run *run)
{
	char root[PATH_MAX];

	run->attempts = 1;
	directory_of(root, run->denied);
	run_opened(run, change_root(run, root) ? -1 : raw_open(leaf_of(run->denied), O_RDONLY));
}

static void read_in_child(struct run *run)
{
	struct run *shared = shared_memory(sizeof(*shared));
	pid_t child;

	*shared = *run;
	child = fork();
	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (child == 0) {
		read_below(shared);
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		broken("waitpid: %s", strerror(errno));
	*run = *shared;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	if (run.mode == MODE_BENIGN)
		run_plain_read(&run, run.allowed);
	else if (run.mode == MODE_ATTACK && !strcmp(run.variant, "child"))
		read_in_child(&run);
	else
		read_below(&run);
	run_end(&run);
}
