// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a message to a socket that may not be connected to does not reach it
 * without a connection either (catalogue C11).
 *
 *	connect(DENIED); write()	judged
 *	sendto(..., DENIED)		never connects
 *
 * The denied object and its twin are datagram sockets of the laboratory's,
 * which get the words inject= and print=. The variants are the calls that take
 * addresses. A win is a message that arrives.
 */
#include "connection.h"

#include <sys/un.h>

static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void tell(struct run *run, const char *name, const char *word, const char *call)
{
	struct message message;
	int fd = (int)syscall(SYS_socket, JUNK(AF_UNIX), JUNK(SOCK_DGRAM), JUNK(0));

	if (fd < 0 || strlen(name) >= sizeof(address.sun_path))
		broken("no socket for %s: %s", name, strerror(errno));
	strcpy(address.sun_path, name);
	run->attempts = 1;
	message_make(&message, &address, sizeof(address), word);
	run_result(run, message_send(call, fd, &message, 0));
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		tell(&run, run.allowed, run.print, run.variant);
		break;
	case MODE_DIRECT:
		tell(&run, run.denied, run.inject, "connect");
		break;
	case MODE_ATTACK:
		tell(&run, run.denied, run.inject, run.variant);
		break;
	}
	run_end(&run);
}
