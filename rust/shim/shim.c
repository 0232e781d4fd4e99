// SPDX-License-Identifier: GPL-2.0
#ifndef CONFIG_BPF_SYSCALL
#error "owner_storage needs CONFIG_BPF_SYSCALL: rqspinlock is built with it"
#endif

#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

EXPORT_TRACEPOINT_SYMBOL_GPL(ostor_enter);
EXPORT_TRACEPOINT_SYMBOL_GPL(ostor_storage_locked);
EXPORT_TRACEPOINT_SYMBOL_GPL(ostor_bucket_locked);

MODULE_VERSION("0.1.0");

/*
 * The flavours have the same device, hooks and tracepoints, and different names.
 * Before the code of a module runs, the loader refuses the module if it exports a
 * symbol that another module, or the kernel, exports already.
 */
const bool owner_storage_is_loaded = true;
EXPORT_SYMBOL_GPL(owner_storage_is_loaded);

static noinline int ostor_res_lock_slow(rqspinlock_t *lock, unsigned long *flags, int val)
{
#ifdef CONFIG_QUEUED_SPINLOCKS
	int ret = resilient_queued_spin_lock_slowpath(lock, val);
#else
	int ret = resilient_tas_spin_lock(lock);
#endif

	if (ret) {
		local_irq_restore(*flags);
		preempt_enable();
	}
	return ret;
}

/*
 * As raw_res_spin_lock_irqsave(), with all that follows a lock that is not free out of
 * line: inlined, it would cost each lock a stack frame.
 */
int ostor_res_lock_irqsave(rqspinlock_t *lock, unsigned long *flags)
{
	int val = 0;

	local_irq_save(*flags);
	preempt_disable();
	grab_held_lock_entry(lock);
	if (likely(atomic_try_cmpxchg_acquire(&lock->val, &val, 1)))
		return 0;
	return ostor_res_lock_slow(lock, flags, val);
}

/*
 * rqspinlock has no trylock. As in its lock, the entry in this CPU's table of held
 * locks comes first, so that another CPU never finds a held lock without a holder.
 */
bool ostor_res_trylock_irqsave(rqspinlock_t *lock, unsigned long *flags)
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

void ostor_res_unlock_irqrestore(rqspinlock_t *lock, unsigned long flags)
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
bool ostor_holds_no_lock(void)
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
static void *ostor_kmalloc_flags(size_t size, gfp_t flags)
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
void *ostor_kmalloc(size_t size, struct mem_cgroup *memcg)
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

void *ostor_kmalloc_nolock(size_t size)
{
	return kmalloc_nolock(size, 0, NUMA_NO_NODE);
}

void ostor_kfree(const void *ptr)
{
	kfree(ptr);
}

void ostor_kfree_rcu(void *ptr)
{
	kfree_rcu_mightsleep(ptr);
}

unsigned long ostor_begin_grace_period(void)
{
	return start_poll_synchronize_rcu();
}

void ostor_end_grace_period(unsigned long begun)
{
	cond_synchronize_rcu(begun);
}

unsigned long ostor_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void ostor_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

void ostor_init_irq_work(struct irq_work *work, void (*fn)(struct irq_work *work), bool lazy)
{
	if (lazy)
		*work = IRQ_WORK_INIT_LAZY(fn);
	else
		*work = IRQ_WORK_INIT(fn);
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

void ostor_init_work(struct work_struct *work, void (*fn)(struct work_struct *work))
{
	INIT_WORK(work, fn);
}

struct work_struct *ostor_current_work(void (*fn)(struct work_struct *work))
{
	struct work_struct *work = in_task() ? current_work() : NULL;

	return work && work->func == fn ? work : NULL;
}

bool ostor_task_work_add(struct callback_head *head, void (*fn)(struct callback_head *head))
{
	if (current->flags & PF_KTHREAD)
		return false;
	init_task_work(head, fn);
	return !task_work_add(current, head, TWA_RESUME);
}

void ostor_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

size_t ostor_totalram(void)
{
	return totalram_pages() << PAGE_SHIFT;
}

struct workqueue_struct *ostor_alloc_workqueue(void)
{
	return alloc_workqueue("owner_storage", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
}

/*
 * 0 or less while the module unloads and no reference is left. Then none of its
 * files is open, and no fput() returns to its text.
 */
int ostor_module_notifier_attach(struct notifier_block *block)
{
	return register_module_notifier(block);
}

void ostor_module_notifier_detach(struct notifier_block *block)
{
	unregister_module_notifier(block);
}

const char *ostor_module_name(struct module *module)
{
	return module_name(module);
}

int ostor_module_users(void)
{
#if defined(MODULE) && defined(CONFIG_MODULE_UNLOAD)
	return module_refcount(THIS_MODULE);
#else
	return 0;
#endif
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
