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
#include "attack.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define FLAGS JUNK(MSG_FASTOPEN | MSG_NOSIGNAL)

static struct sockaddr_in address = { .sin_family = AF_INET };
static char byte = 'x';

static long connect_plainly(int fd)
{
	return syscall(SYS_connect, JUNK(fd), &address, JUNK(sizeof(address)));
}

static long send_to(const struct run *run, int fd)
{
	struct iovec vector = { .iov_base = &byte, .iov_len = 1 };
	struct mmsghdr message = {
		.msg_hdr = {
			.msg_name = &address,
			.msg_namelen = sizeof(address),
			.msg_iov = &vector,
			.msg_iovlen = 1,
		},
	};

	if (!strcmp(run->variant, "sendmsg"))
		return syscall(SYS_sendmsg, JUNK(fd), &message.msg_hdr, FLAGS);
	if (!strcmp(run->variant, "sendmmsg"))
		return syscall(SYS_sendmmsg, JUNK(fd), &message, JUNK(1), FLAGS);
	return syscall(SYS_sendto, JUNK(fd), &byte, 1ul, FLAGS, &address, JUNK(sizeof(address)));
}

static void reach(struct run *run, int port, bool plainly)
{
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(0));
	long result;

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port);
	run->attempts = 1;
	result = plainly ? connect_plainly(fd) : send_to(run, fd);
	/* A listener that resets what it accepted was reached all the same. */
	run_result(run, result < 0 && (errno == ECONNRESET || errno == EPIPE) ? 0 : result);
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		reach(&run, run.allowed_port, false);
		break;
	case MODE_DIRECT:
		reach(&run, run.port, true);
		break;
	case MODE_ATTACK:
		reach(&run, run.port, false);
		break;
	}
	run_end(&run);
}
