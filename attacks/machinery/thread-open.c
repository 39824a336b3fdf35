// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a thread beside the one that enforcement was put on is enforced upon
 * as that one is (catalogue D16).
 *
 *	first thread		second thread		enforcer
 *							watches the first
 *	starts ------------->	openat(DENIED)		(hears nothing)
 *	prints what it read
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#include <pthread.h>

static void *reads_denied(void *run)
{
	run_plain_read(run, ((struct run *)run)->denied);
	return NULL;
}

static void *reads_allowed(void *run)
{
	run_plain_read(run, ((struct run *)run)->allowed);
	return NULL;
}

static void in_second_thread(struct run *run, void *(*body)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, run))
		broken("no second thread");
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		in_second_thread(&run, reads_allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		in_second_thread(&run, reads_denied);
		break;
	}
	run_end(&run);
}
