// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the script that is executed by its descriptor is the one that was judged,
 * although a task with the same table of descriptors exchanges it all the time
 * (catalogue B5).
 *
 *	executor		exchanger		enforcer
 *	execveat(100, "") ---------------------------->	100 is the permitted script
 *				dup3(denied, 100)
 *	executed: the interpreter, <------------------	which both have: lets it through
 *	given /dev/fd/100
 *
 * The kernel gives the new program a table of its own as it was at that moment; from
 * it the interpreter reads. Winning prints the line that the denied script prints.
 */
#include "execute.h"
#include "race.h"

#include <sys/prctl.h>

#define SHARED 100
#define STACK (64u << 10)
#define TRIES 600

static int files[2];
static const char *second;
static struct flip *flip;

static int exchanger(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !atomic_load(&flip->stop); turn++) {
		syscall(SYS_dup3, JUNK(files[turn & 1]), JUNK(SHARED), JUNK(0));
		atomic_store(&flip->turns, turn);
		let_run();
	}
	_exit(0);
}

/* In a child of its own, which has the exchanger for a child. */
static void execute_shared(const char *first)
{
	char *const arguments[] = { (char *)(uintptr_t)first, NULL };
	char *stack = shared_memory(STACK);

	files[0] = raw_openat(AT_FDCWD, first, O_PATH);
	files[1] = raw_openat(AT_FDCWD, second, O_PATH);
	if (files[0] < 0 || files[1] < 0 || dup2(files[0], SHARED) < 0)
		broken("%s, %s: %s", first, second, strerror(errno));
	if (clone(exchanger, stack + STACK, CLONE_VM | CLONE_FILES | SIGCHLD, NULL) < 0)
		broken("clone: %s", strerror(errno));
	while (!atomic_load(&flip->turns))
		let_run();
	syscall(SYS_execveat, JUNK(SHARED), "", arguments, no_environment, JUNK(AT_EMPTY_PATH));
	atomic_store(&flip->stop, true); /* refused: else nobody would end it, and the pipe with it */
}

static void race(struct run *run, const char *other)
{
	char line[CONTENT_MAX];

	second = other;
	flip = shared_memory(sizeof(*flip));
	run->limit = TRIES;
	/* Exchangers outlive their parents: unless they are ours to wait for, they fill the limit. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1l, 0l, 0l, 0l))
		broken("prctl: %s", strerror(errno));
	while (!run->wins && run_next(run)) {
		bool said = executed(execute_shared, run->allowed, line);

		atomic_store(&flip->stop, true);
		if (!said) {
			run->error = errno;
		} else if (run->mode == MODE_BENIGN || strcmp(line, run->decoy)) {
			run->wins++;
			memcpy(run->content, line, sizeof(line));
		}
		waitpid(-1, NULL, 0);
		flip = shared_memory(sizeof(*flip));
	}
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		race(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_executed(&run, execute_by_name, run.denied);
		break;
	case MODE_ATTACK:
		if (!executed(execute_by_name, run.allowed, run.decoy))
			broken("the permitted program %s does not run", run.allowed);
		race(&run, run.denied);
		break;
	}
	run_end(&run);
}
