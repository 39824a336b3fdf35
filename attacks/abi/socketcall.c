// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a connection asked for through the multiplexer is judged like one by
 * its own number (catalogue C6).
 *
 *	connect(fd, DENIED, size)
 *	socketcall(SYS_CONNECT, {fd, DENIED, size})	the same, all of it in memory
 *
 * Only loopback ports that the laboratory listens on are tried. A win is a
 * connection to the denied port; its listener accepts it.
 */
#include "connection.h"

static long multiplexed(int fd, struct message *message)
{
	struct msghdr *to = &message->header.msg_hdr;
	unsigned long flags = MSG_FASTOPEN | MSG_NOSIGNAL;
	const struct {
		const char *call;
		int number;
		unsigned long words[6];
	} calls[] = {
		{ "connect", 3, { fd, (uintptr_t)to->msg_name, to->msg_namelen } },
		{ "sendto", 11, { fd, (uintptr_t)"", 0, flags, (uintptr_t)to->msg_name,
				  to->msg_namelen } },
		{ "sendmsg", 16, { fd, (uintptr_t)to, flags } },
		{ "sendmmsg", 20, { fd, (uintptr_t)&message->header, 1, flags } },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(way_call("connect"), calls[i].call))
			return syscall(SYS_socketcall, JUNK(calls[i].number), calls[i].words);
	broken("socketcall has no %s", way);
}

static void approach(struct run *run, int port, bool plainly)
{
	struct message message;
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(0));
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	run->attempts = 1;
	message_make(&message, &address, sizeof(address), "");
	run_result(run, plainly ? message_send("connect", fd, &message, 0)
				: multiplexed(fd, &message));
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		approach(&run, run.allowed_port, false);
		break;
	case MODE_DIRECT:
		approach(&run, run.port, true);
		break;
	case MODE_ATTACK:
		approach(&run, run.port, false);
		break;
	}
	run_end(&run);
}
