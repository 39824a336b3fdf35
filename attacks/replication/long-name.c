// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name of as many bytes as the kernel takes is judged to its end
 * (catalogue A14).
 *
 *	DIR/./././ ... /../../DENIED\0	PATH_MAX bytes with the NUL
 *
 * A reader with a smaller buffer sees the permitted beginning. The variants
 * fill the room with slashes, with dots, and with components of NAME_MAX bytes.
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

#include <sys/stat.h>

static void read_longest(struct run *run, const char *goal)
{
	char name[PATH_MAX], end[PATH_MAX] = "", filling[NAME_MAX + 5] = "/.";
	size_t length, room;

	for (const char *at = run->dir; (at = strchr(at, '/')); at++)
		strcat(end, "/..");
	strcat(end, goal);
	if (!strcmp(run->variant, "components")) {
		memset(filling + 1, 'x', NAME_MAX);
		strcpy(name, run->dir);
		strcat(name, filling);
		if (mkdir(name, 0700) && errno != EEXIST)
			broken("mkdir %s: %s", name, strerror(errno));
		strcat(filling, "/..");
	} else if (!strcmp(run->variant, "slashes")) {
		strcpy(filling, "/");
	}
	strcpy(name, run->dir);
	length = strlen(name);
	room = PATH_MAX - 1 - strlen(end) - strlen(filling);
	while (length < room)
		length += strlen(strcpy(name + length, filling));
	while (length < PATH_MAX - 1 - strlen(end))
		name[length++] = '/';
	strcpy(name + length, end);
	run_plain_read(run, name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_longest(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		read_longest(&run, run.denied);
		break;
	}
	run_end(&run);
}
