// SPDX-License-Identifier: GPL-2.0

#include <linux/errno.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>

#include "hooks.h"

static DEFINE_PER_CPU(u64 [64], syscalls_histogram);

void syscalls_count(u32 bucket)
{
	this_cpu_inc(syscalls_histogram[bucket]);
}

/* Of all CPUs. */
u64 syscalls_counted(u32 bucket)
{
	u64 count = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		count += READ_ONCE(per_cpu(syscalls_histogram, cpu)[bucket]);
	return count;
}

u64 syscalls_now(void)
{
	return ktime_get_ns();
}

/* Copies the name of the task to @comm. In an RCU read section. */
void syscalls_name_of(pid_t pid, char *comm)
{
	struct task_struct *task = pid_task(find_pid_ns(pid, &init_pid_ns), PIDTYPE_PID);

	strscpy(comm, task ? task->comm : "?", TASK_COMM_LEN);
}

static void syscalls_on_enter(void *calls, struct pt_regs *regs, long number)
{
	syscalls_enter(calls, number);
}

static void syscalls_on_exit(void *calls, struct pt_regs *regs, long result)
{
	syscalls_leave(calls);
}

static void syscalls_on_end(void *calls, struct task_struct *task, bool group_dead)
{
	syscalls_end(calls);
}

/* In this order: no call is entered before its return is seen. */
static struct {
	const char *name;
	void *probe;
	struct tracepoint *event;
	bool is_attached;
} syscalls_hooks[] = {
	{ .name = "sys_exit", .probe = syscalls_on_exit },
	{ .name = "sched_process_exit", .probe = syscalls_on_end },
	{ .name = "sys_enter", .probe = syscalls_on_enter },
};

static void syscalls_match(struct tracepoint *event, void *data)
{
	for (int i = 0; i < ARRAY_SIZE(syscalls_hooks); i++)
		if (!strcmp(event->name, syscalls_hooks[i].name))
			syscalls_hooks[i].event = event;
}

/* Returns when no hook runs. It does not wait for tasks that sleep in a call. May sleep. */
void syscalls_detach(const void *calls)
{
	for (int i = 0; i < ARRAY_SIZE(syscalls_hooks); i++)
		if (syscalls_hooks[i].is_attached)
			tracepoint_probe_unregister(syscalls_hooks[i].event,
						    syscalls_hooks[i].probe, (void *)calls);
	tracepoint_synchronize_unregister();
}

/* May sleep. */
int syscalls_attach(const void *calls)
{
	int ret = 0;

	for_each_kernel_tracepoint(syscalls_match, NULL);
	for (int i = 0; i < ARRAY_SIZE(syscalls_hooks) && !ret; i++) {
		ret = syscalls_hooks[i].event ?
			tracepoint_probe_register(syscalls_hooks[i].event, syscalls_hooks[i].probe,
						  (void *)calls) : -ENOENT;
		syscalls_hooks[i].is_attached = !ret;
	}
	if (ret)
		syscalls_detach(calls);
	return ret;
}
