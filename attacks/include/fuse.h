/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file system of the target's own, served by a child of its: FUSE, which an
 * ordinary user may mount in a user namespace (Linux 4.18).
 *
 * It has one file, `name`, and one symbolic link, `link`. Nothing of it is
 * cached, so whoever looks asks the server, and waits as long as that likes.
 */
#ifndef FUSE_H
#define FUSE_H

#include "own_namespaces.h"

#include <linux/fuse.h>
#include <signal.h>
#include <sys/prctl.h>

enum { NODE_NAME = 2, NODE_LINK = 3 };

struct fuse_text {
	/* What the file holds, or where the link leads: asked for each time. */
	const char *(*text)(void);
};

ATTACK_UNUSED struct fuse_attr fuse_attributes(uint64_t node)
{
	static const uint32_t modes[] = {
		[FUSE_ROOT_ID] = S_IFDIR | 0755,
		[NODE_NAME] = S_IFREG | 0644,
		[NODE_LINK] = S_IFLNK | 0777,
	};

	return (struct fuse_attr){
		.ino = node, .mode = modes[node], .nlink = 1, .size = PATH_MAX, .blksize = PATH_MAX,
	};
}

ATTACK_UNUSED void fuse_answer(int fd, uint64_t unique, int error, const void *data, size_t size)
{
	char answer[sizeof(struct fuse_out_header) + PATH_MAX];
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + size), .error = error, .unique = unique,
	};

	memcpy(answer, &head, sizeof(head));
	memcpy(answer + sizeof(head), data, size);
	if (write(fd, answer, head.len) < 0 && errno != ENOENT)
		_exit(errno);
}

ATTACK_UNUSED void fuse_serve_one(int fd, const char *request, const struct fuse_text *served)
{
	const struct fuse_in_header *in = (const void *)request;
	const char *leaf = request + sizeof(*in);
	char page[PATH_MAX] = "";

	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
					     .minor = FUSE_KERNEL_MINOR_VERSION,
					     .max_write = PATH_MAX };

		fuse_answer(fd, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_LOOKUP: {
		uint64_t node = !strcmp(leaf, "name") ? NODE_NAME : NODE_LINK;
		struct fuse_entry_out out = { .nodeid = node, .attr = fuse_attributes(node) };

		fuse_answer(fd, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr = fuse_attributes(in->nodeid) };

		fuse_answer(fd, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_OPEN: {
		struct fuse_open_out out = { 0 };

		fuse_answer(fd, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { .st = { .bsize = PATH_MAX, .namelen = NAME_MAX } };

		fuse_answer(fd, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_READ:
		strcpy(page, served->text());
		fuse_answer(fd, in->unique, 0, page, sizeof(page));
		break;
	case FUSE_READLINK:
		strcpy(page, served->text());
		fuse_answer(fd, in->unique, 0, page, strlen(page));
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		fuse_answer(fd, in->unique, -ENOSYS, NULL, 0);
	}
}

/* Mounts it at `at`, in namespaces of the caller's own; 0, or -1 and errno. */
ATTACK_UNUSED int mount_fuse(const char *at, const struct fuse_text *served)
{
	static _Alignas(8) char request[FUSE_MIN_READ_BUFFER + PATH_MAX];
	char options[64];
	pid_t server;
	int fd;

	if (own_root())
		return -1;
	/* Opened here: a FUSE mount belongs to the user namespace of who opened its device. */
	fd = raw_openat(AT_FDCWD, "/dev/fuse", O_RDWR);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("fuse", at, "fuse", MS_NOSUID | MS_NODEV, options))
		return -1;
	server = fork();
	if (server < 0)
		broken("fork: %s", strerror(errno));
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (read(fd, request, sizeof(request)) > 0)
			fuse_serve_one(fd, request, served);
		_exit(0);
	}
	close(fd);
	return 0;
}

#endif
