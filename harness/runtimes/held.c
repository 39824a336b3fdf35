// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a runtime is told to start. Its filters are read while it is stopped at its execve; should it
 * run all the same, it waits, without a library and with calls that any filter may refuse.
 */
int main(void)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
}
