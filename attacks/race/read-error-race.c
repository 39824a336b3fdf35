// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name that the enforcer cannot read is not let through, although the
 * kernel can read it a moment later (catalogue A16).
 *
 *	caller			second thread		enforcer
 *				mprotect(PROT_NONE)
 *	openat(name) -------------------------------->	cannot read the name
 *				mprotect(PROT_READ)
 *	kernel copies name <--------------------------	lets the call through
 *
 * The name is that of the denied file and never changes. The twin's thread only
 * takes and gives the right to write, so that the name can always be read.
 * Winning prints DATA and the content of the denied file.
 */
#include "race.h"

#include <pthread.h>

static char *name;
static int protections[2];
static _Atomic unsigned int turns;
static _Atomic bool stop;

static void *protector(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		mprotect(name, PATH_MAX, protections[turn & 1]);
		atomic_store(&turns, turn);
		flip_pause();
	}
	mprotect(name, PATH_MAX, PROT_READ);
	return NULL;
}

static void race(struct run *run, const char *path, int first, int second)
{
	pthread_t thread;

	name = shared_memory(PATH_MAX);
	strcpy(name, path);
	protections[0] = first;
	protections[1] = second;
	race_begin(run);
	if (pthread_create(&thread, NULL, protector, NULL))
		broken("no second thread");
	widen_caller(run);
	while (race_next(run, &turns))
		run_opened(run, raw_open(name, O_RDONLY));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(&run, run.allowed, PROT_READ, PROT_READ | PROT_WRITE);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		race(&run, run.denied, PROT_READ, PROT_NONE);
		break;
	}
	run_end(&run);
}
