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
#include "attack.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define SOCKETCALL_CONNECT 3

static void reach(struct run *run, int port, bool plainly)
{
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(0));
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	unsigned long words[] = { fd, (uintptr_t)&address, sizeof(address) };

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	run->attempts = 1;
	if (plainly)
		run_result(run, syscall(SYS_connect, JUNK(fd), &address, JUNK(sizeof(address))));
	else
		run_result(run, syscall(SYS_socketcall, JUNK(SOCKETCALL_CONNECT), words));
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
