// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: procfs gives a denied file no second, permitted name (catalogue B13).
 *
 *	openat("/proc/self/root/DENIED")	root and cwd are links to directories,
 *	openat("/proc/self/cwd/../../DENIED")	under which the whole tree lies
 *
 * The policy permits names in /proc. Winning prints DATA and the content of the
 * denied file.
 */
#include "attack.h"

static void read_by_alias(struct run *run, const char *name)
{
	char alias[PATH_MAX] = "/proc/self/root";

	if (!strcmp(run->variant, "thread-root"))
		strcpy(alias, "/proc/thread-self/root");
	if (!strcmp(run->variant, "cwd")) {
		strcpy(alias, "/proc/self/cwd");
		for (const char *at = run->dir; (at = strchr(at, '/')); at++)
			strcat(alias, "/..");
	}
	if (strlen(alias) + strlen(name) >= PATH_MAX)
		broken("name too long: %s", name);
	strcat(alias, name);
	run_plain_read(run, alias);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_by_alias(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_by_alias(&run, run.denied);
		break;
	}
	run_end(&run);
}
