// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files syscalls.allow and syscalls.deny in every control group: calls taken
 * away by number, ENOSYS, as Lukasz Sowa's patch of 2011 for Linux 3.1 did it.
 *
 * A group's list is a copy of its parent's at its making. Denying goes down to
 * all descendants, allowing does not, and not below a parent that denies
 * (EPERM). Numbers are those of the native ABI, as there.
 *
 * The call itself is refused by a kprobe on its entry, so that calls which no
 * group denies cost nothing. Lists are made lazily: a group without one has
 * that of its nearest ancestor, and gets a copy before that changes.
 */
#include <linux/bitmap.h>
#include <linux/cgroup.h>
#include <linux/hashtable.h>
#include <linux/kernfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#define NUMBERS 512
#define IBT_LANDING 0xfa1e0ff3u

struct list {
	struct hlist_node link;
	const struct cgroup_subsys_state *group;
	u64 serial; /* a group that comes to lie where another one was has another one */
	DECLARE_BITMAP(denied, NUMBERS);
};

static DEFINE_HASHTABLE(lists, 8);
static DEFINE_MUTEX(changes);
static struct cgroup_subsys *subsystem;
static struct kprobe probes[NUMBERS];
static DECLARE_BITMAP(probed, NUMBERS);
static atomic64_t denials;

static struct list *list_of(const struct cgroup_subsys_state *group)
{
	struct list *each;

	hash_for_each_possible_rcu(lists, each, link, (unsigned long)group)
		if (each->group == group && each->serial == group->serial_nr)
			return each;
	return NULL;
}

static bool is_denied(const struct cgroup_subsys_state *group, unsigned int number)
{
	const struct list *list;

	for (; group; group = group->parent) {
		list = list_of(group);
		if (list)
			return test_bit(number, list->denied);
	}
	return false;
}

static int refuse(struct kprobe *probe, struct pt_regs *regs)
{
	bool denied;

	rcu_read_lock();
	denied = is_denied(rcu_dereference(current->cgroups)->subsys[subsystem->id],
			   probe - probes);
	rcu_read_unlock();
	if (!denied)
		return 0;
	atomic64_inc(&denials);
#ifdef CONFIG_X86_64
	regs->ax = -ENOSYS;
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(long);
#endif
#ifdef CONFIG_ARM64
	regs->regs[0] = -ENOSYS;
	regs->pc = regs->regs[30];
#endif
	return 1;
}

/* With a copy of its nearest ancestor's if it had none; NULL without memory. */
static struct list *own_list(struct cgroup_subsys_state *group)
{
	struct list *list = list_of(group);
	struct cgroup_subsys_state *above;

	if (list)
		return list;
	list = kzalloc(sizeof(*list), GFP_ATOMIC);
	if (!list)
		return NULL;
	list->group = group;
	list->serial = group->serial_nr;
	for (above = group->parent; above; above = above->parent) {
		const struct list *copied = list_of(above);

		if (copied) {
			bitmap_copy(list->denied, copied->denied, NUMBERS);
			break;
		}
	}
	hash_add_rcu(lists, &list->link, (unsigned long)group);
	return list;
}

static int change(struct cgroup_subsys_state *group, unsigned int number, bool deny)
{
	struct cgroup_subsys_state *each;
	int result = 0;

	rcu_read_lock();
	if (!deny && group->parent && is_denied(group->parent, number))
		result = -EPERM;
	css_for_each_descendant_pre(each, group) {
		struct list *list = result ? NULL : own_list(each);

		if (!list)
			result = result ? result : -ENOMEM;
		else if (deny)
			set_bit(number, list->denied);
	}
	if (!result && !deny)
		clear_bit(number, list_of(group)->denied);
	rcu_read_unlock();
	return result;
}

static int probe_entry(unsigned int number)
{
	int result;

	if (test_bit(number, probed))
		return 0;
	probes[number].pre_handler = refuse;
	result = register_kprobe(&probes[number]);
	if (!result)
		set_bit(number, probed);
	return result;
}

static ssize_t written(struct kernfs_open_file *file, char *text, size_t size, bool deny)
{
	unsigned int number;
	int result = kstrtouint(strstrip(text), 10, &number);

	if (result)
		return result;
	if (number >= NR_syscalls || number >= NUMBERS)
		return -ERANGE;
	mutex_lock(&changes);
	result = deny ? probe_entry(number) : 0;
	if (!result)
		result = change(of_css(file), number, deny);
	mutex_unlock(&changes);
	return result ? result : size;
}

static ssize_t write_allow(struct kernfs_open_file *file, char *text, size_t size, loff_t at)
{
	return written(file, text, size, false);
}

static ssize_t write_deny(struct kernfs_open_file *file, char *text, size_t size, loff_t at)
{
	return written(file, text, size, true);
}

static int show(struct seq_file *file, bool denied)
{
	struct cgroup_subsys_state *group = seq_css(file);
	const char *gap = "";
	unsigned int number;

	rcu_read_lock();
	for (number = 0; number < NR_syscalls && number < NUMBERS; number++)
		if (is_denied(group, number) == denied) {
			seq_printf(file, "%s%u", gap, number);
			gap = " ";
		}
	rcu_read_unlock();
	seq_putc(file, '\n');
	return 0;
}

static int show_allow(struct seq_file *file, void *unused)
{
	return show(file, false);
}

static int show_deny(struct seq_file *file, void *unused)
{
	return show(file, true);
}

static struct cftype files[] = {
	{
		.name = "syscalls.allow",
		.flags = CFTYPE_NO_PREFIX,
		.seq_show = show_allow,
		.write = write_allow,
	},
	{
		.name = "syscalls.deny",
		.flags = CFTYPE_NO_PREFIX,
		.seq_show = show_deny,
		.write = write_deny,
	},
	{ },
};

/* What modules are not given, by the one function that finds it (kprobes find that). */
static void *find(const char *name)
{
	static unsigned long (*lookup)(const char *name);
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };

	if (!lookup) {
		if (register_kprobe(&probe))
			return NULL;
		lookup = (void *)probe.addr;
		unregister_kprobe(&probe);
#ifdef CONFIG_X86_KERNEL_IBT
		if (*(u32 *)lookup != IBT_LANDING && *((u32 *)lookup - 1) == IBT_LANDING)
			lookup = (void *)((u32 *)lookup - 1);
#endif
	}
	return (void *)lookup(name);
}

static int __init begin(void)
{
	int (*add_files)(struct cgroup_subsys *subsystem, struct cftype *files);
	void **entries = find("sys_call_table");
	unsigned int number;
	int result;

	subsystem = find("pids_cgrp_subsys");
	add_files = find("cgroup_add_dfl_cftypes");
	if (!entries || !subsystem || !add_files)
		return -ENOENT;
	for (number = 0; number < NR_syscalls && number < NUMBERS; number++)
		probes[number].addr = entries[number];
	result = add_files(subsystem, files);
	if (!result)
		__module_get(THIS_MODULE); /* groups have its files until the machine is gone */
	return result;
}
module_init(begin);

static int get_denials(char *text, const struct kernel_param *unused)
{
	return sprintf(text, "%lld\n", (long long)atomic64_read(&denials));
}
static const struct kernel_param_ops counter = { .get = get_denials };
module_param_cb(denials, &counter, NULL, 0444);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("system calls as a resource of control groups");
