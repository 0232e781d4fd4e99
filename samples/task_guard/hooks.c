// SPDX-License-Identifier: GPL-2.0

#include <linux/cred.h>
#include <linux/kprobes.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "hooks.h"

static const void *guard_data;
static struct tracepoint *guard_fork_event;

static void guard_copy_ids(const struct cred *cred, struct guard_ids *ids)
{
	ids->id[0] = __kuid_val(cred->uid);
	ids->id[1] = __kuid_val(cred->euid);
	ids->id[2] = __kuid_val(cred->suid);
	ids->id[3] = __kuid_val(cred->fsuid);
	ids->id[4] = __kgid_val(cred->gid);
	ids->id[5] = __kgid_val(cred->egid);
	ids->id[6] = __kgid_val(cred->sgid);
	ids->id[7] = __kgid_val(cred->fsgid);
	ids->effective = cred->cap_effective.val;
}

void guard_ids_of(struct task_struct *task, struct guard_ids *ids)
{
	/* Read after the entry that the caller has read before. */
	smp_rmb();
	rcu_read_lock();
	guard_copy_ids(__task_cred(task), ids);
	rcu_read_unlock();
	/* Read before the entry that the caller reads next. */
	smp_rmb();
}

/* Calls @visit with each thread that is listed, in an RCU read section. */
void guard_visit_tasks(void (*visit)(void *data, struct task_struct *task), void *data)
{
	struct task_struct *process, *thread;

	rcu_read_lock();
	for_each_process_thread(process, thread)
		visit(data, thread);
	rcu_read_unlock();
}

/* In the parent, before the child runs. The child is listed already. */
static void guard_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	guard_on_fork(data, child);
}

static int guard_commit(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct guard_ids next;

	guard_copy_ids((const struct cred *)regs_get_kernel_argument(regs, 0), &next);
	guard_on_commit(guard_data, &next);
	return 0;
}

static int guard_committed(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	guard_on_committed(guard_data);
	return 0;
}

static struct kretprobe guard_commit_creds = {
	.kp.symbol_name = "commit_creds",
	.entry_handler = guard_commit,
	.handler = guard_committed,
};

static void guard_match(struct tracepoint *event, void *name)
{
	if (!strcmp(event->name, name))
		guard_fork_event = event;
}

/* May sleep. */
int guard_attach(const void *guard)
{
	int ret;

	guard_data = guard;
	for_each_kernel_tracepoint(guard_match, "sched_process_fork");
	if (!guard_fork_event)
		return -ENOENT;
	ret = tracepoint_probe_register(guard_fork_event, guard_fork, (void *)guard);
	if (ret)
		return ret;
	ret = register_kretprobe(&guard_commit_creds);
	if (ret)
		guard_detach();
	else
		/* For tasks that are in commit_creds() already. */
		synchronize_rcu_tasks();
	return ret;
}

/* Returns when no hook runs. May sleep. */
void guard_detach(void)
{
	unregister_kretprobe(&guard_commit_creds);
	tracepoint_probe_unregister(guard_fork_event, guard_fork, (void *)guard_data);
	tracepoint_synchronize_unregister();
}
