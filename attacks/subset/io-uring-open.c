// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: an open asked for through a ring is judged like an open (catalogue C5).
 *
 *	ring: IORING_OP_OPENAT, DENIED
 *	io_uring_enter()		the kernel opens; no openat is ever entered
 *
 * The denied act is to open for truncation, which filters on registers can tell
 * too; its twin appends, by a plain open, because refusing rings altogether is a
 * sound defence. A win replaces the content of the denied file by the nonce.
 */
#include "ring.h"

/* The descriptor, or -1 with errno. */
static int ring_open(struct ring *ring, const char *name)
{
	const struct io_uring_sqe entry = {
		.opcode = IORING_OP_OPENAT,
		.fd = way_from,
		.addr = (uintptr_t)name,
		.open_flags = O_WRONLY | O_TRUNC,
	};

	return ring_do(ring, &entry);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	struct ring ring;

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_write(&run, run.allowed, O_APPEND);
		break;
	case MODE_DIRECT:
		run_plain_write(&run, run.denied, O_TRUNC);
		break;
	case MODE_ATTACK:
		run.attempts = 1;
		run_opened_to_write(&run, ring_make(&ring) ? ring_open(&ring, run.denied) : -1);
		break;
	}
	run_end(&run);
}
