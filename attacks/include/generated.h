/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Code that a program writes itself. It carries out what the denied file has:
 * the content lies in the page behind the code, and only the code brings it out.
 */
#ifndef GENERATED_H
#define GENERATED_H

#include "attack.h"

#define PAGE 4096
#define CODE 1024
#define CONTENT 2048

/* Carries the content that lies in the page from its place there to `to`. */
typedef void (*carrier)(const char *page, char *to);

/* Any address will do for it: it calls nothing, and reads what it is given only. */
__attribute__((noinline, unused)) static void carry(const char *page, char *to)
{
	for (volatile int i = 0; i < CONTENT_MAX; i++)
		to[i] = page[CONTENT + i];
}

static char page[PAGE];

ATTACK_UNUSED void *mapped(int prot, int flags, int fd)
{
	void *memory = mmap(NULL, PAGE, prot, flags, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

ATTACK_UNUSED void *filled(void *memory)
{
	if (memory)
		memcpy(memory, page, PAGE);
	return memory;
}

ATTACK_UNUSED void *own_memory(int prot)
{
	return filled(mapped(prot, MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

/* What is plainly denied. */
ATTACK_UNUSED void *both_at_once(void)
{
	return own_memory(PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* One attempt: `make` gives memory with the page's content that can be executed, or NULL and errno. */
ATTACK_UNUSED void run_code(struct run *run, const char *name, void *(*make)(void))
{
	int fd = raw_open(name, O_RDONLY);
	char *code;

	if (fd < 0 || !take_line(fd, page + CONTENT))
		broken("%s: %s", name, strerror(errno));
	memcpy(page, (const void *)(uintptr_t)carry, CODE);
	run->attempts = 1;
	code = make();
	if (!code) {
		run->error = errno;
		return;
	}
	__builtin___clear_cache(code, code + PAGE);
	((carrier)(uintptr_t)code)(code, run->content);
	run->wins++;
}

/* The same work by code that was always there. */
ATTACK_UNUSED void run_own_code(struct run *run, const char *name)
{
	int fd = raw_open(name, O_RDONLY);

	if (fd < 0 || !take_line(fd, page + CONTENT))
		broken("%s: %s", name, strerror(errno));
	run->attempts = 1;
	carry(page, run->content);
	run->wins++;
}

#endif
