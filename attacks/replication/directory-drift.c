// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a relative name is judged from the directory that the target has now,
 * not from one that was noted earlier (catalogue D32).
 *
 *	chdir(parent of DENIED)		permitted, and nothing to decide about
 *	openat("object")		kernel: DENIED; a mirror: DIR/object
 *
 * The denied object is a directory that holds a file with a secret name.
 * Winning prints DATA and that name.
 */
#include "attack.h"

#include <dirent.h>

static void list(struct run *run, const char *name)
{
	int fd = raw_open(name, O_RDONLY | O_DIRECTORY);
	struct dirent *entry;
	DIR *directory;

	run->attempts = 1;
	if (fd < 0) {
		run->error = errno;
		return;
	}
	directory = fdopendir(fd);
	if (!directory)
		broken("fdopendir: %s", strerror(errno));
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(run->content, sizeof(run->content), "%s", entry->d_name);
		run->wins = 1;
	}
	closedir(directory);
}

static void list_from_parent(struct run *run, const char *name)
{
	char parent[PATH_MAX];
	char *leaf;

	if (strlen(name) >= PATH_MAX)
		broken("name too long: %s", name);
	leaf = strrchr(strcpy(parent, name), '/');
	*leaf = '\0';
	if (chdir(parent))
		broken("chdir %s: %s", parent, strerror(errno));
	list(run, leaf + 1);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		list_from_parent(&run, run.allowed);
		break;
	case MODE_DIRECT:
		list(&run, run.denied);
		break;
	case MODE_ATTACK:
		list_from_parent(&run, run.denied);
		break;
	}
	run_end(&run);
}
