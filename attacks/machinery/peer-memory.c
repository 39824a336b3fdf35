// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the memory of a process outside is out of the target's reach, by
 * whatever call (catalogue C27).
 *
 *	target				a process of the same user
 *	ptrace(POKEDATA)		the direct attempt
 *	process_vm_writev() --------->	its memory changes
 *
 * The twin is told its word by a pipe. Winning leaves the word inject= in the
 * other's memory at address=, where the laboratory looks.
 */
#include "attack.h"

#include <sys/ptrace.h>
#include <sys/uio.h>

static void write_by_vector(struct run *run, void *there)
{
	struct iovec local = { .iov_base = (void *)(uintptr_t)run->inject,
			       .iov_len = strlen(run->inject) };
	struct iovec remote = { .iov_base = there, .iov_len = local.iov_len };

	run_result(run, syscall(SYS_process_vm_writev, JUNK(run->peer), &local, 1ul, &remote, 1ul,
				0ul));
}

static void write_by_ptrace(struct run *run, char *there)
{
	long word;

	if (syscall(SYS_ptrace, (long)PTRACE_ATTACH, (long)run->peer, NULL, NULL)) {
		run->error = errno;
		return;
	}
	if (waitpid(run->peer, NULL, __WALL) != run->peer)
		broken("the peer does not stop: %s", strerror(errno));
	for (size_t at = 0; at + sizeof(word) <= strlen(run->inject); at += sizeof(word)) {
		memcpy(&word, run->inject + at, sizeof(word));
		if (ptrace(PTRACE_POKEDATA, run->peer, there + at, word))
			broken("PTRACE_POKEDATA: %s", strerror(errno));
	}
	ptrace(PTRACE_DETACH, run->peer, NULL, NULL);
	run->wins++;
}

/* The permitted way to hand somebody a word: it has to take it. */
static void tell_child(struct run *run)
{
	int ends[2], status;
	char word[CONTENT_MAX];
	pid_t child;

	if (pipe(ends) || (child = fork()) < 0)
		broken("no child to tell: %s", strerror(errno));
	if (!child) {
		close(ends[1]);
		if (take_line(ends[0], word))
			printf("DATA %s\n", word);
		fflush(stdout);
		_exit(0);
	}
	close(ends[0]);
	run_result(run, write(ends[1], run->print, strlen(run->print)));
	close(ends[1]);
	if (waitpid(child, &status, 0) != child)
		broken("waitpid: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);
	void *there = (void *)(uintptr_t)strtoull(run.address, NULL, 10);

	run.attempts = 1;
	switch (run.mode) {
	case MODE_BENIGN:
		tell_child(&run);
		break;
	case MODE_DIRECT:
		write_by_ptrace(&run, there);
		break;
	case MODE_ATTACK:
		write_by_vector(&run, there);
		break;
	}
	run_end(&run);
}
