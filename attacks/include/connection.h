/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections on loopback, of which the caller must know whom they reached.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "race.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* What goes to an address: the socket's own data, which may be nothing at all. */
struct message {
	struct mmsghdr header;
	struct iovec data;
};

ATTACK_UNUSED void message_make(struct message *message, void *address, size_t size,
				const char *data)
{
	*message = (struct message) {
		.header.msg_hdr = {
			.msg_name = address,
			.msg_namelen = (socklen_t)size,
			.msg_iov = &message->data,
			.msg_iovlen = 1,
		},
		.data = { .iov_base = (void *)(uintptr_t)data, .iov_len = strlen(data) },
	};
}

/* By the call of that name; `connect` is followed by a write when there is data. */
ATTACK_UNUSED long message_send(const char *call, int fd, struct message *message, int flags)
{
	struct msghdr *to = &message->header.msg_hdr;
	struct iovec *data = &message->data;

	if (!strcmp(call, "sendmsg"))
		return syscall(SYS_sendmsg, JUNK(fd), to, JUNK(flags));
	if (!strcmp(call, "sendmmsg"))
		return syscall(SYS_sendmmsg, JUNK(fd), &message->header, JUNK(1), JUNK(flags));
	if (!strcmp(call, "sendto"))
		return syscall(SYS_sendto, JUNK(fd), data->iov_base, data->iov_len, JUNK(flags),
			       to->msg_name, JUNK(to->msg_namelen));
	if (syscall(SYS_connect, JUNK(fd), to->msg_name, JUNK(to->msg_namelen)))
		return -1;
	return data->iov_len ? write(fd, data->iov_base, data->iov_len) : 0;
}

/* Connects a new socket in one call or another: 0 or more, or -1 and errno. */
typedef long (*connection)(int fd);

ATTACK_UNUSED void set_option(int fd, int level, int name, int value)
{
	struct linger reset = { .l_onoff = 1 };

	if (name == SO_LINGER && level == SOL_SOCKET)
		setsockopt(fd, level, name, &reset, sizeof(reset));
	else
		setsockopt(fd, level, name, &value, sizeof(value));
}

/*
 * The port that was reached, in network order; 0 and errno when none was. The
 * last acknowledgement is held back until we know who answered, for a listener
 * that accepts and resets would be gone by then; only `wanted` gets it.
 */
ATTACK_UNUSED in_port_t reach(connection make, in_port_t wanted)
{
	struct sockaddr_in peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(0));
	int error;

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_LINGER, 0);
	set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	if (make(fd) < 0 || getpeername(fd, (struct sockaddr *)&peer, &size))
		peer.sin_port = 0;
	else if (peer.sin_port == wanted)
		set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	error = errno;
	close(fd);
	errno = error;
	return peer.sin_port;
}

/* Races: connects as often as attempts are due; reaching `wanted` is a win. */
ATTACK_UNUSED void race_to_port(struct run *run, _Atomic unsigned int *turns, connection make,
				in_port_t wanted)
{
	while (race_next(run, turns)) {
		in_port_t port = reach(make, wanted);

		if (!port)
			run->error = errno;
		else if (port == wanted)
			run->wins++;
	}
}

#endif
