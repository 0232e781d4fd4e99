// SPDX-License-Identifier: GPL-2.0
#ifndef CONFIG_TRACEPOINTS
#error "owner_storage needs CONFIG_TRACEPOINTS: tracepoints are its notices of death"
#endif

#include <linux/cleanup.h>
#include <linux/ftrace.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

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

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
/* With its filter set. */
static int ostor_ops_attach(struct ftrace_ops *ops)
{
	int ret = register_ftrace_function(ops);

	if (ret)
		ftrace_free_filter(ops);
	return ret;
}

static void ostor_ops_detach(struct ftrace_ops *ops)
{
	unregister_ftrace_function(ops);
	ftrace_free_filter(ops);
}

struct ostor_entry_hook {
	struct ftrace_ops ops;
	void (*fn)(unsigned long arg0, unsigned long arg1);
};

static void notrace ostor_entry_hook_enter(unsigned long ip, unsigned long parent_ip,
					   struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct ostor_entry_hook *hook = container_of(ops, struct ostor_entry_hook, ops);

	hook->fn(ftrace_regs_get_argument(fregs, 0), ftrace_regs_get_argument(fregs, 1));
}

/*
 * PERMANENT: /proc/sys/kernel/ftrace_enabled must not silence it. Not RECURSION:
 * ftrace would drop the second of two nested calls without a word.
 */
void *ostor_entry_hook_attach(const char *function,
			      void (*fn)(unsigned long arg0, unsigned long arg1))
{
	struct ostor_entry_hook *hook __free(kfree) = kzalloc_obj(*hook);
	int ret;

	if (!hook)
		return ERR_PTR(-ENOMEM);
	hook->fn = fn;
	hook->ops.func = ostor_entry_hook_enter;
	hook->ops.flags = FTRACE_OPS_FL_PERMANENT;
	ret = ftrace_set_filter(&hook->ops, (unsigned char *)function, strlen(function), 1);
	if (ret)
		return ERR_PTR(ret);
	ret = ostor_ops_attach(&hook->ops);
	if (ret)
		return ERR_PTR(ret);
	return no_free_ptr(hook);
}

void ostor_entry_hook_detach(void *data)
{
	struct ostor_entry_hook *hook = data;

	ostor_ops_detach(&hook->ops);
	kfree(hook);
}

struct ostor_alloc_hook {
	struct ftrace_ops ops;
	void (*fn)(void *data);
	void *data;
};

static void notrace ostor_alloc_hook_enter(unsigned long ip, unsigned long parent_ip,
					   struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct ostor_alloc_hook *hook = container_of(ops, struct ostor_alloc_hook, ops);

	hook->fn(hook->data);
}

/*
 * The first is where our own allocations begin. The second is passed with a
 * lock of the allocator held; not every kernel has it.
 */
void *ostor_alloc_hook_attach(void (*fn)(void *data), void *data)
{
	static const char entry[] = "_kmalloc_nolock_noprof";
	static const char locked[] = "__pcs_replace_empty_main";
	struct ostor_alloc_hook *hook __free(kfree) = kzalloc_obj(*hook);
	int ret;

	if (!hook)
		return ERR_PTR(-ENOMEM);
	hook->fn = fn;
	hook->data = data;
	hook->ops.func = ostor_alloc_hook_enter;
	ret = ftrace_set_filter(&hook->ops, (unsigned char *)entry, strlen(entry), 1);
	if (ret)
		return ERR_PTR(-EOPNOTSUPP);
	ftrace_set_filter(&hook->ops, (unsigned char *)locked, strlen(locked), 0);
	ret = ostor_ops_attach(&hook->ops);
	if (ret)
		return ERR_PTR(ret);
	return no_free_ptr(hook);
}

void ostor_alloc_hook_detach(void *data)
{
	struct ostor_alloc_hook *hook = data;

	ostor_ops_detach(&hook->ops);
	kfree(hook);
}
#else
void *ostor_entry_hook_attach(const char *function,
			      void (*fn)(unsigned long arg0, unsigned long arg1))
{
	return ERR_PTR(-EOPNOTSUPP);
}

void ostor_entry_hook_detach(void *data)
{
}

void *ostor_alloc_hook_attach(void (*fn)(void *data), void *data)
{
	return ERR_PTR(-EOPNOTSUPP);
}

void ostor_alloc_hook_detach(void *data)
{
}
#endif
