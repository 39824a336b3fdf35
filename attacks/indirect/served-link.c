// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a symbolic link in a file system of the target's own leads where it
 * was judged to lead, however that answers next (catalogue B21).
 *
 *	opener			enforcer		server
 *	openat(link) ---------> where to? ------------> ALLOWED
 *				permitted
 *	kernel: where to? ----------------------------> DENIED
 *
 * The server needs no luck: it is asked, and may take its time. Whoever walks
 * twice because openat2 is missing falls as well (D36). Without an enforcer every
 * other open reads the denied file. The twin is a plain read,
 * because refusing such a mount is a sound defence. Winning prints DATA and the
 * content of the denied file.
 */
#include "fuse.h"

#define OPENS 8

static const char *leads_to[2];

static const char *next_text(void)
{
	static unsigned int asked;

	return leads_to[asked++ & 1];
}

static void read_by_served_link(struct run *run)
{
	static const struct fuse_text served = { next_text };
	char at[PATH_MAX], link[PATH_MAX];

	leads_to[0] = run->allowed;
	leads_to[1] = run->denied;
	join(at, run->dir, "at");
	join(link, at, "link");
	if (mkdir(at, 0700))
		broken("mkdir %s: %s", at, strerror(errno));
	if (mount_fuse(at, &served)) {
		run->error = errno;
		run_next(run); /* made, and refused at its first step */
		return;
	}
	for (run->limit = OPENS; run_next(run);)
		run_opened(run, raw_openat(AT_FDCWD, link, O_RDONLY));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_learn_decoy(&run);
	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_by_served_link(&run);
		break;
	}
	run_end(&run);
}
