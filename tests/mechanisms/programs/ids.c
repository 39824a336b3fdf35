/*
 * One line a step: what a file of root's (mode 0600) gives to a task that changes who it is, by each
 * of the ways there are. Whoever keeps what it knows of a task too long gives other answers.
 *
 * Usage: ids FILE DIRECTORY
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const char *file, *directory;

static void look(const char *when)
{
	char made[4096];
	struct stat facts;
	int fd = open(file, O_RDONLY), opened = fd < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	int access_error = access(file, R_OK) ? errno : 0;
	int read_error = chmod(file, 0600) ? errno : 0;

	snprintf(made, sizeof(made), "%s/%s", directory, when);
	int made_error = mkdir(made, 0700) ? errno : 0;
	int owner = stat(made, &facts) ? -1 : (int)facts.st_uid;

	printf("%s: open %d access %d chmod %d mkdir %d owner %d\n", when, opened, access_error,
	       read_error, made_error, owner);
	fflush(stdout);
}

static void drop(void)
{
	syscall(SYS_setgroups, 0, NULL);
	syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY);
	syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY);
}

static void *in_thread(void *self)
{
	drop(); /* raw: only this thread */
	look("thread");
	if (self)
		execl(self, self, file, directory, "executed", NULL), perror("execl"), _exit(1);
	return NULL;
}

static void child(void (*body)(void), const char *self)
{
	pthread_t thread;

	fflush(stdout);
	if (fork() == 0) {
		if (body) {
			body();
		} else {
			look("leader");
			pthread_create(&thread, NULL, in_thread, (void *)self);
			for (;;)
				access(file, R_OK);
		}
		_exit(0);
	}
	wait(NULL);
}

static void file_id(void)
{
	look("before-fsuid");
	syscall(SYS_setfsuid, NOBODY);
	look("fsuid");
	syscall(SYS_setfsuid, 0);
	look("fsuid-back");
}

static void dropped(void)
{
	look("before-drop");
	drop();
	look("dropped");
	if (fork() == 0) {
		look("child-of-dropped");
		_exit(0);
	}
	wait(NULL);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	file = argv[1];
	directory = argv[2];
	if (argc > 3) {
		look(argv[3]);
		return 0;
	}
	look("first");
	child(file_id, NULL);
	child(dropped, NULL);
	child(NULL, argv[0]);
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	look("last");
	return 0;
}
