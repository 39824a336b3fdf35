/*
 * Opens the file argv[1] again and again from every kind of task that shares or copies an address
 * space, and tries to get at the page from which the tracer lets it open. Every open must succeed
 * and every attempt on the page fail. Prints "slots MAPPED attempts REFUSED" and exits with 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(1);
}

static void *open_often(void *unused)
{
	for (int i = 0; i < 20; i++) {
		int fd = open(name, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			fail("open");
		close(fd);
	}
	return unused;
}

static void reap(pid_t pid, const char *what)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, __WALL) != pid || status)
		fail(what);
}

static char *find_slots(size_t *size)
{
	char line[512];
	unsigned long start = 0, from, end = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		fail("maps");
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "call-arguments")) {
			if (sscanf(line, "%lx-%lx", &from, &end) != 2 || strchr(line, 'w'))
				fail(line);
			start = start ? start : from;
		}
	fclose(maps);
	*size = end - start;
	return (char *)start;
}

/* Says that the heap ends where the slots do, and gives that up to where they begin. */
static int brk_over(char *slots, size_t size)
{
	unsigned long here = (unsigned long)name;
	struct prctl_mm_map map = {
		.start_code = 65536, .end_code = 65537, .start_data = 65536, .end_data = 65537,
		.start_brk = (unsigned long)slots, .brk = (unsigned long)slots + size,
		.start_stack = here, .arg_start = here, .arg_end = here, .env_start = here,
		.env_end = here, .exe_fd = (unsigned int)-1,
	};

	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0))
		return errno == EPERM;
	syscall(SYS_brk, slots);
	return 0;
}

static int borrowed(void *unused)
{
	open_often(unused);
	return 0;
}

int main(int argc, char **argv)
{
	static char stack[65536] __attribute__((aligned(16)));
	pthread_t threads[4];
	int refused = 0, fd;
	size_t size;
	char *slots;
	pid_t pid;

	if (argc < 3)
		return 99;
	name = argv[1];
	open_often(NULL);
	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, open_often, NULL))
			fail("pthread_create");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);

	slots = find_slots(&size);
	if (!slots)
		fail("no slots");
	refused += mprotect(slots, 4096, PROT_READ | PROT_WRITE) == -1;
	refused += munmap(slots, size) == -1;
	refused += mmap(slots + 8192, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0) == MAP_FAILED;
	refused += mremap(slots + 8192, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, slots + (64 << 20)) ==
		   MAP_FAILED;
	fd = open("/proc/self/mem", O_RDWR);
	refused += fd < 0 || pwrite(fd, "x", 1, (off_t)(unsigned long)slots) == -1;

	refused += brk_over(slots, size);

	/* a child without the mapping, and one that puts its own memory there */
	if (madvise(slots, size, MADV_DONTFORK) && errno != EPERM)
		fail("madvise");
	pid = fork();
	if (!pid) {
		mmap(slots, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		open_often(NULL);
		_exit(0);
	}
	reap(pid, "fork after DONTFORK");
	madvise(slots, size, MADV_DOFORK);

	pid = fork();
	if (!pid) {
		open_often(NULL);
		_exit(0);
	}
	reap(pid, "fork");
	reap(clone(borrowed, stack + sizeof(stack), CLONE_VM, NULL), "clone");
	if (atoi(argv[2]) > 0) {
		pid = vfork();
		if (!pid) {
			open_often(NULL);
			execl(argv[0], argv[0], name, "0", NULL);
			_exit(98);
		}
		reap(pid, "vfork and exec");
	}
	open_often(NULL);
	printf("slots %zu attempts %d\n", size, refused);
	return refused == 6 ? 0 : 1;
}
