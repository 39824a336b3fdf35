/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies in the scratch directory since before the run (`sentinel: linked`): `twin`,
 * another name of the permitted file, and `link`, one of the denied file.
 */
#ifndef EARLIER_H
#define EARLIER_H

#include "attack.h"

ATTACK_UNUSED void read_in_scratch(struct run *run, const char *leaf)
{
	char name[PATH_MAX];

	join(name, run->dir, leaf);
	run_plain_read(run, name);
}

/* The three modes: the twin, the denied file by its own name, and by the other one. */
ATTACK_UNUSED void run_earlier_link(struct run *run)
{
	switch (run->mode) {
	case MODE_BENIGN:
		read_in_scratch(run, "twin");
		break;
	case MODE_DIRECT:
		run_plain_read(run, run->denied);
		break;
	case MODE_ATTACK:
		read_in_scratch(run, "link");
		break;
	}
}

#endif
