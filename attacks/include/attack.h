/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The dialect of the attack programs: arguments, raw system calls, evidence.
 *
 * PROGRAM MODE KEY=VALUE...
 *   benign  the work of the attack on the permitted twin only
 *   direct  the denied act, plainly, once
 *   attack  the attack itself, at most `attempts` times
 *
 * `way=` says how the acts of benign and attack are made (way.h), `widener=` what
 * makes a race's window wider (widen.h), `rung=` with which delay it begins (race.h).
 *
 * A program prints `DATA <content>` for what it read of the sentinel, a race that won
 * `RUNG <n>`, the delay that won most, and, last,
 * `TOKEN <nonce> attempts=<n> wins=<n> errno=<n>`. Exit status: 0 finished,
 * 77 unsupported here, 99 broken. errno is that of the last refusal, 0 if none.
 */
#ifndef ATTACK_H
#define ATTACK_H

#define _GNU_SOURCE /* so this header comes first */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_UNSUPPORTED 77
#define EXIT_BROKEN 99
#define CONTENT_MAX 256
#define ATTACK_UNUSED __attribute__((unused)) static

enum mode { MODE_BENIGN, MODE_DIRECT, MODE_ATTACK };

struct run {
	enum mode mode;
	const char *denied;
	const char *allowed;
	const char *dir;
	const char *nonce;
	const char *variant;
	const char *way;
	const char *tty;
	const char *inject;
	const char *print;
	const char *deputy;
	const char *address;
	const char *widener;
	int peer;
	int port;
	int allowed_port;
	int enforcer_pid;
	int limit;
	int stop_at_win;
	int enough;
	int rung;
	int best_rung;
	int attempts;
	int wins;
	int error;
	char decoy[CONTENT_MAX];
	char content[CONTENT_MAX];
};

/*
 * An int in a register whose upper half is junk: the kernel reads the lower
 * half only, and so must an enforcer.
 */
#if UINTPTR_MAX > 0xffffffffu
#define JUNK(value) ((long)(0xdecafbad00000000ul | (unsigned int)(value)))
#else
#define JUNK(value) ((long)(value))
#endif

__attribute__((noreturn, format(printf, 2, 3)))
ATTACK_UNUSED void leave(int status, const char *format, ...)
{
	va_list args;

	fputs(status == EXIT_UNSUPPORTED ? "SKIP " : "BROKEN ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	_exit(status);
}

#define unsupported(...) leave(EXIT_UNSUPPORTED, __VA_ARGS__)
#define broken(...) leave(EXIT_BROKEN, __VA_ARGS__)

#include "way.h"

ATTACK_UNUSED const char *key_value(const char *argument, const char *key)
{
	size_t length = strlen(key);

	return strncmp(argument, key, length) || argument[length] != '=' ? NULL
									 : argument + length + 1;
}

/* Takes the way up; names become relative where that is the way. */
ATTACK_UNUSED void run_way(struct run *run)
{
	static const char *const ways[] = {
		"", "open", "openat2", "creat", "relative", "dirfd", "warm", "link", "rename",
		"renameat", "chmod", "fchmodat2", "execveat", "sendto", "sendmsg", "sendmmsg",
	};
	bool is_known = false;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		is_known = is_known || !strcmp(run->way, ways[i]);
	if (!is_known)
		broken("no such way: %s", run->way);
	if (run->mode == MODE_DIRECT)
		return;
	way = run->way;
	if (way_is("relative") || way_is("dirfd")) {
		way_go(run->dir);
		run->denied = name_from(run->dir, run->denied);
		run->allowed = name_from(run->dir, run->allowed);
		run->dir = ".";
	}
	way_twin = run->allowed;
}

ATTACK_UNUSED struct run run_begin(int argc, char **argv)
{
	static const char *const modes[] = { "benign", "direct", "attack" };
	struct run run = { .denied = "", .allowed = "", .dir = ".", .nonce = "none",
			   .variant = "default", .way = "", .tty = "", .inject = "", .print = "",
			   .deputy = "", .address = "", .widener = "", .limit = 1, .rung = -1,
			   .best_rung = -1 };
	const struct {
		const char *key;
		const char **text;
		int *number;
	} keys[] = {
		{ "denied", &run.denied, NULL },
		{ "allowed", &run.allowed, NULL },
		{ "dir", &run.dir, NULL },
		{ "nonce", &run.nonce, NULL },
		{ "variant", &run.variant, NULL },
		{ "way", &run.way, NULL },
		{ "tty", &run.tty, NULL },
		{ "inject", &run.inject, NULL },
		{ "print", &run.print, NULL },
		{ "deputy", &run.deputy, NULL },
		{ "address", &run.address, NULL },
		{ "widener", &run.widener, NULL },
		{ "peer", NULL, &run.peer },
		{ "port", NULL, &run.port },
		{ "allowed_port", NULL, &run.allowed_port },
		{ "enforcer_pid", NULL, &run.enforcer_pid },
		{ "attempts", NULL, &run.limit },
		{ "stop", NULL, &run.stop_at_win },
		{ "enough", NULL, &run.enough },
		{ "rung", NULL, &run.rung },
	};
	int mode = -1;

	for (int i = 0; argc > 1 && i < 3; i++)
		if (!strcmp(argv[1], modes[i]))
			mode = i;
	if (mode < 0)
		broken("usage: PROGRAM benign|direct|attack KEY=VALUE...");
	run.mode = mode;
	for (int i = 2; i < argc; i++) {
		const char *value = NULL;

		for (size_t k = 0; !value && k < sizeof(keys) / sizeof(keys[0]); k++) {
			value = key_value(argv[i], keys[k].key);
			if (value && keys[k].text)
				*keys[k].text = value;
			else if (value)
				*keys[k].number = atoi(value);
		}
		if (!value)
			broken("unknown argument %s", argv[i]);
	}
	run_way(&run);
	return run;
}

/* True while another attempt is due; counts it. */
ATTACK_UNUSED bool run_next(struct run *run)
{
	if (run->attempts >= run->limit || (run->stop_at_win && run->wins))
		return false;
	run->attempts++;
	return true;
}

/* Records the result of one act: `result` as a raw call returned it. */
ATTACK_UNUSED void run_result(struct run *run, long result)
{
	if (result < 0)
		run->error = errno;
	else
		run->wins++;
}

__attribute__((noreturn)) ATTACK_UNUSED void run_end(const struct run *run)
{
	if (run->content[0])
		printf("DATA %s\n", run->content);
	if (run->best_rung >= 0)
		printf("RUNG %d\n", run->best_rung);
	printf("TOKEN %s attempts=%d wins=%d errno=%d\n", run->nonce, run->attempts,
	       run->wins, run->error);
	fflush(stdout);
	_exit(0);
}

/* The first line of a descriptor, which is closed. False when nothing could be read. */
ATTACK_UNUSED bool take_line(int fd, char line[CONTENT_MAX])
{
	ssize_t size, used = 0;

	do {
		/* A shell writes what it complains of in pieces. */
		size = read(fd, line + used, (size_t)(CONTENT_MAX - 1 - used));
		used += size > 0 ? size : 0;
		line[used] = '\0';
	} while (size > 0 && !strchr(line, '\n'));
	close(fd);
	line[strcspn(line, "\n")] = '\0';
	return line[0] != '\0';
}

/*
 * Records what an open gave: a refusal, the decoy (nothing), or something else
 * than the decoy, which is a win and becomes the content that is printed.
 */
ATTACK_UNUSED void run_opened(struct run *run, int fd)
{
	char line[CONTENT_MAX];

	if (fd < 0) {
		run->error = errno;
		return;
	}
	if (!take_line(fd, line) || !strcmp(line, run->decoy))
		return;
	run->wins++;
	memcpy(run->content, line, sizeof(line));
}

/* Records what an open for writing gave; a descriptor gets the nonce and is a win. */
ATTACK_UNUSED void run_opened_to_write(struct run *run, int fd)
{
	if (fd < 0) {
		run->error = errno;
		return;
	}
	if (write(fd, run->nonce, strlen(run->nonce)) < 0)
		broken("the file that was opened cannot be written: %s", strerror(errno));
	close(fd);
	run->wins++;
}

/* One plain write of the nonce to `name`. */
ATTACK_UNUSED void run_plain_write(struct run *run, const char *name, int flags)
{
	run->attempts = 1;
	run_opened_to_write(run, raw_open(name, O_WRONLY | flags));
}

/* One plain read of `name`: what direct and benign do when the act is a read. */
ATTACK_UNUSED void run_plain_read(struct run *run, const char *name)
{
	run->attempts = 1;
	run_opened(run, raw_open(name, O_RDONLY));
}

/*
 * Learns the content of the permitted file, so that a win can be told from it.
 * The benign run keeps no decoy: there reading the permitted file is success.
 */
ATTACK_UNUSED void run_learn_decoy(struct run *run)
{
	int fd;

	if (run->mode == MODE_BENIGN)
		return;
	fd = raw_open(run->allowed, O_RDONLY);
	if (fd < 0 || !take_line(fd, run->decoy))
		broken("the permitted file %s cannot be read: %s", run->allowed, strerror(errno));
}

/* Memory shared with children, zeroed. */
ATTACK_UNUSED void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		broken("mmap: %s", strerror(errno));
	return memory;
}

/* Busy waiting: races must not be timed by sleeping. */
ATTACK_UNUSED void spin(unsigned int rounds)
{
	atomic_signal_fence(memory_order_seq_cst);
	for (unsigned int i = 0; i < rounds; i++)
		atomic_signal_fence(memory_order_seq_cst);
}

ATTACK_UNUSED void wait_until(_Atomic bool *flag)
{
	while (!atomic_load(flag))
		sched_yield();
}

/* Joins a directory and a leaf in `name`, which has PATH_MAX bytes. */
ATTACK_UNUSED void join(char *name, const char *dir, const char *leaf)
{
	if (snprintf(name, PATH_MAX, "%s/%s", dir, leaf) >= PATH_MAX)
		broken("name too long: %s/%s", dir, leaf);
}

/* What a relative name needs before it to be filled up and stay relative: `./`. */
#define PADDING(name) ((name)[0] == '/' ? 0u : 2u)

/* `name` behind so many slashes that it fills `length` bytes and the NUL. */
ATTACK_UNUSED void pad_name(char *buffer, const char *name, size_t length)
{
	size_t size = strlen(name);

	if (size + PADDING(name) > length || length >= PATH_MAX)
		broken("name too long: %s", name);
	memset(buffer, '/', length - size);
	if (PADDING(name))
		buffer[0] = '.';
	memcpy(buffer + length - size, name, size + 1);
}

/*
 * How often a benign run repeats its work. Its twin of a race has somebody
 * change things too, between two spellings of what is permitted.
 */
#define BENIGN_ROUNDS 50

#endif
