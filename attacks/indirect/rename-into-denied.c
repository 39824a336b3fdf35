// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a file that may not be written cannot be replaced by rename either
 * (catalogue B9).
 *
 *	openat(DIR/new, O_WRONLY)	permitted
 *	renameat2(DIR/new, DENIED)	never looked at by those who watch open
 *
 * A win replaces the denied file by one that holds the run's nonce.
 */
#include "attack.h"

static void replace(struct run *run, const char *victim)
{
	char name[PATH_MAX];

	join(name, run->dir, "new");
	run_plain_write(run, name, O_CREAT | O_TRUNC);
	if (!run->wins)
		broken("the scratch directory cannot be written: %s", strerror(run->error));
	run->wins = 0;
	run_result(run, raw_rename(name, victim));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		replace(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		replace(&run, run.denied);
		break;
	}
	run_end(&run);
}
