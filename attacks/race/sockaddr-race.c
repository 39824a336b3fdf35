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
#include "connection.h"

#include <pthread.h>

static struct sockaddr_in *address, *written;
static struct message message;
static in_port_t ports[2];
static _Atomic unsigned int turns;
static _Atomic bool stop;

static void *flipper(void *unused)
{
	volatile in_port_t *port = &written->sin_port;

	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		*port = ports[turn & 1];
		atomic_store(&turns, turn);
		flip_pause();
	}
	return NULL;
}

static long connect_by_way(int fd)
{
	return message_send(way_call("connect"), fd, &message, MSG_FASTOPEN | MSG_NOSIGNAL);
}

static void race(struct run *run, int first, int second)
{
	pthread_t thread;

	ports[0] = htons(first);
	ports[1] = htons(second);
	address->sin_port = ports[0];
	written = widen_page(run, address);
	race_begin(run);
	if (pthread_create(&thread, NULL, flipper, NULL))
		broken("no second thread");
	widen_caller(run);
	race_to_port(run, &turns, connect_by_way, ports[1]);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	address = shared_memory(WIDE_PAGE);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	message_make(&message, address, sizeof(*address), "");
	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
		race(&run, run.allowed_port, run.allowed_port);
		break;
	case MODE_DIRECT:
		run.attempts = 1;
		address->sin_port = htons(run.port);
		run_result(&run, reach(connect_by_way, address->sin_port) ? 0 : -1);
		break;
	case MODE_ATTACK:
		race(&run, run.allowed_port, run.port);
		break;
	}
	run_end(&run);
}
