// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: sending to an address is judged like connecting to it (catalogue C9).
 *
 *	connect(DENIED)				judged
 *	sendto(..., MSG_FASTOPEN, DENIED)	connects on the way
 *
 * The variants are the calls that take addresses. Only loopback ports that the
 * laboratory listens on are tried. A win is a connection to the denied port;
 * its listener accepts it.
 */
#include "connection.h"

static struct sockaddr_in address = { .sin_family = AF_INET };

static void come_to(struct run *run, int port, const char *call, const char *data)
{
	struct message message;
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(0));
	long result;

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port);
	run->attempts = 1;
	message_make(&message, &address, sizeof(address), data);
	result = message_send(call, fd, &message, MSG_FASTOPEN | MSG_NOSIGNAL);
	/* A listener that resets what it accepted was reached all the same. */
	run_result(run, result < 0 && (errno == ECONNRESET || errno == EPIPE) ? 0 : result);
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		come_to(&run, run.allowed_port, run.variant, "x");
		break;
	case MODE_DIRECT:
		come_to(&run, run.port, "connect", "");
		break;
	case MODE_ATTACK:
		come_to(&run, run.port, run.variant, "x");
		break;
	}
	run_end(&run);
}
