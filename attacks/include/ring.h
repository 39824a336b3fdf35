/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring of one entry (io_uring(7)): calls that are asked for in memory, which
 * no number of a call names.
 */
#ifndef RING_H
#define RING_H

#include "attack.h"

#include <linux/io_uring.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *submissions;
	char *completions;
	struct io_uring_sqe *entries;
};

ATTACK_UNUSED void *ring_map(const struct ring *ring, size_t size, off_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    ring->fd, offset);

	if (memory == MAP_FAILED)
		broken("mmap of the ring: %s", strerror(errno));
	return memory;
}

/* False, with errno, when this kernel or somebody in between gives no ring. */
ATTACK_UNUSED bool ring_make(struct ring *ring)
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

/* What one entry comes to: as a call returns it, or -1 with errno. */
ATTACK_UNUSED int ring_do(struct ring *ring, const struct io_uring_sqe *entry)
{
	const struct io_uring_params *params = &ring->params;
	_Atomic uint32_t *tail = (void *)(ring->submissions + params->sq_off.tail);
	uint32_t *slots = (void *)(ring->submissions + params->sq_off.array);
	const struct io_uring_cqe *completion =
		(void *)(ring->completions + params->cq_off.cqes);

	ring->entries[0] = *entry;
	slots[0] = 0;
	atomic_fetch_add(tail, 1);
	if (syscall(SYS_io_uring_enter, JUNK(ring->fd), JUNK(1), JUNK(1),
		    JUNK(IORING_ENTER_GETEVENTS), NULL, 0ul) < 0)
		return -1;
	errno = completion->res < 0 ? -completion->res : 0;
	return completion->res < 0 ? -1 : completion->res;
}

#endif
