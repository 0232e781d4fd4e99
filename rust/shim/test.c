// SPDX-License-Identifier: GPL-2.0
/* What the test flavour alone needs. */
#include <linux/kprobes.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/slab.h>

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

#ifdef CONFIG_KPROBES
/* The task in whose next call the function fails. */
static struct task_struct *ostor_fork_caller;

static unsigned long ostor_fork_error(void)
{
	return -ENOMEM;
}

/* Runs ostor_fork_error() in place of the function: it returns to the caller. */
static int ostor_fork_enter(struct kprobe *probe, struct pt_regs *regs)
{
	if (READ_ONCE(ostor_fork_caller) != current)
		return 0;
	WRITE_ONCE(ostor_fork_caller, NULL);
	instruction_pointer_set(regs, (unsigned long)ostor_fork_error);
	return 1;
}
NOKPROBE_SYMBOL(ostor_fork_enter);

void *ostor_fork_fault_attach(const char *function)
{
	struct kprobe *probe __free(kfree) = kzalloc_obj(*probe);
	int ret;

	if (!probe)
		return ERR_PTR(-ENOMEM);
	WRITE_ONCE(ostor_fork_caller, NULL);
	probe->symbol_name = function;
	probe->pre_handler = ostor_fork_enter;
	ret = register_kprobe(probe);
	if (ret)
		return ERR_PTR(ret);
	return no_free_ptr(probe);
}

void ostor_fork_fault_detach(void *probe)
{
	unregister_kprobe(probe);
	kfree(probe);
}

void ostor_fork_fault_arm(void)
{
	WRITE_ONCE(ostor_fork_caller, current);
}
#endif
