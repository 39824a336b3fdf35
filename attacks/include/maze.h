/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names whose walk takes long, in the kernel and for whoever looks before it: the time
 * between the two walks' ends grows by that of one walk (Borisov, Johnson, Sastry and
 * Wagner, Fixing Races for Fun and Profit, USENIX Security 2005).
 *
 *	DIR/way -> maze/../maze/../...		leads to DIR
 *	DIR/way/way/.../LEAF			is DIR/LEAF, 16,000 steps later
 *
 * 0.2 ms on a machine where DIR/LEAF takes 2 us. An exchange that waits for the same
 * enforcer (one that judges renames, too) is let go behind the look at the name, and has
 * to come before the end of the kernel's walk.
 */
#ifndef MAZE_H
#define MAZE_H

#include "attack.h"

#define DETOUR "maze/../"
#define DETOURS ((PATH_MAX - 1) / (sizeof(DETOUR) - 1))
#define TURNS 16 /* the kernel follows 40 links (MAXSYMLINKS) */

/* Makes what maze_name() goes through in `dir`, which is named as for raw_open(). */
ATTACK_UNUSED void maze_make(const char *dir)
{
	char name[PATH_MAX], target[PATH_MAX] = "";

	join(name, dir, "maze");
	if (mkdirat(way_from, name, 0700) && errno != EEXIST)
		broken("mkdir %s: %s", name, strerror(errno));
	for (size_t i = 0; i < DETOURS; i++)
		strcat(target, DETOUR);
	join(name, dir, "way");
	unlinkat(way_from, name, 0);
	if (symlinkat(target, way_from, name))
		broken("symlink %s: %s", name, strerror(errno));
}

/* `leaf`, which may be a name of many parts, the long way through `dir`. */
ATTACK_UNUSED void maze_name(char *name, const char *dir, const char *leaf)
{
	char turns[TURNS * sizeof("way/")] = "", behind[PATH_MAX];

	for (int i = 0; i < TURNS; i++)
		strcat(turns, "way/");
	if (snprintf(behind, PATH_MAX, "%s%s", turns, leaf) >= PATH_MAX)
		broken("name too long: %s", leaf);
	join(name, dir, behind);
}

#endif
