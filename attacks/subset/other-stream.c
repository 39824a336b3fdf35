// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a connection is judged whatever the protocol of its socket is
 * (catalogue C10).
 *
 *	socket(AF_INET, SOCK_STREAM, 0)			connect(DENIED): judged
 *	socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)	connect(DENIED): an ordinary
 *							TCP listener answers
 *
 * Only loopback ports that the laboratory listens on are tried. A win is a
 * connection to the denied port; its listener accepts it.
 */
#include "connection.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct sockaddr_in address = { .sin_family = AF_INET };

static void come_to(struct run *run, int port, int protocol)
{
	struct message message;
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(protocol));

	run->attempts = 1;
	if (fd < 0) {
		run->error = errno;
		return;
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port);
	message_make(&message, &address, sizeof(address), "");
	run_result(run, message_send("connect", fd, &message, 0));
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		come_to(&run, run.allowed_port, IPPROTO_TCP);
		break;
	case MODE_DIRECT:
		come_to(&run, run.port, IPPROTO_TCP);
		break;
	case MODE_ATTACK:
		come_to(&run, run.port, IPPROTO_MPTCP);
		break;
	}
	run_end(&run);
}
