// SPDX-License-Identifier: GPL-2.0
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "shim.h"

/* Operations that this CPU has begun; above 1 only while one of them is refused. */
static DEFINE_PER_CPU(int, ostor_busy);

/*
 * As BPF task storage did before it had rqspinlock: an operation fails if its CPU has
 * begun another one, whether that was interrupted or preempted.
 */
bool ostor_busy_enter(void)
{
	migrate_disable();
	if (this_cpu_inc_return(ostor_busy) == 1)
		return true;
	ostor_busy_leave();
	return false;
}

void ostor_busy_leave(void)
{
	this_cpu_dec(ostor_busy);
	migrate_enable();
}
