// SPDX-License-Identifier: GPL-2.0
/*
 * The functions of the shim that creates, updates and deletes call. If the kernel crate
 * inlines the kernel's helpers, with CONFIG_RUST_INLINE_HELPERS, this file becomes
 * bitcode, and these functions are inlined into Rust, see Kbuild. Otherwise they are
 * functions of an object as all others are. LLVM inlines a function whose attributes
 * differ from the caller's only if it must: hence __always_inline.
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "shim.h"

static noinline int ostor_res_lock_slow(rqspinlock_t *lock, unsigned long flags, int val)
{
#ifdef CONFIG_QUEUED_SPINLOCKS
	int ret = resilient_queued_spin_lock_slowpath(lock, val);
#else
	int ret = resilient_tas_spin_lock(lock);
#endif

	if (ret) {
		local_irq_restore(flags);
		preempt_enable();
	}
	return ret;
}

/*
 * As raw_res_spin_lock_irqsave(), with all that follows a lock that is not free out of
 * line: inlined, it would cost each lock a stack frame.
 */
__always_inline int ostor_res_lock_irqsave(rqspinlock_t *lock, unsigned long *flags)
{
	int val = 0;

	local_irq_save(*flags);
	preempt_disable();
	grab_held_lock_entry(lock);
	if (likely(atomic_try_cmpxchg_acquire(&lock->val, &val, 1)))
		return 0;
	return ostor_res_lock_slow(lock, *flags, val);
}

/*
 * rqspinlock has no trylock. As in its lock, the entry in this CPU's table of held
 * locks comes first, so that another CPU never finds a held lock without a holder.
 */
__always_inline bool ostor_res_trylock_irqsave(rqspinlock_t *lock, unsigned long *flags)
{
	local_irq_save(*flags);
	preempt_disable();
	grab_held_lock_entry(lock);
	if (likely(!atomic_read(&lock->val) && !atomic_cmpxchg_acquire(&lock->val, 0, 1)))
		return true;
	release_held_lock_entry();
	local_irq_restore(*flags);
	preempt_enable();
	return false;
}

__always_inline void ostor_res_unlock_irqrestore(rqspinlock_t *lock, unsigned long flags)
{
	raw_res_spin_unlock_irqrestore(lock, flags);
}

/*
 * Whether the current task can be seen to hold no spinning lock. The caller is in
 * one RCU read section, which disables preemption once without CONFIG_PREEMPT_RCU.
 * On PREEMPT_RT a spinlock_t does not change the preempt count, but disables
 * migration while it is held, and softirqs run in a task. Without preempt counts a
 * lock cannot be seen.
 */
__always_inline bool ostor_holds_no_lock(void)
{
	int in_rcu = IS_ENABLED(CONFIG_PREEMPT_RCU) ? 0 : PREEMPT_OFFSET;

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT) || irqs_disabled())
		return false;
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && (current->migration_disabled || softirq_count()))
		return false;
	return preempt_count() == in_rcu;
}

/*
 * The caller holds none of the allocator's locks, so kmalloc() may take them. It
 * refills the CPU's objects for many allocations at once; kmalloc_nolock() does so
 * for each allocation. On PREEMPT_RT not every lock can be seen, so
 * kmalloc_nolock() comes first. Where that meets a lock, the holder may be a task
 * that was preempted on this CPU, so that another try would fail too.
 */
static __always_inline void *ostor_kmalloc_flags(size_t size, gfp_t flags)
{
	void *ptr = NULL;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		ptr = kmalloc_nolock(size, flags, NUMA_NO_NODE);
	return ptr ?: kmalloc(size, GFP_NOWAIT | flags);
}

/*
 * Accounted memory is charged to the active memory cgroup of the task. If the
 * charge fails, the slab frees the object as kfree() does, under list_lock. If it
 * exceeds memory.high, the task has to reclaim when it returns to user space;
 * outside task context the charge would queue work, under a run queue's lock.
 */
__always_inline void *ostor_kmalloc(size_t size, struct mem_cgroup *memcg)
{
	struct mem_cgroup *old;
	void *ptr;

	if (!memcg)
		return ostor_kmalloc_flags(size, 0);
	old = set_active_memcg(memcg);
	ptr = ostor_kmalloc_flags(size, __GFP_ACCOUNT);
	set_active_memcg(old);
	return ptr;
}

__always_inline void *ostor_kmalloc_nolock(size_t size)
{
	return kmalloc_nolock(size, 0, NUMA_NO_NODE);
}

__always_inline unsigned long ostor_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

__always_inline void ostor_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

#ifdef CONFIG_MEMCG
/* The memory cgroup to charge, or NULL: the root is not charged. */
static __always_inline struct mem_cgroup *ostor_payer(struct mem_cgroup *memcg)
{
	return mem_cgroup_is_root(memcg) ? NULL : memcg;
}
#endif

/*
 * Whether the fork of @task can fail no more. Until copy_process() has passed its
 * last failure, the task shares its parent's thread_pid, whose first and only
 * member is the parent. A fork that has failed leaves TASK_DEAD without an exit
 * state. See Documentation/owners.rst for exchange_tids(), and for the order.
 */
static noinline bool ostor_task_finished(struct task_struct *task)
{
	struct pid *pid = READ_ONCE(task->thread_pid);
	struct task_struct *first = pid_task(pid, PIDTYPE_PID);
	bool is_shared, is_dead;

	if (first == task)
		return true;
	is_shared = first && READ_ONCE(first->thread_pid) == pid;
	/*
	 * A thread that has moved the members of @pid did so after the store of
	 * this task's thread_pid, after that of its exit state if the task was a
	 * leader, and after that of TASK_DEAD if its fork failed.
	 */
	smp_rmb();
	if (READ_ONCE(task->thread_pid) != pid)
		return true;
	is_dead = READ_ONCE(task->__state) == TASK_DEAD;
	/* A task that exits has its exit state before TASK_DEAD. */
	smp_rmb();
	return READ_ONCE(task->exit_state) || !(is_shared || is_dead);
}

/* Idle tasks have pid 0, share a struct pid, and never die. The first has no rcu_users. */
static __always_inline bool ostor_task_idle(struct task_struct *task)
{
	return !READ_ONCE(task->pid) && READ_ONCE(task->thread_pid) == init_task.thread_pid;
}

/*
 * rcu_users is 0 once the task is both reaped and off the CPU. Its notice of death
 * comes a grace period later.
 */
__always_inline bool ostor_task_alive(struct task_struct *task)
{
	struct pid *pid;

	if (ostor_task_idle(task))
		return true;
	if (!refcount_read(&task->rcu_users))
		return false;
	/* The first check of ostor_task_finished(), which is enough for most tasks. */
	pid = READ_ONCE(task->thread_pid);
	if (pid && rcu_access_pointer(hlist_first_rcu(&pid->tasks[PIDTYPE_PID])) ==
	    &task->pid_links[PIDTYPE_PID])
		return true;
	return ostor_task_finished(task);
}

__always_inline struct mem_cgroup *ostor_task_memcg(struct task_struct *task)
{
#ifdef CONFIG_MEMCG
	if (!mem_cgroup_disabled())
		return ostor_payer(mem_cgroup_from_task(task));
#endif
	return NULL;
}

/*
 * Whether the creation of @cgrp can fail no more. After the last failure the cgroup
 * is linked to its parent, or its hierarchy to the others. list_del_rcu() leaves
 * next as it is. Before that the list is zeroed, or empty, and root may be NULL.
 */
static __always_inline bool ostor_cgroup_finished(struct cgroup *cgrp)
{
	struct cgroup_root *root = READ_ONCE(cgrp->root);
	const struct list_head *list, *next;

	if (!root)
		return false;
	list = cgrp == &root->cgrp ? &root->root_list : &cgrp->self.sibling;
	next = READ_ONCE(list->next);
	return next && next != list;
}

/* A cgroup is dying from its removal on. The release comes a grace period later. */
__always_inline bool ostor_cgroup_alive(struct cgroup *cgrp)
{
	return ostor_cgroup_finished(cgrp) && !percpu_ref_is_dying(&cgrp->self.refcnt);
}

/*
 * The memory cgroup of @cgrp, or of its nearest ancestor where the controller is
 * enabled. NULL in a hierarchy without the controller.
 */
__always_inline struct mem_cgroup *ostor_cgroup_memcg(struct cgroup *cgrp)
{
#ifdef CONFIG_MEMCG
	struct cgroup_subsys_state *css;

	if (mem_cgroup_disabled())
		return NULL;
	do {
		css = rcu_dereference(cgrp->subsys[memory_cgrp_id]);
		if (css)
			return ostor_payer(mem_cgroup_from_css(css));
		cgrp = cgroup_parent(cgrp);
	} while (cgrp);
#endif
	return NULL;
}

/* Not request and timewait sockets, nor unfinished sockets, which have no reference. */
__always_inline bool ostor_sock_alive(struct sock *sk)
{
	return sk_fullsock(sk) && refcount_read(&sk->sk_refcnt);
}

/* The limit of sock_kmalloc(), but check and charge are one atomic step. */
__always_inline bool ostor_sock_charge(struct sock *sk, u32 bytes)
{
	int max = READ_ONCE(sock_net(sk)->core.sysctl_optmem_max);
	int now = atomic_read(&sk->sk_omem_alloc);

	do {
		if (bytes >= max || now >= max - (int)bytes)
			return false;
	} while (!atomic_try_cmpxchg(&sk->sk_omem_alloc, &now, now + bytes));
	return true;
}

__always_inline void ostor_sock_uncharge(struct sock *sk, u32 bytes)
{
	atomic_sub(bytes, &sk->sk_omem_alloc);
}

/*
 * The last put comes a grace period before the exit methods are called. A namespace
 * that setup_net() has not finished is in no list yet. If setup_net() fails, exit
 * was called already, or is never called. For a namespace that was listed, all exit
 * methods are called. net->list.next never becomes NULL again.
 */
__always_inline bool ostor_net_alive(const struct net *net)
{
	return check_net(net) && net_initialized(net);
}
