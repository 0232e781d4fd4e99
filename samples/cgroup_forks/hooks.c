// SPDX-License-Identifier: GPL-2.0

#include <linux/binfmts.h>
#include <linux/cgroup.h>
#include <linux/errno.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "hooks.h"

/* Of version 2. One that is being released is not counted any more. */
static void forks_count_current(const void *counter, bool is_exec)
{
	struct cgroup *cgroup;

	rcu_read_lock();
	cgroup = task_dfl_cgroup(current);
	if (cgroup_tryget(cgroup)) {
		forks_count(counter, cgroup, is_exec);
		cgroup_put(cgroup);
	}
	rcu_read_unlock();
}

static void forks_on_fork(void *counter, struct task_struct *parent, struct task_struct *child)
{
	forks_count_current(counter, false);
}

static void forks_on_exec(void *counter, struct task_struct *task, pid_t old_pid,
			  struct linux_binprm *bprm)
{
	forks_count_current(counter, true);
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *event;
	bool is_attached;
} forks_hooks[] = {
	{ .name = "sched_process_fork", .probe = forks_on_fork },
	{ .name = "sched_process_exec", .probe = forks_on_exec },
};

static void forks_match(struct tracepoint *event, void *data)
{
	for (int i = 0; i < ARRAY_SIZE(forks_hooks); i++)
		if (!strcmp(event->name, forks_hooks[i].name))
			forks_hooks[i].event = event;
}

/* Returns when no hook runs. May sleep. */
void forks_detach(const void *counter)
{
	for (int i = 0; i < ARRAY_SIZE(forks_hooks); i++)
		if (forks_hooks[i].is_attached)
			tracepoint_probe_unregister(forks_hooks[i].event, forks_hooks[i].probe,
						    (void *)counter);
	tracepoint_synchronize_unregister();
}

/* May sleep. */
int forks_attach(const void *counter)
{
	int ret = 0;

	for_each_kernel_tracepoint(forks_match, NULL);
	for (int i = 0; i < ARRAY_SIZE(forks_hooks) && !ret; i++) {
		ret = forks_hooks[i].event ?
			tracepoint_probe_register(forks_hooks[i].event, forks_hooks[i].probe,
						  (void *)counter) : -ENOENT;
		forks_hooks[i].is_attached = !ret;
	}
	if (ret)
		forks_detach(counter);
	return ret;
}
