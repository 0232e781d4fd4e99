// SPDX-License-Identifier: GPL-2.0
#ifndef CONFIG_BPF_SYSCALL
#error "owner_storage needs CONFIG_BPF_SYSCALL: rqspinlock is built with it"
#endif

#include <linux/module.h>
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

void ostor_trace_locked(u32 event, unsigned long owner)
{
	if (event == OSTOR_EVENT_STORAGE_LOCKED)
		trace_ostor_storage_locked(owner);
	else
		trace_ostor_bucket_locked(owner);
}
