/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest needs before anything can run in it: modules, the root file system, the loopback
 * network, and its CPUs after a restore. agent.c is PID 1 and calls these in order.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	dprintf(2, "guest agent: ");
	vdprintf(2, format, list);
	dprintf(2, "\n");
	va_end(list);
}

static void die(const char *what)
{
	say("%s: %s", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void load_modules(void)
{
	char line[512];
	FILE *order = fopen("/modules/order", "r");

	while (order && fgets(line, sizeof(line), order)) {
		int fd;

		line[strcspn(line, "\n")] = 0;
		fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			say("module %s: %s", line, strerror(errno));
		close(fd);
	}
	if (order)
		fclose(order);
}

static void mount_or_die(const char *what, const char *where, const char *type,
			 unsigned long flags, const char *data)
{
	mkdir(where, 0755);
	if (mount(what, where, type, flags, data) && errno != EBUSY)
		die(where);
}

static void mount_root(void)
{
	struct stat st;

	for (int tries = 0; stat("/dev/vda", &st) && tries < 5000; tries++)
		pause_ms(1);
	mount_or_die("/dev/vda", "/lower", "erofs", MS_RDONLY, "");
	mount_or_die("tmpfs", "/upper", "tmpfs", 0, "mode=755");
	mkdir("/upper/data", 0755);
	mkdir("/upper/work", 0755);
	mount_or_die("overlay", "/root", "overlay", 0,
		     "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work");
	mount_or_die("proc", "/root/proc", "proc", 0, "");
	mount_or_die("sysfs", "/root/sys", "sysfs", 0, "");
	mount_or_die("dev", "/root/dev", "devtmpfs", 0, "");
	if (symlink("/proc/self/fd", "/root/dev/fd") || symlink("fd/0", "/root/dev/stdin") ||
	    symlink("fd/1", "/root/dev/stdout") || symlink("fd/2", "/root/dev/stderr"))
		say("/dev/fd: %s", strerror(errno));
	mkdir("/root/dev/pts", 0755);
	mount_or_die("devpts", "/root/dev/pts", "devpts", 0, "ptmxmode=666,mode=620");
	mount_or_die("tmpfs", "/root/dev/shm", "tmpfs", 0, "mode=1777");
	mount_or_die("tmpfs", "/root/tmp", "tmpfs", 0, "mode=1777");
	mount_or_die("tmpfs", "/root/run", "tmpfs", 0, "mode=755");
	mount("securityfs", "/root/sys/kernel/security", "securityfs", 0, "");
	mount("cgroup2", "/root/sys/fs/cgroup", "cgroup2", 0, "");
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die("the root file system");
}

/* What distributions switch off since 6.2 and attacks are about; absent in older kernels. */
static void permit_terminal_injection(void)
{
	int fd = open("/proc/sys/dev/tty/legacy_tiocsti", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		say("legacy_tiocsti: %s", strerror(errno));
	close(fd);
}

/* SIOCSIFFLAGS on lo: the agent's cases use the loopback network only. */
static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		say("loopback: %s", strerror(errno));
	close(fd);
}

/*
 * A restored CPU whose timer QEMU did not save waits for an event that never comes, and asks for no
 * later one. It asks for one that is earlier than any: each CPU gets a sleep until long ago.
 */
static void wake_timers(void)
{
	struct timespec past = { 0, 1 };
	cpu_set_t set;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			break;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL);
	}
	memset(&set, 0xff, sizeof(set));
	if (sched_setaffinity(0, sizeof(set), &set))
		say("affinity: %s", strerror(errno));
}

/* CPUs that were parked while the machine was saved come back. */
static void unpark(void)
{
	char path[64];

	for (int cpu = 1;; cpu++) {
		int fd;

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (write(fd, "1", 1) != 1)
			say("%s: %s", path, strerror(errno));
		close(fd);
	}
}

#endif
