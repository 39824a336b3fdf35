// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of a guest: loads modules, mounts the root file system, then serves the host over a
 * virtio-serial port. It starts processes, passes their streams, stores files, and after a
 * restore takes fresh randomness and the host's clock.
 *
 * A frame is 16 bytes of header (magic "LAB1", type, id, length, all 32-bit little-endian) and
 * at most FRAME_MAX bytes of payload. frames.py is the other end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

enum { FRAME_MAX = 1 << 18, PROCESSES = 8, QUEUE_MAX = 4 << 20, STALL_MS = 60000 };

enum type {
	PUT_OPEN = 1, PUT_DATA = 2, PUT_CLOSE = 3, START = 4, INPUT = 5, INPUT_END = 6,
	SIGNAL = 7, SYNC = 8, PING = 9,
	READY = 0x81, OUTPUT = 0x82, ERRORS = 0x83, EXIT = 0x84, DONE = 0x85, REFUSED = 0x86,
	PONG = 0x89,
};

struct process {
	uint32_t id;
	pid_t pid;			/* 0: free slot */
	int in, out, err, status, ended, end_input;
	uint8_t *queue;
	size_t queued;
};

static struct process processes[PROCESSES];
static int port = -1, put_fd = -1;

/*
 * The port reports a hang-up while no host is connected; SIGIO tells when one comes. It is blocked,
 * so it stays pending and is not missed. A restored machine may have no timers yet: only an
 * interrupt wakes it.
 */
static sigset_t port_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	return set;
}

static void wait_for_host(void)
{
	struct timespec limit = { 1, 0 };
	sigset_t set = port_signal();

	sigtimedwait(&set, NULL, &limit);
}

static void hear_host(void)
{
	sigset_t set = port_signal();

	if (sigprocmask(SIG_BLOCK, &set, NULL) || fcntl(port, F_SETOWN, getpid()) ||
	    fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC))
		die("SIGIO");
}

static void port_write(const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size) {
		ssize_t n = write(port, at, size);

		if (n > 0) {
			at += n;
			size -= n;
		} else {
			struct pollfd state = { port, POLLOUT, 0 };

			poll(&state, 1, 1);
			if (state.revents & POLLHUP)
				wait_for_host();
		}
	}
}

static void put32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = value >> (8 * i);
}

static uint32_t get32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static void send_frame(uint32_t type, uint32_t id, const void *data, size_t size)
{
	uint8_t header[16] = "LAB1";

	put32(header + 4, type);
	put32(header + 8, id);
	put32(header + 12, size);
	port_write(header, sizeof(header));
	port_write(data, size);
}

static void refuse(uint32_t id, const char *what)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));

	send_frame(REFUSED, id, text, n);
}

static struct process *find(uint32_t id)
{
	for (int i = 0; i < PROCESSES; i++)
		if (processes[i].pid && processes[i].id == id)
			return &processes[i];
	return NULL;
}

/* Payload: NUL-terminated strings: directory, number of arguments, arguments, environment. */
static void start(uint32_t id, char *data, size_t size)
{
	char *strings[512];
	int in[2], out[2], err[2], count = 0, arguments;
	struct process *slot = NULL;

	for (size_t at = 0; at < size && count < 510; at += strlen(data + at) + 1)
		strings[count++] = data + at;
	strings[count] = NULL;
	arguments = count > 1 ? atoi(strings[1]) : 0;
	for (int i = 0; i < PROCESSES && !slot; i++)
		if (!processes[i].pid)
			slot = &processes[i];
	errno = EINVAL;
	if (!slot || size == 0 || data[size - 1] || arguments < 1 || count < 2 + arguments ||
	    find(id)) {
		refuse(id, "start");
		return;
	}
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		refuse(id, "pipe");
		return;
	}
	memset(slot, 0, sizeof(*slot));
	slot->pid = fork();
	if (!slot->pid) {
		char *argv[512];

		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		for (int i = 0; i < arguments; i++)
			argv[i] = strings[2 + i];
		argv[arguments] = NULL;
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		signal(SIGPIPE, SIG_DFL);
		if (chdir(strings[0]) == 0)
			execvpe(argv[0], argv, strings + 2 + arguments);
		dprintf(2, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (slot->pid < 0) {
		slot->pid = 0;
		close(in[1]);
		close(out[0]);
		close(err[0]);
		refuse(id, "fork");
		return;
	}
	slot->id = id;
	slot->in = in[1];
	slot->out = out[0];
	slot->err = err[0];
	fcntl(slot->in, F_SETFL, O_NONBLOCK);
	send_frame(DONE, id, NULL, 0);
}

static void input(uint32_t id, const uint8_t *data, size_t size)
{
	struct process *p = find(id);
	uint8_t *grown;

	if (!p || p->in < 0)
		return;
	grown = realloc(p->queue, p->queued + size + 1);
	if (!grown)
		die("memory");
	memcpy(grown + p->queued, data, size);
	p->queue = grown;
	p->queued += size;
}

static void make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0755);
		*slash = '/';
	}
}

/* Payload: mode (32 bits), path. */
static void put_open(uint32_t id, char *data, size_t size)
{
	errno = EINVAL;
	if (size < 6 || data[size - 1]) {
		refuse(id, "put");
		return;
	}
	make_parents(data + 4);
	if (put_fd >= 0)
		close(put_fd);
	put_fd = open(data + 4, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (put_fd < 0 || fchmod(put_fd, get32((uint8_t *)data) & 07777))
		refuse(id, data + 4);
}

static void put_data(uint32_t id, const uint8_t *data, size_t size)
{
	while (size && put_fd >= 0) {
		ssize_t n = write(put_fd, data, size);

		if (n <= 0) {
			refuse(id, "write");
			close(put_fd);
			put_fd = -1;
			return;
		}
		data += n;
		size -= n;
	}
}

/* Payload: seconds (64 bits), nanoseconds (32 bits), 32 bytes of randomness. */
static void synchronise(uint32_t id, const uint8_t *data, size_t size)
{
	struct { int count, size; uint8_t seed[32]; } entropy = { 256, 32, { 0 } };
	struct timespec now;
	int random;

	errno = EINVAL;
	if (size != 44) {
		refuse(id, "sync");
		return;
	}
	wake_timers();
	unpark();
	now.tv_sec = get32(data) | (uint64_t)get32(data + 4) << 32;
	now.tv_nsec = get32(data + 8);
	memcpy(entropy.seed, data + 12, 32);
	random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (random < 0 || ioctl(random, RNDADDENTROPY, &entropy) ||
	    ioctl(random, RNDRESEEDCRNG) || clock_settime(CLOCK_REALTIME, &now))
		refuse(id, "sync");
	else
		send_frame(DONE, id, NULL, 0);
	close(random);
}

static void handle(uint32_t type, uint32_t id, uint8_t *data, size_t size)
{
	struct process *p = find(id);

	switch (type) {
	case PUT_OPEN:
		put_open(id, (char *)data, size);
		break;
	case PUT_DATA:
		put_data(id, data, size);
		break;
	case PUT_CLOSE:
		if (put_fd >= 0 && close(put_fd) == 0)
			send_frame(DONE, id, NULL, 0);
		put_fd = -1;
		break;
	case START:
		start(id, (char *)data, size);
		break;
	case INPUT:
		input(id, data, size);
		break;
	case INPUT_END:
		if (p)
			p->end_input = 1;
		break;
	case SIGNAL:
		if (p && size == 4)
			kill(-p->pid, get32(data));
		break;
	case SYNC:
		synchronise(id, data, size);
		break;
	case PING:
		send_frame(PONG, id, data, size);
		break;
	default:
		errno = ENOSYS;
		refuse(id, "frame");
	}
}

/* Read as much of a frame as is there; act when it is whole. A half frame must not stall. */
static void read_port(void)
{
	static uint8_t buffer[16 + FRAME_MAX];
	static size_t have;
	static struct timespec since;
	struct timespec now;
	size_t want = have < 16 ? 16 : 16 + get32(buffer + 12);
	ssize_t n = read(port, buffer + have, want - have);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (n > 0) {
		have += n;
		since = now;
	} else {
		pause_ms(1);
		if (have && now.tv_sec - since.tv_sec > STALL_MS / 1000)
			die("the host stopped within a frame");
	}
	if (have == 16 && (memcmp(buffer, "LAB1", 4) || get32(buffer + 12) > FRAME_MAX)) {
		errno = EPROTO;
		die("a frame's header");
	}
	if (have >= 16 && have == 16 + get32(buffer + 12)) {
		have = 0;
		handle(get32(buffer + 4), get32(buffer + 8), buffer + 16, get32(buffer + 12));
	}
}

static int pump(struct process *p, int *fd, uint32_t type)
{
	static uint8_t buffer[FRAME_MAX / 4];
	ssize_t n = read(*fd, buffer, sizeof(buffer));

	if (n > 0) {
		send_frame(type, p->id, buffer, n);
		return 1;
	}
	close(*fd);
	*fd = -1;
	return 0;
}

static void feed(struct process *p)
{
	ssize_t n = p->queued ? write(p->in, p->queue, p->queued) : 0;

	if (n > 0) {
		p->queued -= n;
		memmove(p->queue, p->queue + n, p->queued);
	}
	if ((n < 0 && errno != EAGAIN) || (!p->queued && p->end_input)) {
		close(p->in);
		p->in = -1;
		p->queued = 0;
	}
}

static void finish(struct process *p)
{
	uint8_t status[4];

	if (!p->ended || p->out >= 0 || p->err >= 0)
		return;
	put32(status, p->status);
	if (p->in >= 0)
		close(p->in);
	free(p->queue);
	send_frame(EXIT, p->id, status, 4);
	p->pid = 0;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < PROCESSES; i++)
			if (processes[i].pid == pid) {
				processes[i].status = status;
				processes[i].ended = 1;
			}
}

static void serve(void)
{
	send_frame(READY, 1, NULL, 0);
	for (;;) {
		struct pollfd fds[1 + 3 * PROCESSES];
		int full = 0;

		for (int i = 0; i < PROCESSES; i++) {
			struct process *p = &processes[i];
			int use = p->pid != 0, wants = use && (p->queued || p->end_input);

			fds[1 + 3 * i] = (struct pollfd){ use ? p->out : -1, POLLIN, 0 };
			fds[2 + 3 * i] = (struct pollfd){ use ? p->err : -1, POLLIN, 0 };
			fds[3 + 3 * i] = (struct pollfd){ wants ? p->in : -1, POLLOUT, 0 };
			full |= use && p->queued > QUEUE_MAX;
		}
		fds[0] = (struct pollfd){ full ? -1 : port, POLLIN, 0 };
		poll(fds, 1 + 3 * PROCESSES, 50);
		reap();
		if (fds[0].revents & POLLIN)
			read_port();
		else if (fds[0].revents)
			wait_for_host();
		for (int i = 0; i < PROCESSES; i++) {
			struct process *p = &processes[i];

			if (!p->pid)
				continue;
			if (fds[1 + 3 * i].revents)
				pump(p, &p->out, OUTPUT);
			if (fds[2 + 3 * i].revents)
				pump(p, &p->err, ERRORS);
			if (fds[3 + 3 * i].revents && p->in >= 0)
				feed(p);
			finish(p);
		}
	}
}

static void open_port(void)
{
	char path[64];

	for (int tries = 0; port < 0 && tries < 5000; tries++) {
		for (int i = 0; i < 4 && port < 0; i++) {
			snprintf(path, sizeof(path), "/dev/vport%dp1", i);
			port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		if (port < 0)
			pause_ms(1);
	}
	if (port < 0)
		die("the virtio port");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	mount("dev", "/dev", "devtmpfs", 0, "");
	mount("proc", "/proc", "proc", 0, "");
	load_modules();
	mount_root();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	raise_loopback();
	permit_terminal_injection();
	open_port();
	hear_host();
	serve();
}
