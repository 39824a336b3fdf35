/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Races for a descriptor: a peer with the same table of descriptors exchanges what
 * the number leads to.
 *
 *	exchange_begin(&run, first, second, flags);
 *	while (race_next(&run, &exchange.turns))
 *		one attempt by exchange.shared
 *	exchange_end();
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "race.h"

static struct {
	int files[2];
	int shared;
	int flags;
	pthread_t peer;
	_Atomic unsigned int turns;
	_Atomic bool stop;
} exchange;

ATTACK_UNUSED void *exchange_run(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&exchange.stop); turn++) {
		syscall(SYS_dup3, JUNK(exchange.files[turn & 1]), JUNK(exchange.shared),
			JUNK(exchange.flags));
		atomic_store(&exchange.turns, turn);
		flip_pause();
	}
	return NULL;
}

ATTACK_UNUSED int exchange_open(const char *name, int flags)
{
	int fd = raw_open(name, flags);

	if (fd < 0)
		broken("%s: %s", name, strerror(errno));
	return fd;
}

/* `first` and `second`, opened with `flags`, are exchanged from now on. */
ATTACK_UNUSED void exchange_begin(struct run *run, const char *first, const char *second, int flags)
{
	exchange.files[0] = exchange_open(first, flags);
	exchange.files[1] = exchange_open(second, flags);
	exchange.shared = exchange_open(first, flags);
	exchange.flags = flags & O_CLOEXEC;
	race_begin(run);
	if (pthread_create(&exchange.peer, NULL, exchange_run, NULL))
		broken("no second thread");
	widen_caller(run);
}

ATTACK_UNUSED void exchange_end(void)
{
	atomic_store(&exchange.stop, true);
	pthread_join(exchange.peer, NULL);
}

#endif
