// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the name that the kernel opens is the name that was judged, although
 * a second thread changes it all the time (catalogue A1 and A2).
 *
 *	opener			flipper			enforcer
 *	openat(name) --------------------------------->	reads name: permitted
 *				name := denied
 *	kernel reads name <---------------------------	lets the call through
 *	opens the denied file
 *				name := permitted
 *
 * Winning prints DATA and the content of the denied file; wins are opens that
 * gave anything else than the permitted file.
 */
#include "race.h"

#include <pthread.h>

static struct flip flip;

static void *flipper(void *unused)
{
	(void)unused;
	flip_run(&flip);
	return NULL;
}

static void race(struct run *run, const char *first, const char *second)
{
	pthread_t thread;

	run_learn_decoy(run);
	flip_init(&flip, first, second);
	flip.written = widen_page(run, flip.buffer);
	race_begin(run);
	if (pthread_create(&thread, NULL, flipper, NULL))
		broken("no second thread");
	widen_caller(run);
	while (race_next(run, &flip.turns))
		run_opened(run, raw_open(flip.buffer, O_RDONLY));
	atomic_store(&flip.stop, true);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(&run, run.allowed, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		race(&run, run.allowed, run.denied);
		break;
	}
	run_end(&run);
}
