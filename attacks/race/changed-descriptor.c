// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the object whose mode is changed through a descriptor is the one that was
 * judged, although a peer that shares the descriptors exchanges them (catalogue B5,
 * C18).
 *
 *	caller			peer (CLONE_FILES)	enforcer
 *	fchmod(FD, 0600) ----------------------------->	looks FD up: ALLOWED, permitted
 *				dup3(DENIED, FD)
 *	kernel changes DENIED <-----------------------	lets the call through
 *				dup3(ALLOWED, FD)
 *
 * Both were opened for reading. Winning changes the mode of the denied file.
 */
#include "race.h"

#include <pthread.h>
#include <sys/stat.h>

#define TRIES 200

static int files[2], shared;
static _Atomic unsigned int turns;
static _Atomic bool stop;

static void *exchanger(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		syscall(SYS_dup3, JUNK(files[turn & 1]), JUNK(shared), JUNK(O_CLOEXEC));
		atomic_store(&turns, turn);
		flip_pause();
	}
	return NULL;
}

static int open_file(const char *name)
{
	int fd = raw_open(name, O_RDONLY);

	if (fd < 0)
		broken("%s: %s", name, strerror(errno));
	return fd;
}

static mode_t mode_of(int fd)
{
	struct stat facts;

	if (fstat(fd, &facts))
		broken("fstat: %s", strerror(errno));
	return facts.st_mode;
}

static void race(struct run *run, const char *other)
{
	pthread_t thread;
	mode_t before;

	files[0] = open_file(run->allowed);
	files[1] = open_file(other);
	shared = open_file(run->allowed);
	before = mode_of(files[1]);
	run->limit = TRIES;
	race_begin(run);
	if (pthread_create(&thread, NULL, exchanger, NULL))
		broken("no second thread");
	widen_caller(run);
	while (!run->wins && race_next(run, &turns)) {
		if (syscall(SYS_fchmod, JUNK(shared), JUNK(0600)))
			run->error = errno;
		if (mode_of(files[1]) != before)
			run->wins++;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		race(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		race(&run, run.denied);
		break;
	}
	run_end(&run);
}
