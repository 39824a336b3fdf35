/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Races: the other side, how long it waits between two flips, and what makes the
 * time between an enforcer's look and the kernel's longer (widen.h).
 *
 *	race_begin(&run);		before there is another side
 *	... start of the other side ...
 *	widen_caller(&run);		in the task that makes the calls
 *	while (race_next(&run, &turns))
 *		one attempt, whose win counts in run.wins
 *
 * The other side counts its turns and calls flip_pause() after each.
 */
#ifndef RACE_H
#define RACE_H

#include "attack.h"
#include "widen.h"

#include <sys/resource.h>

/*
 * The delays between two flips. Which of them wins depends on the enforcer and the
 * machine, so a sweep tries one after the other, and then keeps to the one that won
 * most, but for every FRESH_LOOK-th round.
 *
 * Sleeping comes first: who wakes takes the processor from who computes, so that
 * the other side has its turns between the enforcer's look and the kernel's however
 * busy the machine is. One that spins is itself what makes it busy, and is made to
 * wait just when the enforcer and the caller are not.
 */
#define ROUND 8
#define FRESH_LOOK 4

static const struct delay {
	enum { SPIN, YIELD, SLEEP } how;
	unsigned int much; /* rounds of spin(), nanoseconds of sleep */
} ladder[] = {
	{ SLEEP, 1 }, { SLEEP, 100000 }, { SLEEP, 300000 }, { SPIN, 1000 }, { YIELD, 0 },
	{ SPIN, 20000 }, { SPIN, 200 }, { SPIN, 5000 }, { SPIN, 0 }, { SPIN, 80000 },
};

#define RUNGS (sizeof(ladder) / sizeof(ladder[0]))

/* Shared with the other side, which may be a process of its own. */
struct sweep {
	_Atomic unsigned int rung;
	unsigned int rounds;
	unsigned int looks;
	unsigned int turns_seen;
	int attempts_before, wins_before;
	struct {
		int attempts;
		int wins;
	} seen[RUNGS];
};

static struct sweep *sweep;

/* Chooses the first delay: the one that won elsewhere (rung=), else the first. */
ATTACK_UNUSED void race_begin(const struct run *run)
{
	sweep = shared_memory(sizeof(*sweep));
	if (run->rung >= (int)RUNGS)
		broken("there is no rung %d", run->rung);
	atomic_store(&sweep->rung, run->rung < 0 ? 0 : (unsigned int)run->rung);
}

/* The delay that won most of its attempts; `otherwise` where none won any. */
ATTACK_UNUSED int sweep_best(int otherwise)
{
	int best = -1;

	for (int i = 0; i < (int)RUNGS; i++)
		if (sweep->seen[i].wins &&
		    (best < 0 || (long long)sweep->seen[i].wins * sweep->seen[best].attempts >
					 (long long)sweep->seen[best].wins * sweep->seen[i].attempts))
			best = i;
	return best < 0 ? otherwise : best;
}

/* Ends a round: notes what its delay won, and chooses that of the next one. */
ATTACK_UNUSED void sweep_turn(const struct run *run)
{
	unsigned int rung = atomic_load(&sweep->rung);
	int best;

	sweep->seen[rung].attempts += run->attempts - sweep->attempts_before;
	sweep->seen[rung].wins += run->wins - sweep->wins_before;
	sweep->attempts_before = run->attempts;
	sweep->wins_before = run->wins;
	best = sweep_best(run->rung);
	sweep->rounds++;
	if (best < 0 || (run->rung < 0 && sweep->rounds < RUNGS) || !(sweep->rounds % FRESH_LOOK))
		atomic_store(&sweep->rung, ++sweep->looks % RUNGS);
	else
		atomic_store(&sweep->rung, (unsigned int)best);
}

/* Beside the timer slack, 50 us. An enforcer may refuse it: then others run, if they can. */
ATTACK_UNUSED void sleep_ns(unsigned int ns)
{
	if (nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL))
		sched_yield();
}

/* What the other side does behind each of its turns. */
ATTACK_UNUSED void flip_pause(void)
{
	struct delay delay = ladder[atomic_load_explicit(&sweep->rung, memory_order_relaxed)];

	widen_turn();
	if (delay.how == SPIN)
		spin(delay.much);
	else if (delay.how == SLEEP)
		sleep_ns(delay.much);
	else
		sched_yield();
}

#define PATIENCE_S 10

/*
 * A leaky enforcer, whose rate is all that is wanted, has lost often enough to tell it,
 * once every delay has had its round: those win more or less than others.
 */
ATTACK_UNUSED bool race_is_measured(const struct run *run)
{
	return run->enough && run->wins >= run->enough && sweep->rounds >= RUNGS;
}

/*
 * True while another attempt at a race is due. Waits until the other side has
 * moved since the last one: an attempt made while it has no CPU is none. The wait
 * is a sleep: on a busy machine a caller that computes or yields takes its
 * processor's time from the other side and from the enforcer, and waits for it
 * itself when the enforcer has let it go.
 */
ATTACK_UNUSED bool race_next(struct run *run, _Atomic unsigned int *turns)
{
	struct timespec now, end = { 0 };

	if (run->attempts && !(run->attempts % ROUND))
		sweep_turn(run);
	if (race_is_measured(run) || !run_next(run)) {
		run->best_rung = sweep_best(-1);
		return false;
	}
	for (int i = 1; atomic_load(turns) == sweep->turns_seen; i++) {
		if (i % 64)
			continue;
		sleep_ns(1);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!end.tv_sec)
			end.tv_sec = now.tv_sec + PATIENCE_S;
		if (now.tv_sec > end.tv_sec)
			broken("the other side of the race does not move");
	}
	sweep->turns_seen = atomic_load(turns);
	return true;
}

/*
 * A name that is being changed between two of equal length by somebody else. The
 * kernel reads `buffer`; it is changed by way of `written`, which is the same
 * memory but for a widener that takes pages away.
 */
struct flip {
	_Atomic bool stop;
	_Atomic unsigned int turns;
	size_t length;
	char *buffer;
	char *written;
	char names[2][PATH_MAX];
};

ATTACK_UNUSED void flip_init(struct flip *flip, const char *first, const char *second)
{
	size_t a = strlen(first) + PADDING(first), b = strlen(second) + PADDING(second);

	flip->length = a > b ? a : b;
	pad_name(flip->names[0], first, flip->length);
	pad_name(flip->names[1], second, flip->length);
	flip->buffer = shared_memory(WIDE_PAGE);
	memcpy(flip->buffer, flip->names[0], flip->length + 1);
	flip->written = flip->buffer;
}

/* Writes the one name and the other until told to stop. */
ATTACK_UNUSED void flip_run(struct flip *flip)
{
	for (unsigned int turn = 1; !atomic_load(&flip->stop); turn++) {
		memcpy(flip->written, flip->names[turn & 1], flip->length);
		atomic_store(&flip->turns, turn);
		flip_pause();
	}
}

/*
 * The caller stands behind the other side: both have one processor, and the other side,
 * which sleeps until it has something to change, takes it from the caller, which is as
 * nice as can be (sched(7); under SCHED_IDLE it would starve beside somebody who
 * computes). Else a busy machine decides who wins: an enforcer takes the processor from
 * another side that spins, and has let the caller go before that runs again.
 *
 *	enforcer	looks	lets the caller go
 *	processor	(sleep)	other side wakes and changes	caller
 *
 * What an enforcer refuses is left out: then the two are equals.
 */
ATTACK_UNUSED void bind_to_one_cpu(void)
{
	cpu_set_t allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	CPU_ZERO(&one);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
		if (CPU_ISSET(cpu, &allowed)) {
			CPU_SET(cpu, &one);
			break;
		}
	sched_setaffinity(0, sizeof(one), &one);
}

/* In the task that makes the calls, when the other side is there. */
ATTACK_UNUSED void stand_behind(void)
{
	setpriority(PRIO_PROCESS, 0, 19);
}

/* In the other side, while there is nothing to change. */
ATTACK_UNUSED void let_run(void)
{
	sleep_ns(1);
}

/* Ends the child that was the other side; nobody else would stop it. */
ATTACK_UNUSED void flip_reap(_Atomic bool *stop, pid_t child)
{
	int status;

	atomic_store(stop, true);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			broken("waitpid: %s", strerror(errno));
}

/*
 * Races: opens `name` as often as attempts are due, while a child does `change`
 * to what it leads to, until told to stop.
 */
ATTACK_UNUSED void race_against_child(struct run *run, struct flip *flip,
				      void (*change)(struct flip *), const char *name)
{
	pid_t child;

	race_begin(run);
	child = fork();
	if (child < 0)
		broken("fork: %s", strerror(errno));
	if (!child) {
		change(flip);
		_exit(0);
	}
	widen_caller(run);
	while (race_next(run, &flip->turns))
		run_opened(run, raw_open(name, O_RDONLY));
	flip_reap(&flip->stop, child);
}

#endif
