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
#include "attack.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address = { .sun_family = AF_UNIX };

static long send_connected(int fd, const char *word)
{
	if (syscall(SYS_connect, JUNK(fd), &address, JUNK(sizeof(address))))
		return -1;
	return write(fd, word, strlen(word));
}

static long send_to(const struct run *run, int fd, const char *word)
{
	struct iovec vector = { .iov_base = (void *)(uintptr_t)word, .iov_len = strlen(word) };
	struct mmsghdr message = {
		.msg_hdr = {
			.msg_name = &address,
			.msg_namelen = sizeof(address),
			.msg_iov = &vector,
			.msg_iovlen = 1,
		},
	};

	if (!strcmp(run->variant, "sendmsg"))
		return syscall(SYS_sendmsg, JUNK(fd), &message.msg_hdr, JUNK(0));
	if (!strcmp(run->variant, "sendmmsg"))
		return syscall(SYS_sendmmsg, JUNK(fd), &message, JUNK(1), JUNK(0));
	return syscall(SYS_sendto, JUNK(fd), word, strlen(word), JUNK(0), &address,
		       JUNK(sizeof(address)));
}

static void tell(struct run *run, const char *name, const char *word, bool plainly)
{
	int fd = (int)syscall(SYS_socket, JUNK(AF_UNIX), JUNK(SOCK_DGRAM), JUNK(0));

	if (fd < 0 || strlen(name) >= sizeof(address.sun_path))
		broken("no socket for %s: %s", name, strerror(errno));
	strcpy(address.sun_path, name);
	run->attempts = 1;
	run_result(run, plainly ? send_connected(fd, word) : send_to(run, fd, word));
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		tell(&run, run.allowed, run.print, false);
		break;
	case MODE_DIRECT:
		tell(&run, run.denied, run.inject, true);
		break;
	case MODE_ATTACK:
		tell(&run, run.denied, run.inject, false);
		break;
	}
	run_end(&run);
}
