// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a thread that executes, and takes its leader's number, is enforced
 * upon as before (catalogue D5).
 *
 *	leader			second thread		tracer's state by number
 *	in user mode		execve() enters		second: within a call
 *	is gone			has leader's number
 *				execve() returns	leader: enters a call
 *				openat(DENIED)		leader: returns
 *
 * What is executed is this program, which makes the direct attempt. Winning
 * prints DATA and the content of the denied file.
 */
#include "attack.h"

#include <pthread.h>

static _Atomic bool running;
static _Atomic int refused;

static void *execute_again(void *arguments)
{
	char **words = arguments;

	wait_until(&running);
	words[1] = (char *)(uintptr_t)"direct";
	syscall(SYS_execve, words[0], words, environ);
	atomic_store(&refused, errno);
	return NULL;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	pthread_t thread;

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		if (pthread_create(&thread, NULL, execute_again, argv))
			broken("no second thread");
		atomic_store(&running, true);
		while (!atomic_load(&refused))
			spin(1000);
		run.attempts = 1;
		run.error = refused;
		break;
	}
	run_end(&run);
}
