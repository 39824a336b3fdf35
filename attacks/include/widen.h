/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Wideners: what makes the time between an enforcer's look and the kernel's longer.
 * A manifest lists under `wideners` those that its race can have; `widener=` chooses.
 *
 *	filter		a long filter of the caller's own, which the kernel runs again
 *			behind a tracer's stop (catalogue A12)
 *	userfaultfd	the argument's page comes only when a thread has put it there,
 *			and is taken away again (A7)
 *	pageout		the argument's page is swapped out at every turn (A7)
 *	fuse		the argument's page is of a file that a child serves (A7)
 *	one-cpu		whoever starts the program has bound enforcer and target to one
 *
 * What an enforcer refuses is left out, and told: `WIDENER name refused errno=n`.
 */
#ifndef WIDEN_H
#define WIDEN_H

#include "attack.h"
#include "fuse.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#define WIDE_PAGE 65536 /* the a multiple of the page of every architecture */
#define SHORT_CALLS 4

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* What flip_pause() takes away behind each turn, and how; none by default. */
static char *wide_page;
static int wide_advice;
static const char *wide_source;
static int wide_faults = -1;
static int wide_file = -1;

ATTACK_UNUSED bool widener_is(const struct run *run, const char *name)
{
	return !strcmp(run->widener, name);
}

ATTACK_UNUSED void widener_refused(const struct run *run)
{
	printf("WIDENER %s refused errno=%d\n", run->widener, errno);
}

/*
 * Divisions cost most. Calls that a race makes besides its attempt pass at once; a
 * filter that only looks at the number would be answered from a cache
 * (seccomp_cache_prepare_bitmap).
 */
ATTACK_UNUSED void widen_by_filter(const struct run *run)
{
	static const unsigned int short_calls[SHORT_CALLS] = { SYS_read, SYS_write, SYS_close,
							       SYS_sched_yield };
	static struct sock_filter code[BPF_MAXINSNS];
	struct sock_fprog program = { .len = BPF_MAXINSNS, .filter = code };
	int at = 0;

	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, nr));
	for (int i = 0; i < SHORT_CALLS; i++) {
		code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							  short_calls[i], 0, 1);
		code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 3);
	while (at < BPF_MAXINSNS - 1)
		code[at++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0);
	code[at] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		broken("no_new_privs: %s", strerror(errno));
	/* One alone is half of what the kernel runs at most (MAX_INSNS_PER_PATH). */
	if (syscall(SYS_seccomp, JUNK(SECCOMP_SET_MODE_FILTER), JUNK(0), &program))
		widener_refused(run);
}

/* In the task that makes the calls, when the other side is there: that stays fast. */
ATTACK_UNUSED void widen_caller(const struct run *run)
{
	if (widener_is(run, "filter"))
		widen_by_filter(run);
}

/* Puts the page where somebody waits for it, for ever. */
ATTACK_UNUSED void *widen_serve(void *unused)
{
	struct uffd_msg message;

	(void)unused;
	while (read(wide_faults, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)wide_page,
			.src = (uintptr_t)wide_source,
			.len = WIDE_PAGE,
		};

		/* Some of it may be there already: then waking is all there is to do. */
		if (ioctl(wide_faults, UFFDIO_COPY, &copy)) {
			struct uffdio_range range = { .start = copy.dst, .len = copy.len };

			ioctl(wide_faults, UFFDIO_WAKE, &range);
		}
	}
	return NULL;
}

ATTACK_UNUSED bool widen_by_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)wide_page, .len = WIDE_PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	pthread_t thread;

	wide_faults = (int)syscall(SYS_userfaultfd, JUNK(O_CLOEXEC));
	if (wide_faults < 0 || ioctl(wide_faults, UFFDIO_API, &api) ||
	    ioctl(wide_faults, UFFDIO_REGISTER, &range))
		return false;
	if (pthread_create(&thread, NULL, widen_serve, NULL))
		broken("no thread for the faults");
	return true;
}

/*
 * Whether the kernel's own faults wait as well, which is all that this is for: an
 * enforcer may have left us those of the program (UFFD_USER_MODE_ONLY). Else the
 * page is an ordinary one again.
 */
ATTACK_UNUSED bool widen_is_served(void)
{
	struct uffdio_range range = { .start = (uintptr_t)wide_page, .len = WIDE_PAGE };
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC))
		broken("pipe2: %s", strerror(errno));
	madvise(wide_page, WIDE_PAGE, MADV_DONTNEED);
	error = write(ends[1], wide_page, 1) == 1 ? 0 : errno;
	close(ends[0]);
	close(ends[1]);
	if (!error)
		return true;
	ioctl(wide_faults, UFFDIO_UNREGISTER, &range);
	memcpy(wide_page, wide_source, WIDE_PAGE);
	errno = error;
	return false;
}

ATTACK_UNUSED const char *widen_text(void)
{
	return wide_source;
}

/*
 * A text only, and of one page: it is read from the server anew whenever neither the
 * page tables nor the page cache have it.
 */
ATTACK_UNUSED bool widen_by_file(const struct run *run)
{
	static const struct fuse_text served = { widen_text };
	char at[PATH_MAX], name[PATH_MAX];

	join(at, run->dir, "served");
	join(name, at, "name");
	if ((mkdir(at, 0700) && errno != EEXIST) || mount_fuse(at, &served))
		return false;
	wide_file = raw_openat(AT_FDCWD, name, O_RDONLY);
	return wide_file >= 0 && mmap(wide_page, WIDE_PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_FIXED, wide_file, 0) == wide_page;
}

/*
 * Widens the WIDE_PAGE bytes at `argument`, which begin a page, in the address space
 * of the caller and of the other side. Returns where the other side is to write: that
 * is `argument`, or what becomes of it at the next fault.
 */
ATTACK_UNUSED void *widen_page(const struct run *run, void *argument)
{
	bool by_faults = widener_is(run, "userfaultfd"), by_file = widener_is(run, "fuse");
	char *kept;

	if (!by_faults && !by_file && !widener_is(run, "pageout"))
		return argument;
	kept = shared_memory(WIDE_PAGE);
	memcpy(kept, argument, WIDE_PAGE);
	wide_page = mmap(argument, WIDE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (wide_page == MAP_FAILED)
		broken("mmap: %s", strerror(errno));
	memcpy(wide_page, kept, WIDE_PAGE);
	wide_advice = by_faults || by_file ? MADV_DONTNEED : MADV_PAGEOUT;
	if (!by_faults && !by_file)
		return argument;
	wide_source = kept;
	if (by_file ? widen_by_file(run) : widen_by_faults() && widen_is_served())
		return kept;
	widener_refused(run);
	wide_page = NULL;
	return argument;
}

/* Behind each turn of the other side. */
ATTACK_UNUSED void widen_turn(void)
{
	if (wide_page)
		madvise(wide_page, WIDE_PAGE, wide_advice);
	if (wide_file >= 0)
		posix_fadvise(wide_file, 0, 0, POSIX_FADV_DONTNEED);
}

#endif
