// SPDX-License-Identifier: GPL-2.0
/* What the test flavour alone needs. */
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "shim.h"

static DEFINE_PER_CPU(u32, ostor_cpu_section);

u32 ostor_section(void)
{
	return this_cpu_read(ostor_cpu_section);
}

void ostor_set_section(u32 section)
{
	this_cpu_write(ostor_cpu_section, section);
}

u32 ostor_nmi_depth(void)
{
	return (preempt_count() & NMI_MASK) >> NMI_SHIFT;
}
