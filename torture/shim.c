// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "shim.h"

MODULE_VERSION("0.1.0");

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

void ostor_cond_resched(void)
{
	cond_resched();
}

bool ostor_lock_pair(rqspinlock_t *lock)
{
	unsigned long flags;

	if (raw_res_spin_lock_irqsave(lock, flags))
		return false;
	raw_res_spin_unlock_irqrestore(lock, flags);
	return true;
}

bool ostor_nolock_pair(size_t size)
{
	void *ptr = kmalloc_nolock(size, 0, NUMA_NO_NODE);

	kfree_nolock(ptr);
	return ptr;
}
