/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process outside the sandbox that reads files for whoever asks it: "read NAME"
 * is answered by the content, "open NAME" by a descriptor (SCM_RIGHTS), "with
 * NAME" by what a program prints that is started with the variable FILE=NAME.
 */
#ifndef DEPUTY_H
#define DEPUTY_H

#include "attack.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ANSWER_S 5

/*
 * A datagram socket with an abstract name of the kernel's choice, to be answered at; -1 and errno
 * where sockets are refused.
 */
ATTACK_UNUSED int deputy_socket(void)
{
	sa_family_t family = AF_UNIX;
	struct timeval patience = { .tv_sec = ANSWER_S };
	int fd = (int)syscall(SYS_socket, JUNK(AF_UNIX), JUNK(SOCK_DGRAM), JUNK(0));

	if (fd >= 0 && (bind(fd, (struct sockaddr *)&family, sizeof(family)) ||
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience))))
		broken("no socket to be answered at: %s", strerror(errno));
	return fd;
}

/*
 * Asks for `name` at the deputy's path, or its abstract name. The socket to be answered at; -1 and
 * errno when it cannot.
 */
ATTACK_UNUSED int deputy_ask(const struct run *run, const char *verb, const char *name,
			     bool is_abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t start = is_abstract ? 1 : 0, size = strlen(run->deputy);
	char request[PATH_MAX + 16];
	int fd = deputy_socket();

	if (fd < 0)
		return -1;
	if (size + 2 > sizeof(address.sun_path))
		broken("name too long: %s", run->deputy);
	memcpy(address.sun_path + start, run->deputy, size);
	size = (size_t)snprintf(request, sizeof(request), "%s %s", verb, name);
	if (syscall(SYS_sendto, JUNK(fd), request, size, JUNK(0), &address,
		    offsetof(struct sockaddr_un, sun_path) + start + strlen(run->deputy)) < 0)
		return -1;
	return fd;
}

/* The answer's content in `line`, and the descriptor that came with it, -1 without one. */
ATTACK_UNUSED int deputy_answer(int fd, char line[CONTENT_MAX])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = { .iov_base = line, .iov_len = CONTENT_MAX - 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *found = size < 0 ? NULL : CMSG_FIRSTHDR(&message);
	int received = -1;

	if (size < 0)
		broken("the deputy does not answer: %s", strerror(errno));
	line[size] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (found && found->cmsg_level == SOL_SOCKET && found->cmsg_type == SCM_RIGHTS)
		memcpy(&received, CMSG_DATA(found), sizeof(received));
	return received;
}

#endif
