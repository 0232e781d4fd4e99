// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#ifndef CONFIG_TRACEPOINTS
#error "owner_storage needs CONFIG_TRACEPOINTS: tracepoints are its notices of death"
#endif

#include <linux/cleanup.h>
#include <linux/ftrace.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/trace_recursion.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "shim.h"

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

/* The module is never unloaded again. Has no effect once it unloads. */
void ostor_module_pin(void)
{
	__module_get(THIS_MODULE);
}

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
/* Registers @ops, whose filter is set. */
static int ostor_ops_attach(struct ftrace_ops *ops)
{
	int ret = register_ftrace_function(ops);

	if (ret)
		ftrace_free_filter(ops);
	return ret;
}

/* If it fails, as after ftrace_kill(), ftrace may still call @ops. */
static int ostor_ops_detach(struct ftrace_ops *ops)
{
	int ret = unregister_ftrace_function(ops);

	if (!ret)
		ftrace_free_filter(ops);
	return ret;
}

struct ostor_ftrace_hook {
	struct ftrace_ops ops;
	void (*fn)(unsigned long arg0, unsigned long arg1);
	bool called;
};

static void notrace ostor_ftrace_hook_enter(unsigned long ip, unsigned long parent_ip,
					    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct ostor_ftrace_hook *hook = container_of(ops, struct ostor_ftrace_hook, ops);

	if (unlikely(!READ_ONCE(hook->called)))
		WRITE_ONCE(hook->called, true);
	hook->fn(ftrace_regs_get_argument(fregs, 0), ftrace_regs_get_argument(fregs, 1));
}

/*
 * FTRACE_OPS_FL_PERMANENT: the kernel refuses to clear
 * /proc/sys/kernel/ftrace_enabled, and to attach while it is clear. Not
 * FTRACE_OPS_FL_RECURSION: ftrace would silently drop the second of two nested
 * calls. If another ftrace_ops covers the function, ftrace still drops the third.
 */
void *ostor_ftrace_hook_attach(const char *function,
			       void (*fn)(unsigned long arg0, unsigned long arg1))
{
	struct ostor_ftrace_hook *hook __free(kfree) = kzalloc_obj(*hook);
	int ret;

	if (!hook)
		return ERR_PTR(-ENOMEM);
	hook->fn = fn;
	hook->ops.func = ostor_ftrace_hook_enter;
	hook->ops.flags = FTRACE_OPS_FL_PERMANENT;
	ret = ftrace_set_filter(&hook->ops, (unsigned char *)function, strlen(function), 1);
	if (ret)
		return ERR_PTR(ret);
	ret = ostor_ops_attach(&hook->ops);
	if (ret)
		return ERR_PTR(ret);
	return no_free_ptr(hook);
}

int ostor_ftrace_hook_detach(void *data)
{
	struct ostor_ftrace_hook *hook = data;
	int ret = ostor_ops_detach(&hook->ops);

	if (!ret)
		kfree(hook);
	return ret;
}

bool ostor_ftrace_hook_called(void *data)
{
	struct ostor_ftrace_hook *hook = data;

	return READ_ONCE(hook->called);
}

/*
 * If several ftrace_ops cover a function, ftrace calls them in a loop, and keeps
 * a bit of the task's context set meanwhile.
 */
bool ostor_in_ftrace_loop(void)
{
	return current->trace_recursion & BIT(TRACE_LIST_START + trace_get_context_bit());
}

/* In the second of two nested loops. ftrace drops the calls that are nested in that. */
static bool notrace ostor_ftrace_drops(void)
{
	return current->trace_recursion & BIT(TRACE_LIST_START + TRACE_CTX_TRANSITION);
}
#else
void *ostor_ftrace_hook_attach(const char *function,
			       void (*fn)(unsigned long arg0, unsigned long arg1))
{
	return ERR_PTR(-EOPNOTSUPP);
}

int ostor_ftrace_hook_detach(void *data)
{
	return 0;
}

bool ostor_ftrace_hook_called(void *data)
{
	return false;
}

bool ostor_in_ftrace_loop(void)
{
	return false;
}

static bool ostor_ftrace_drops(void)
{
	return false;
}
#endif

/*
 * bpf_sk_storage_free() is called by the function that frees the socket. If ftrace
 * drops the call, the bit for which it does so is still set when the allocator
 * frees the memory.
 */
static void (*ostor_free_fn)(unsigned long addr);
static bool ostor_free_hook_attached;

static void notrace ostor_on_kfree(void *data, unsigned long call_site, const void *ptr)
{
	if (unlikely(ostor_ftrace_drops()))
		ostor_free_fn((unsigned long)ptr);
}

static void notrace ostor_on_kmem_cache_free(void *data, unsigned long call_site,
					     const void *ptr, const struct kmem_cache *cache)
{
	if (unlikely(ostor_ftrace_drops()))
		ostor_free_fn((unsigned long)ptr);
}

static int ostor_free_probe(const char *name, void *probe, bool attach)
{
	struct tracepoint *tp = ostor_tracepoint_find(name);

	if (!tp)
		return -EOPNOTSUPP;
	return attach ? tracepoint_probe_register(tp, probe, NULL) :
			tracepoint_probe_unregister(tp, probe, NULL);
}

static int ostor_free_probes_attach(void)
{
	int ret = ostor_free_probe("kfree", ostor_on_kfree, true);

	if (ret)
		return ret;
	ret = ostor_free_probe("kmem_cache_free", ostor_on_kmem_cache_free, true);
	if (ret) {
		ostor_free_probe("kfree", ostor_on_kfree, false);
		ostor_tracepoint_sync();
	}
	return ret;
}

static void ostor_free_hook_attach(struct work_struct *work)
{
	int ret = ostor_free_probes_attach();

	ostor_free_hook_attached = !ret;
	if (ret)
		pr_warn("another tracer covers bpf_sk_storage_free(): sockets that it frees in its callbacks may be missed (%d)\n",
			ret);
	else
		pr_notice("another tracer covers bpf_sk_storage_free(): every free is watched from now on\n");
}

static DECLARE_WORK(ostor_free_hook_work, ostor_free_hook_attach);

static void ostor_free_hook_queue(struct irq_work *work)
{
	schedule_work(&ostor_free_hook_work);
}

static struct irq_work ostor_free_hook_irq = IRQ_WORK_INIT(ostor_free_hook_queue);

void ostor_free_hook_prepare(void (*fn)(unsigned long addr))
{
	ostor_free_fn = fn;
}

void ostor_free_hook_request(void)
{
	irq_work_queue(&ostor_free_hook_irq);
}

#ifdef OSTOR_TEST
void ostor_free_hook_wait(void)
{
	irq_work_sync(&ostor_free_hook_irq);
	flush_work(&ostor_free_hook_work);
}
#endif

void ostor_free_hook_end(void)
{
	irq_work_sync(&ostor_free_hook_irq);
	cancel_work_sync(&ostor_free_hook_work);
	if (!ostor_free_hook_attached)
		return;
	ostor_free_probe("kmem_cache_free", ostor_on_kmem_cache_free, false);
	ostor_free_probe("kfree", ostor_on_kfree, false);
	ostor_tracepoint_sync();
	ostor_free_hook_attached = false;
}

/* The task does not count as load, and is not reported as hung. */
void ostor_sleep_idle(u32 seconds)
{
	schedule_timeout_idle(seconds * HZ);
}
