// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: an address is judged by what the kernel takes it for, however it is
 * spelled (catalogue D38).
 *
 *	rule			deny 127.0.0.1:PORT
 *	connect(127.0.0.1)	judged
 *	connect(0.0.0.0)	loopback: ip_route_output_key_hash_rcu
 *	connect(::ffff:127.0.0.1)	the same IPv4 address: tcp_v6_connect
 *	sendto(AF_UNSPEC, 127.0.0.1)	taken for AF_INET: udp_sendmsg
 *
 * The variants are the spellings. Only loopback ports that the laboratory
 * listens on are tried. A win is a connection, or a datagram, to the denied one.
 */
#include "connection.h"

static void come_to(struct run *run, int port, const char *host)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 address6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool is_six = strchr(host, ':');
	struct message message;
	int fd = (int)syscall(SYS_socket, JUNK(is_six ? AF_INET6 : AF_INET), JUNK(SOCK_STREAM),
			      JUNK(0));

	run->attempts = 1;
	if (fd < 0)
		unsupported("no socket for %s: %s", host, strerror(errno));
	if (is_six) {
		inet_pton(AF_INET6, host, &address6.sin6_addr);
		message_make(&message, &address6, sizeof(address6), "");
	} else {
		inet_pton(AF_INET, host, &address.sin_addr);
		message_make(&message, &address, sizeof(address), "");
	}
	run_result(run, message_send("connect", fd, &message, 0));
	close(fd);
}

/* A datagram to an address of no family. */
static void send_to(struct run *run, int port)
{
	struct sockaddr_in address = { .sin_family = AF_UNSPEC, .sin_port = htons(port) };
	int fd = (int)syscall(SYS_socket, JUNK(AF_INET), JUNK(SOCK_DGRAM), JUNK(0));
	struct message message;

	if (fd < 0)
		unsupported("no datagram socket: %s", strerror(errno));
	run->attempts = 1;
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	message_make(&message, &address, sizeof(address), "x");
	run_result(run, message_send("sendto", fd, &message, 0));
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		come_to(&run, run.allowed_port, "127.0.0.1");
		break;
	case MODE_DIRECT:
		come_to(&run, run.port, "127.0.0.1");
		break;
	case MODE_ATTACK:
		if (!strcmp(run.variant, "unspec"))
			send_to(&run, run.port);
		else
			come_to(&run, run.port,
				strcmp(run.variant, "any") ? "::ffff:127.0.0.1" : "0.0.0.0");
		break;
	}
	run_end(&run);
}
