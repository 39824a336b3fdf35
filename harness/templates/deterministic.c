// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: (one sentence: what an enforcer must not let happen).
 *
 *	target				enforcer
 *	symlink(DENIED, DIR/link)
 *	openat(DIR/link) ------------->	(draw the interleaving here)
 *
 * This first version reads the denied file through a symbolic link with a
 * permitted name, to which an enforcer falls that judges names as they are
 * spelled. Winning prints DATA and the content of the file.
 */
#include "attack.h"

static void read_through_link(struct run *run, const char *name)
{
	char link[PATH_MAX];

	join(link, run->dir, "link");
	unlink(link);
	if (symlink(name, link))
		broken("symlink %s: %s", link, strerror(errno));
	run_opened(run, raw_open(link, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_through_link(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		run_learn_decoy(&run);
		while (run_next(&run))
			read_through_link(&run, run.denied);
		break;
	}
	run_end(&run);
}
