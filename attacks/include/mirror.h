/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One relative name with two meanings, all of it inside the scratch directory.
 *
 * With k the depth of DIR/top below the root, the name is `../` k times and then
 * the absolute name of the goal. From DIR/top that is the goal. From DIR/d/d/.../d,
 * k levels below DIR, it is a permitted copy of the decoy under DIR.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include "attack.h"

#include <sys/stat.h>

struct mirror {
	char top[PATH_MAX];
	char deep[PATH_MAX];
	char name[PATH_MAX];
};

ATTACK_UNUSED void append(char *buffer, const char *text)
{
	if (strlen(buffer) + strlen(text) >= PATH_MAX)
		broken("name too long: %s%s", buffer, text);
	strcat(buffer, text);
}

/* Makes the directory `name` and those above it, from offset `from` on. */
ATTACK_UNUSED void make_directories(char *name, size_t from)
{
	for (char *slash = strchr(name + from, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(name, 0700);
		*slash = '/';
	}
	if (mkdir(name, 0700) && errno != EEXIST)
		broken("mkdir %s: %s", name, strerror(errno));
}

ATTACK_UNUSED void write_file(const char *name, const char *content)
{
	int fd = raw_open(name, O_WRONLY | O_CREAT | O_TRUNC);

	if (fd < 0 || write(fd, content, strlen(content)) < 0)
		broken("write %s: %s", name, strerror(errno));
	close(fd);
}

/* Lays the directories out and puts `decoy` where the name leads from `deep`. */
ATTACK_UNUSED void mirror_make(struct mirror *mirror, const char *dir, const char *goal,
			       const char *decoy)
{
	char copy[PATH_MAX] = "";
	size_t inside = strlen(dir) + 1;
	char *leaf;

	if (dir[0] != '/' || goal[0] != '/')
		broken("dir and goal must be absolute names");
	memset(mirror, 0, sizeof(*mirror));
	append(mirror->top, dir);
	append(mirror->top, "/top");
	append(mirror->deep, dir);
	for (const char *at = mirror->top; (at = strchr(at, '/')); at++) {
		append(mirror->deep, "/d");
		append(mirror->name, "../");
	}
	append(mirror->name, goal + 1);
	make_directories(mirror->top, inside);
	make_directories(mirror->deep, inside);
	append(copy, dir);
	append(copy, goal);
	leaf = strrchr(copy, '/');
	*leaf = '\0';
	make_directories(copy, inside);
	*leaf = '/';
	write_file(copy, decoy);
}

#define TWIN "twin"

/* The same directories for a benign run: TWIN is a permitted file from either. */
ATTACK_UNUSED void mirror_make_twins(struct mirror *mirror, struct run *run)
{
	char content[CONTENT_MAX];
	int fd = raw_open(run->allowed, O_RDONLY);

	if (fd < 0 || !take_line(fd, content))
		broken("the permitted file cannot be read: %s", strerror(errno));
	mirror_make(mirror, run->dir, run->allowed, content);
	for (int i = 0; i < 2; i++) {
		char name[PATH_MAX] = "";

		append(name, i ? mirror->top : mirror->deep);
		append(name, "/" TWIN);
		write_file(name, content);
	}
	run->limit = BENIGN_ROUNDS;
}

#endif
