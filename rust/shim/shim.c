// SPDX-License-Identifier: GPL-2.0
#ifndef CONFIG_BPF_SYSCALL
#error "owner_storage needs CONFIG_BPF_SYSCALL: rqspinlock is built with it"
#endif
#ifndef CONFIG_TRACEPOINTS
#error "owner_storage needs CONFIG_TRACEPOINTS: a tracepoint is its notice of a task's death"
#endif

#include <linux/cleanup.h>
#include <linux/ftrace.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <uapi/linux/pidfd.h>

#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

MODULE_VERSION("0.1.0");

void ostor_res_lock_init(rqspinlock_t *lock)
{
	raw_res_spin_lock_init(lock);
}

int ostor_res_lock_irqsave(rqspinlock_t *lock, unsigned long *flags)
{
	return raw_res_spin_lock_irqsave(lock, *flags);
}

void ostor_res_unlock_irqrestore(rqspinlock_t *lock, unsigned long flags)
{
	raw_res_spin_unlock_irqrestore(lock, flags);
}

void *ostor_kmalloc_nolock(size_t size)
{
	return kmalloc_nolock(size, 0, NUMA_NO_NODE);
}

void ostor_kfree_nolock(const void *ptr)
{
	kfree_nolock(ptr);
}

void ostor_kfree(const void *ptr)
{
	kfree(ptr);
}

void ostor_init_irq_work(struct irq_work *work, void (*fn)(struct irq_work *work))
{
	init_irq_work(work, fn);
}

void ostor_init_delayed_work(struct delayed_work *work, void (*fn)(struct work_struct *work))
{
	INIT_DELAYED_WORK(work, fn);
}

void ostor_queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			      unsigned long delay)
{
	queue_delayed_work(wq, work, delay);
}

struct workqueue_struct *ostor_alloc_workqueue(void)
{
	return alloc_workqueue("owner_storage", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
}

void ostor_cond_resched(void)
{
	cond_resched();
}

void ostor_trace_enter(unsigned long owner)
{
	trace_ostor_enter(owner);
}

void ostor_trace_storage_locked(unsigned long owner)
{
	trace_ostor_storage_locked(owner);
}

void ostor_trace_bucket_locked(unsigned long owner)
{
	trace_ostor_bucket_locked(owner);
}

static struct tracepoint *ostor_trace_event(u32 event)
{
	switch (event) {
	case OSTOR_TRACE_STORAGE_LOCKED:
		return &__tracepoint_ostor_storage_locked;
	case OSTOR_TRACE_BUCKET_LOCKED:
		return &__tracepoint_ostor_bucket_locked;
	default:
		return &__tracepoint_ostor_enter;
	}
}

int ostor_trace_register(u32 event, void (*probe)(void *data, unsigned long owner), void *data)
{
	return tracepoint_probe_register(ostor_trace_event(event), probe, data);
}

void ostor_trace_unregister(u32 event, void (*probe)(void *data, unsigned long owner), void *data)
{
	tracepoint_probe_unregister(ostor_trace_event(event), probe, data);
}

struct ostor_tracepoint_query {
	const char *name;
	struct tracepoint *found;
};

static void ostor_tracepoint_match(struct tracepoint *tp, void *data)
{
	struct ostor_tracepoint_query *query = data;

	if (!strcmp(tp->name, query->name))
		query->found = tp;
}

struct tracepoint *ostor_tracepoint_find(const char *name)
{
	struct ostor_tracepoint_query query = { .name = name };

	for_each_kernel_tracepoint(ostor_tracepoint_match, &query);
	return query.found;
}

void ostor_tracepoint_sync(void)
{
	tracepoint_synchronize_unregister();
}

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
struct ostor_entry_hook {
	struct ftrace_ops ops;
	void (*fn)(unsigned long arg);
};

static void notrace ostor_entry_hook_enter(unsigned long ip, unsigned long parent_ip,
					   struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct ostor_entry_hook *hook = container_of(ops, struct ostor_entry_hook, ops);

	hook->fn(ftrace_regs_get_argument(fregs, 0));
}

/*
 * PERMANENT: /proc/sys/kernel/ftrace_enabled must not silence it. Not RECURSION:
 * ftrace would drop the second of two nested calls without a word.
 */
void *ostor_entry_hook_attach(const char *function, void (*fn)(unsigned long arg))
{
	struct ostor_entry_hook *hook __free(kfree) = kzalloc_obj(*hook);
	int ret;

	if (!hook)
		return ERR_PTR(-ENOMEM);
	hook->fn = fn;
	hook->ops.func = ostor_entry_hook_enter;
	hook->ops.flags = FTRACE_OPS_FL_PERMANENT;
	ret = ftrace_set_filter(&hook->ops, (unsigned char *)function, strlen(function), 1);
	if (ret)
		return ERR_PTR(ret);
	ret = register_ftrace_function(&hook->ops);
	if (ret) {
		ftrace_free_filter(&hook->ops);
		return ERR_PTR(ret);
	}
	return no_free_ptr(hook);
}

void ostor_entry_hook_detach(void *data)
{
	struct ostor_entry_hook *hook = data;

	unregister_ftrace_function(&hook->ops);
	ftrace_free_filter(&hook->ops);
	kfree(hook);
}
#else
void *ostor_entry_hook_attach(const char *function, void (*fn)(unsigned long arg))
{
	return ERR_PTR(-EOPNOTSUPP);
}

void ostor_entry_hook_detach(void *data)
{
}
#endif

/*
 * rcu_users falls to 0 when the task is both reaped and off the CPU; its death
 * notice comes a grace period later. A task that copy_process() has not
 * finished has neither a pid nor an exit state: it may still be thrown away
 * without any notice.
 */
bool ostor_task_alive(struct task_struct *task)
{
	return refcount_read(&task->rcu_users) &&
		(READ_ONCE(task->thread_pid) || READ_ONCE(task->exit_state));
}

/*
 * pidfd_get_task() is not exported. A pidfd is a file of pidfs that has the
 * operations pidfs gives its inodes; i_private is then the struct pid.
 */
struct task_struct *ostor_task_of_pidfd(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct task_struct *task;

	if (inode->i_sb->s_magic != PID_FS_MAGIC || file->f_op != inode->i_fop ||
	    !S_ISREG(inode->i_mode) || !inode->i_private)
		return ERR_PTR(-EBADF);
	task = get_pid_task(inode->i_private,
			    file->f_flags & PIDFD_THREAD ? PIDTYPE_PID : PIDTYPE_TGID);
	return task ?: ERR_PTR(-ESRCH);
}
