// SPDX-License-Identifier: GPL-2.0
/* A hook inside the slab allocator. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "contexts.h"

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
struct ostor_alloc_hook {
	struct ftrace_ops ops;
	void (*fn)(void *data);
	void *data;
};

static void notrace ostor_alloc_hook_enter(unsigned long ip, unsigned long parent_ip,
					   struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct ostor_alloc_hook *hook = container_of(ops, struct ostor_alloc_hook, ops);
	void (*fn)(void *data) = READ_ONCE(hook->fn);

	if (fn)
		fn(hook->data);
}

/*
 * The first two are where the storage's own allocations begin. The third is passed with a
 * lock of the allocator held; not every kernel has it.
 */
void *ostor_alloc_hook_attach(void (*fn)(void *data), void *data)
{
	static const char nolock[] = "_kmalloc_nolock_noprof";
	static const char entry[] = "__kmalloc_noprof";
	static const char locked[] = "__pcs_replace_empty_main";
	struct ostor_alloc_hook *hook __free(kfree) = kzalloc_obj(*hook);
	int ret;

	if (!hook)
		return ERR_PTR(-ENOMEM);
	hook->fn = fn;
	hook->data = data;
	hook->ops.func = ostor_alloc_hook_enter;
	if (ftrace_set_filter(&hook->ops, (unsigned char *)nolock, strlen(nolock), 1))
		return ERR_PTR(-EOPNOTSUPP);
	if (ftrace_set_filter(&hook->ops, (unsigned char *)entry, strlen(entry), 0)) {
		ftrace_free_filter(&hook->ops);
		return ERR_PTR(-EOPNOTSUPP);
	}
	ftrace_set_filter(&hook->ops, (unsigned char *)locked, strlen(locked), 0);
	ret = register_ftrace_function(&hook->ops);
	if (ret) {
		ftrace_free_filter(&hook->ops);
		return ERR_PTR(ret);
	}
	return no_free_ptr(hook);
}

/* Where it cannot be detached, it stays with nothing to call, and so does this module. */
void ostor_alloc_hook_detach(void *data)
{
	struct ostor_alloc_hook *hook = data;
	int ret = unregister_ftrace_function(&hook->ops);

	if (!ret) {
		ftrace_free_filter(&hook->ops);
		kfree(hook);
		return;
	}
	WRITE_ONCE(hook->fn, NULL);
	synchronize_rcu_tasks();
	__module_get(THIS_MODULE);
	pr_warn("the hook of the allocator cannot be detached (%d): no unloading before a reboot\n",
		ret);
}
#else
void *ostor_alloc_hook_attach(void (*fn)(void *data), void *data)
{
	return ERR_PTR(-EOPNOTSUPP);
}

void ostor_alloc_hook_detach(void *data)
{
}
#endif
