// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a listener of the target's own does not keep the enforcer's away
 * (catalogue D17).
 *
 *	seccomp(NEW_LISTENER)	a filter of the target's that permits all
 *	execve(sh), < DENIED	whoever installs his listener now: EBUSY
 *
 * The twin is read without that, because refusing such a filter is a sound
 * defence. Winning prints DATA and the content of the denied file.
 */
#include "shell.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static void read_by_shell(const char *name)
{
	shell("read -r line < \"$1\" && echo \"$line\"", name);
}

static void read_listened(const char *name)
{
	struct sock_filter permit = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &permit };

	/*
	 * A refusal changes nothing: somebody else has the place, and the shell is judged as
	 * ever. A listener is closed on exec, and its place free again: dup.
	 */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	dup((int)syscall(SYS_seccomp, JUNK(SECCOMP_SET_MODE_FILTER),
			 JUNK(SECCOMP_FILTER_FLAG_NEW_LISTENER), &program));
	read_by_shell(name);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_execution(&run, read_by_shell, read_by_shell, read_listened);
	shell_said(&run);
	run_end(&run);
}
