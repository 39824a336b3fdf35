/*
 * Makes the directory argv[1] and prints its name and the errno (0: made); executes argv[2], if it
 * is given, with the arguments from there on, and prints the errno when it cannot. With `fork`
 * before it a child does that, and when it has ended the directory argv[1] with `2` behind is made.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void make(const char *name)
{
	printf("%s:%d\n", name, mkdir(name, 0777) ? errno : 0);
	fflush(stdout);
}

static void execute(char **words)
{
	execv(words[0], words);
	printf("execve:%d\n", errno);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char again[PATH_MAX];

	if (argc < 2)
		return 99;
	make(argv[1]);
	if (argc > 3 && strcmp(argv[2], "fork") == 0) {
		pid_t child = fork();

		if (child == 0) {
			execute(argv + 3);
			_exit(0);
		}
		if (waitpid(child, NULL, 0) != child)
			return 1;
		snprintf(again, sizeof(again), "%s2", argv[1]);
		make(again);
	} else if (argc > 2) {
		execute(argv + 2);
	}
	return 0;
}
