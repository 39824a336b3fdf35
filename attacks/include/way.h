/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways in which one act can be made, as a manifest lists them under `ways`.
 *
 * An attack names its objects by run->denied, run->allowed and run->dir, all of
 * them from the directory `way_from`, and acts by the calls below. So a way is
 * known here and in no attack. The direct attempt is always made plainly.
 */
#ifndef WAY_H
#define WAY_H

/* Included by attack.h, behind what it takes from there. */

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define WARM_ROUNDS 64

struct open_how_v0 {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};

ATTACK_UNUSED const char *way = "";
ATTACK_UNUSED const char *way_twin;
ATTACK_UNUSED int way_from = AT_FDCWD;

ATTACK_UNUSED bool way_is(const char *name)
{
	return !strcmp(way, name);
}

/* The call of an act that has several, when no way names another. */
ATTACK_UNUSED const char *way_call(const char *usual)
{
	return way[0] ? way : usual;
}

/* `name` as it is called from the directory `dir`, both of them absolute. */
ATTACK_UNUSED const char *name_from(const char *dir, const char *name)
{
	size_t i = 0, same = 0;
	char *short_name = malloc(PATH_MAX);

	for (; dir[i] && dir[i] == name[i]; i++)
		if (dir[i] == '/')
			same = i;
	if (!dir[i] && name[i] == '/')
		same = i;
	if (!short_name || dir[0] != '/' || name[0] != '/' || strlen(dir) + strlen(name) >= PATH_MAX / 2)
		broken("no name of %s from %s", name, dir);
	short_name[0] = '\0';
	for (const char *at = dir + same; (at = strchr(at, '/')); at++)
		strcat(short_name, "../");
	return strcat(short_name, name + same + 1);
}

/*
 * Goes where names are relative to `run->dir`: that is the current directory, or
 * a descriptor while the current directory is one from which they mean nothing.
 */
ATTACK_UNUSED void way_go(const char *dir)
{
	if (chdir(dir))
		broken("chdir %s: %s", dir, strerror(errno));
	if (!way_is("dirfd"))
		return;
	/* Not close-on-exec: scripts are read by way of it. */
	way_from = (int)syscall(SYS_openat, JUNK(AT_FDCWD), dir, JUNK(O_PATH | O_DIRECTORY), JUNK(0));
	if (way_from < 0 || (mkdir("elsewhere", 0700) && errno != EEXIST) || chdir("elsewhere"))
		broken("no directory beside %s: %s", dir, strerror(errno));
}

/* openat(2) relative to `dirfd`, or its like, without a wrapper, junk in every unused upper half. */
ATTACK_UNUSED int raw_openat(int dirfd, const char *name, int flags)
{
	if (way_is("openat2")) {
		struct open_how_v0 how = {
			.flags = (unsigned int)(flags | O_CLOEXEC),
			.mode = flags & O_CREAT ? 0600 : 0,
		};

		return (int)syscall(SYS_openat2, JUNK(dirfd), name, &how, sizeof(how));
	}
#ifdef SYS_open
	if (way_is("open") && dirfd == AT_FDCWD)
		return (int)syscall(SYS_open, name, JUNK(flags | O_CLOEXEC), JUNK(0600));
#endif
#ifdef SYS_creat
	if (way_is("creat") && dirfd == AT_FDCWD && (flags & O_ACCMODE) == O_WRONLY &&
	    flags & (O_CREAT | O_TRUNC))
		return (int)syscall(SYS_creat, name, JUNK(0600));
#endif
	return (int)syscall(SYS_openat, JUNK(dirfd), name, JUNK(flags | O_CLOEXEC), JUNK(0600));
}

/* Before the first open of its kind: the same of the permitted twin, again and again. */
ATTACK_UNUSED void warm_up(int flags)
{
	static int warmed = -1;

	if (!way_is("warm") || warmed == flags)
		return;
	warmed = flags;
	for (int i = 0; i < WARM_ROUNDS; i++) {
		int fd = raw_openat(way_from, way_twin,
				    flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY));

		if (fd < 0)
			broken("warming up with %s: %s", way_twin, strerror(errno));
		close(fd);
	}
}

ATTACK_UNUSED int raw_open(const char *name, int flags)
{
	warm_up(flags);
	return raw_openat(way_from, name, flags);
}

/* The number of the call that raw_open() makes for reading. */
ATTACK_UNUSED int raw_open_number(void)
{
#ifdef SYS_open
	if (way_is("open"))
		return SYS_open;
#endif
	return way_is("openat2") ? SYS_openat2 : SYS_openat;
}

ATTACK_UNUSED long raw_link(const char *name, const char *alias)
{
#ifdef SYS_link
	if (way_is("link"))
		return syscall(SYS_link, name, alias);
#endif
	return syscall(SYS_linkat, JUNK(way_from), name, JUNK(way_from), alias, JUNK(0));
}

ATTACK_UNUSED long raw_rename(const char *name, const char *victim)
{
#ifdef SYS_rename
	if (way_is("rename"))
		return syscall(SYS_rename, name, victim);
#endif
#ifdef SYS_renameat
	if (way_is("renameat"))
		return syscall(SYS_renameat, JUNK(way_from), name, JUNK(way_from), victim);
#endif
	return syscall(SYS_renameat2, JUNK(way_from), name, JUNK(way_from), victim, JUNK(0));
}

ATTACK_UNUSED long raw_chmod(const char *name, int mode)
{
#ifdef SYS_chmod
	if (way_is("chmod"))
		return syscall(SYS_chmod, name, JUNK(mode));
#endif
	if (way_is("fchmodat2"))
		return syscall(SYS_fchmodat2, JUNK(way_from), name, JUNK(mode), JUNK(0));
	return syscall(SYS_fchmodat, JUNK(way_from), name, JUNK(mode));
}

#endif
