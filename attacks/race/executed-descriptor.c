// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: the script that is executed by its descriptor is the one that was judged,
 * although a task with the same table of descriptors exchanges it all the time
 * (catalogue B5).
 *
 *	executor		exchanger		enforcer
 *	execveat(FD, "") ----------------------------->	FD is the permitted script
 *				dup3(denied, FD)
 *	executed: the interpreter, <------------------	which both have: lets it through
 *	given /dev/fd/FD
 *
 * The kernel gives the new program a table of its own as it was at that moment; from
 * it the interpreter reads. A win is what the denied script prints.
 */
#include "exchange.h"
#include "execute.h"

#define STACK 65536

static int execute_shared(void *name)
{
	char *const arguments[] = { name, NULL };

	syscall(SYS_execveat, JUNK(exchange.shared), "", arguments, no_environment,
		JUNK(AT_EMPTY_PATH));
	_exit(errno);
}

/*
 * As executed(), in a child that has the table of descriptors in common with us until
 * it executes: so has its output the pipe that we have for ours, and so long we wait.
 */
static bool executed_shared(const char *name, char line[CONTENT_MAX])
{
	static _Alignas(16) char stack[STACK];
	int ends[2], own = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	pid_t child;

	if (own < 0 || pipe2(ends, O_CLOEXEC))
		broken("pipe2: %s", strerror(errno));
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	child = clone(execute_shared, stack + STACK, CLONE_FILES | CLONE_VFORK | SIGCHLD,
		      (void *)(uintptr_t)name);
	dup2(own, STDOUT_FILENO);
	close(own);
	if (child < 0)
		broken("clone: %s", strerror(errno));
	return said_by(child, ends[0], line);
}

static void race(struct run *run, const char *second)
{
	char line[CONTENT_MAX];

	exchange_begin(run, run->allowed, second, O_PATH);
	while (race_next(run, &exchange.turns)) {
		if (!executed_shared(run->allowed, line)) {
			run->error = errno;
		} else if (strcmp(line, run->decoy)) {
			run->wins++;
			memcpy(run->content, line, sizeof(line));
		}
	}
	exchange_end();
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run.limit = BENIGN_ROUNDS;
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
