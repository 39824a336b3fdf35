/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Namespaces of the caller's own, in which an ordinary user may mount and change
 * roots. All of these return 0, or -1 and errno.
 */
#ifndef OWN_NAMESPACES_H
#define OWN_NAMESPACES_H

#include "attack.h"

#include <sys/mount.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

#define OPEN_TREE_COPY 1
#define MOVE_FROM_DESCRIPTOR 4
#define CONFIG_STRING 1
#define CONFIG_CREATE 6

ATTACK_UNUSED int own_namespaces(void)
{
	/* Not JUNK(): the kernel takes all of this register, and refuses bits that it does not know. */
	return (int)syscall(SYS_unshare, (unsigned long)(CLONE_NEWUSER | CLONE_NEWNS));
}

ATTACK_UNUSED int write_text(const char *name, const char *text)
{
	int fd = raw_openat(AT_FDCWD, name, O_WRONLY | O_CREAT);
	ssize_t size = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return size < 0 ? -1 : 0;
}

/* The same, with the caller as their root: some file systems ask who mounts them. */
ATTACK_UNUSED int own_root(void)
{
	char uid[64], gid[64];

	snprintf(uid, sizeof(uid), "0 %d 1", (int)getuid());
	snprintf(gid, sizeof(gid), "0 %d 1", (int)getgid());
	return own_namespaces() || write_text("/proc/self/setgroups", "deny") ||
	       write_text("/proc/self/uid_map", uid) || write_text("/proc/self/gid_map", gid)
		       ? -1 : 0;
}

/* The directory that `name` is in. */
ATTACK_UNUSED void directory_of(char directory[PATH_MAX], const char *name)
{
	const char *leaf = strrchr(name, '/');

	if (!leaf || leaf == name || leaf - name >= PATH_MAX)
		broken("no directory: %s", name);
	snprintf(directory, PATH_MAX, "%.*s", (int)(leaf - name), name);
}

/* The last part of `name`, with its slash. */
ATTACK_UNUSED const char *leaf_of(const char *name)
{
	return strrchr(name, '/');
}

ATTACK_UNUSED int mount_overlay(const char *from, const char *at)
{
	char options[2 * PATH_MAX];

	/* Two lower layers and no upper one make a file system that is only read. */
	if (snprintf(options, sizeof(options), "lowerdir=%s:%s", from, at) >= (int)sizeof(options))
		broken("names too long: %s, %s", from, at);
	return mount("none", at, "overlay", 0, options);
}

/* A bind, without mount(2). */
ATTACK_UNUSED int move_copy(const char *from, const char *at)
{
	long tree = syscall(SYS_open_tree, JUNK(AT_FDCWD), from, JUNK(OPEN_TREE_COPY));

	return tree < 0 ? -1 : (int)syscall(SYS_move_mount, JUNK(tree), "", JUNK(AT_FDCWD), at,
					    JUNK(MOVE_FROM_DESCRIPTOR));
}

/* An overlay, without mount(2). */
ATTACK_UNUSED int move_overlay(const char *from, const char *at)
{
	char layers[2 * PATH_MAX];
	long context = syscall(SYS_fsopen, "overlay", JUNK(0)), made;

	snprintf(layers, sizeof(layers), "%s:%s", from, at);
	if (context < 0 ||
	    syscall(SYS_fsconfig, JUNK(context), JUNK(CONFIG_STRING), "lowerdir", layers, JUNK(0)) ||
	    syscall(SYS_fsconfig, JUNK(context), JUNK(CONFIG_CREATE), NULL, NULL, JUNK(0)))
		return -1;
	made = syscall(SYS_fsmount, JUNK(context), JUNK(0), JUNK(0));
	return made < 0 ? -1 : (int)syscall(SYS_move_mount, JUNK(made), "", JUNK(AT_FDCWD), at,
					    JUNK(MOVE_FROM_DESCRIPTOR));
}

#endif
