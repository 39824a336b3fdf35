// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: what a judged call takes its arguments from is not the target's to
 * replace, by no way to change mappings (catalogue D39).
 *
 *	target				enforcer
 *	openat(ALLOWED)			maps memory for its copies into the target
 *	prctl(PR_SET_MM_MAP): the heap ends behind the copies
 *	brk(where they begin)		unmapped, though no call named them
 *	mmap there: DENIED everywhere
 *	openat(ALLOWED)			permitted, and made with the copy
 *
 * An enforcer that maps nothing into the target has nothing to replace: there the
 * denied file is opened by its name. Winning prints DATA and its content.
 */
#include "attack.h"

#include <sys/prctl.h>

#define CODE 4096   /* precedes the copies */
#define STRIDE 1024 /* copies begin at multiples of it */

/* The shared memory that somebody else has mapped here: where it begins, and its size. */
static char *find_copies(size_t *size)
{
	unsigned long start = 0, first = 0, end = 0;
	char line[PATH_MAX];
	FILE *maps = fopen("/proc/self/maps", "r");

	if (!maps)
		broken("the list of mappings cannot be read: %s", strerror(errno));
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, " /memfd:") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			first = first ? first : start;
	fclose(maps);
	*size = end - first;
	return (char *)first;
}

/* Has the heap be `size` bytes at `start`, and gives it up. */
static void unmap_as_heap(char *start, size_t size)
{
	static char here;
	uintptr_t mine = (uintptr_t)&here;
	struct prctl_mm_map map = {
		.start_code = mine,
		.end_code = mine + 1,
		.start_data = mine,
		.end_data = mine + 1,
		.start_brk = (uintptr_t)start,
		.brk = (uintptr_t)start + size,
		.start_stack = mine,
		.arg_start = mine,
		.arg_end = mine + 1,
		.env_start = mine,
		.env_end = mine + 1,
		.exe_fd = (unsigned int)-1,
	};

	if (!prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0))
		syscall(SYS_brk, start);
}

/*
 * Whether `name` stands now wherever an enforcer had copies of names. What else it had
 * there stays as it was for the same call, made just before.
 */
static bool replace_copies(const struct run *run, const char *name)
{
	size_t size;
	char *copies = find_copies(&size), *before, *mine;

	if (!copies)
		return false;
	before = shared_memory(size);
	close(raw_open(run->allowed, O_RDONLY));
	memcpy(before, copies, size);
	unmap_as_heap(copies, size);
	mine = mmap(copies, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (mine != copies)
		return false;
	memcpy(mine, before, size);
	for (size_t at = CODE; at + STRIDE <= size; at += STRIDE)
		memcpy(mine + at, name, strlen(name) + 1);
	return true;
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		replace_copies(&run, run.allowed);
		run_plain_read(&run, run.allowed);
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		run_learn_decoy(&run);
		run_plain_read(&run, replace_copies(&run, run.denied) ? run.allowed : run.denied);
		break;
	}
	run_end(&run);
}
