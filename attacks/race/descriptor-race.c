// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name is judged from the directory that the kernel will start from,
 * although a peer that shares the descriptors exchanges them (catalogue B5).
 *
 *	opener			peer (CLONE_FILES)	enforcer
 *	openat(FD, name) ----------------------------->	looks FD up: DIR/d/d/d,
 *							permitted
 *				dup3(DIR/top, FD)
 *	kernel walks from top <-----------------------	lets the call through
 *				dup3(DIR/d/d/d, FD)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "exchange.h"
#include "mirror.h"

static struct mirror mirror;

static void race(struct run *run, const char *name)
{
	exchange_begin(run, mirror.deep, mirror.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (race_next(run, &exchange.turns))
		run_opened(run, raw_openat(exchange.shared, name, O_RDONLY));
	exchange_end();
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
