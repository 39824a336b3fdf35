// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the log names the file that was opened, not the link that led to it
 * (catalogue B18).
 *
 *	symlink(DENIED, link)
 *	openat(link)		logged as what was given: the link
 *
 * Opening the denied file is permitted, and to be logged. Winning prints DATA
 * and the content of the denied file.
 */
#include "attack.h"

static void read_by_link(struct run *run, const char *name)
{
	char link[PATH_MAX];

	join(link, run->dir, "link");
	if (symlink(name, link))
		broken("symlink %s: %s", link, strerror(errno));
	run_plain_read(run, link);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_by_link(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_by_link(&run, run.denied);
		break;
	}
	run_end(&run);
}
