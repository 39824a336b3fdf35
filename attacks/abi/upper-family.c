// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a family of sockets that is refused is refused whatever the upper half
 * of the register holds (catalogue C7).
 *
 *	socket(AF_VSOCK, SOCK_STREAM, 0)	denied: Docker's profile permits
 *						arg[0] < 38, == 39, > 40
 *	socket(AF_VSOCK | 1 << 32, ...)		the same to the kernel
 *
 * Reading is permitted. A win holds a socket that the kernel itself calls one
 * of that family (SO_DOMAIN), and reads the denied file then; without it
 * nothing is read. Nothing is sent anywhere. The twin has a local socket.
 */
#include "attack.h"

#include <sys/socket.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

/* The family is an exact register, with no junk but the bit that is asked for. */
static void read_with(struct run *run, const char *name, unsigned long family, bool high)
{
	unsigned long bit = high ? (unsigned long)(UINT64_C(1) << 32) : 0;
	int fd = (int)syscall(SYS_socket, family | bit, JUNK(SOCK_STREAM), JUNK(0));
	int domain = -1;
	socklen_t size = sizeof(domain);

	run->attempts = 1;
	if (fd < 0) {
		run->error = errno;
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != (int)family)
		broken("a socket of family %d, not %lu", domain, family);
	run_plain_read(run, name);
	close(fd);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		read_with(&run, run.allowed, AF_UNIX, false);
		break;
	case MODE_DIRECT:
		read_with(&run, run.denied, AF_VSOCK, false);
		break;
	case MODE_ATTACK:
		read_with(&run, run.denied, AF_VSOCK, true);
		break;
	}
	run_end(&run);
}
