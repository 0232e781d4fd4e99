// SPDX-License-Identifier: GPL-2.0
/* For the test flavour only. */
#include <linux/cgroup.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/stringify.h>
#include <net/sock.h>

#include "shim.h"

#ifdef OSTOR_BUSTED
/* The name of the fault that was put into the sources. For "test" the loader taints the kernel. */
MODULE_INFO(busted, __stringify(OSTOR_BUSTED));
MODULE_INFO(test, "Y");
#endif

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

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
/* The task that nests the puts, and the sockets that it has still to put. */
static struct task_struct *ostor_nest_task;
static struct sock *const *ostor_nest_next;
static u32 ostor_nest_left;

static void notrace ostor_nest_enter(unsigned long ip, unsigned long parent_ip,
				     struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	if (current != ostor_nest_task)
		return;
	while (ostor_nest_left) {
		ostor_nest_left--;
		sock_put(*ostor_nest_next++);
	}
}

/*
 * The callback of an ftrace_ops for the end of the first socket puts the second
 * one. The callback for the end of that puts all others, whose notices ftrace drops.
 */
int ostor_nest_socket_ends(struct sock *const *socks, u32 count)
{
	static const char function[] = "bpf_sk_storage_free";
	static struct ftrace_ops ops = { .func = ostor_nest_enter };
	int ret;

	ret = ftrace_set_filter(&ops, (unsigned char *)function, strlen(function), 1);
	if (!ret)
		ret = register_ftrace_function(&ops);
	if (ret)
		return ret;
	ostor_nest_next = socks + 1;
	ostor_nest_left = count - 1;
	WRITE_ONCE(ostor_nest_task, current);
	sock_put(socks[0]);
	WRITE_ONCE(ostor_nest_task, NULL);
	unregister_ftrace_function(&ops);
	ftrace_free_filter(&ops);
	return 0;
}
#else
int ostor_nest_socket_ends(struct sock *const *socks, u32 count)
{
	return -EOPNOTSUPP;
}
#endif

#ifdef CONFIG_KPROBES
/* The task whose next call of the function fails. */
static struct task_struct *ostor_fork_caller;

static unsigned long ostor_fork_error(void)
{
	return -ENOMEM;
}

/* Runs ostor_fork_error() in place of the function, which returns to the caller. */
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
#else
void *ostor_fork_fault_attach(const char *function)
{
	return ERR_PTR(-EOPNOTSUPP);
}

void ostor_fork_fault_detach(void *probe)
{
}

void ostor_fork_fault_arm(void)
{
}
#endif

struct cgroup *ostor_cgroup_of_ref(struct percpu_ref *ref)
{
	struct cgroup_subsys_state *css = container_of(ref, struct cgroup_subsys_state, refcnt);

	return css == &css->cgroup->self ? css->cgroup : NULL;
}

void ostor_sock_free_by_rcu(struct sock *sk)
{
	sock_set_flag(sk, SOCK_RCU_FREE);
}
