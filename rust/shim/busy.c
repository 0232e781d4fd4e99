// SPDX-License-Identifier: GPL-2.0
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "shim.h"

/* How many are inside, on this CPU; more than one only while the others leave. */
static DEFINE_PER_CPU(int, ostor_busy);

/*
 * What BPF task storage did before it had rqspinlock: whoever finds somebody
 * inside on its CPU fails, be that one interrupted or preempted.
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
