// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name is judged by the object that it leads to, however it is spelled
 * (catalogue A15).
 *
 *	/dir//shut//object	/dir/./shut/./object	/dir/open/../shut/object
 *
 * The variants are the spellings. Winning prints DATA and the content of the
 * denied file.
 */
#include "attack.h"

static void append(char *name, const char *text, size_t length)
{
	size_t size = strlen(name);

	if (size + length >= PATH_MAX)
		broken("name too long: %s%s", name, text);
	memcpy(name + size, text, length);
	name[size + length] = '\0';
}

/* Up from the permitted directory and down again. */
static void around(char *name, const char *dir, const char *goal)
{
	append(name, dir, strlen(dir));
	for (const char *at = dir; (at = strchr(at, '/')); at++)
		append(name, "/..", 3);
	append(name, goal, strlen(goal));
}

static void read_spelled(struct run *run, const char *goal)
{
	const char *between = !strcmp(run->variant, "slashes") ? "///" : "/./";
	char name[PATH_MAX] = "";

	if (!strcmp(run->variant, "dotdot"))
		around(name, run->dir, goal);
	else
		for (const char *at = goal; *at; at += 1 + strcspn(at + 1, "/")) {
			append(name, between, strlen(between));
			append(name, at + 1, strcspn(at + 1, "/"));
		}
	run_plain_read(run, name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_spelled(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_spelled(&run, run.denied);
		break;
	}
	run_end(&run);
}
