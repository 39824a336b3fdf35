// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a descriptor that was permitted for reading does not become one for
 * writing by way of procfs (catalogue B11).
 *
 *	fd = openat(FILE, O_RDONLY)		permitted
 *	openat("/proc/self/fd/<fd>", O_WRONLY)	no name of FILE in it
 *
 * The policy permits reading the denied file and denies writing it. A win
 * writes the run's nonce into it. The variants name the descriptor in three ways.
 */
#include "attack.h"

static const char *spelling(const struct run *run)
{
	if (!strcmp(run->variant, "thread-self"))
		return "/proc/thread-self/fd/%d";
	if (!strcmp(run->variant, "dev-fd"))
		return "/dev/fd/%d";
	if (!strcmp(run->variant, "self") || !strcmp(run->variant, "default"))
		return "/proc/self/fd/%d";
	broken("no such variant: %s", run->variant);
}

static void reopen(struct run *run, const char *name)
{
	int fd = raw_open(name, O_RDONLY);
	char again[64];

	if (fd < 0)
		broken("%s must be permitted for reading: %s", name, strerror(errno));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(again, sizeof(again), spelling(run), fd);
#pragma GCC diagnostic pop
	run_plain_write(run, again, O_TRUNC);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		reopen(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		reopen(&run, run.denied);
		break;
	}
	run_end(&run);
}
