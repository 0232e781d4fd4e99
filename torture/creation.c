// SPDX-License-Identifier: GPL-2.0
/* Where the kernel's benchmark of creations has its programs, hooked by other means. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/tracepoint.h>

#include "shim.h"
#include "sources.h"

static struct tracepoint *ostor_fork_tracepoint(void)
{
	return ostor_kernel_tracepoint("sched_process_fork");
}

int ostor_fork_hook_attach(void (*probe)(void *data, struct task_struct *parent,
					 struct task_struct *child))
{
	struct tracepoint *tp = ostor_fork_tracepoint();

	return tp ? tracepoint_probe_register(tp, probe, NULL) : -EOPNOTSUPP;
}

void ostor_fork_hook_detach(void (*probe)(void *data, struct task_struct *parent,
					  struct task_struct *child))
{
	tracepoint_probe_unregister(ostor_fork_tracepoint(), probe, NULL);
	tracepoint_synchronize_unregister();
}

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
static void (*ostor_socket_fn)(struct socket *sock);

static void notrace ostor_socket_enter(unsigned long ip, unsigned long parent_ip,
				       struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	void (*fn)(struct socket *sock) = READ_ONCE(ostor_socket_fn);

	if (fn)
		fn((struct socket *)ftrace_regs_get_argument(fregs, 0));
}

static struct ftrace_ops ostor_socket_ops = { .func = ostor_socket_enter };

int ostor_socket_hook_attach(void (*fn)(struct socket *sock))
{
	static const char function[] = "sock_alloc_file";
	int ret;

	WRITE_ONCE(ostor_socket_fn, fn);
	ret = ftrace_set_filter(&ostor_socket_ops, (unsigned char *)function, strlen(function), 1);
	if (ret)
		return ret;
	ret = register_ftrace_function(&ostor_socket_ops);
	if (ret)
		ftrace_free_filter(&ostor_socket_ops);
	return ret;
}

/* Where it cannot be detached, it stays with nothing to call, and so does this module. */
void ostor_socket_hook_detach(void)
{
	int ret = unregister_ftrace_function(&ostor_socket_ops);

	if (!ret) {
		ftrace_free_filter(&ostor_socket_ops);
		return;
	}
	WRITE_ONCE(ostor_socket_fn, NULL);
	synchronize_rcu_tasks();
	__module_get(THIS_MODULE);
	pr_warn("the hook of sock_alloc_file() cannot be detached (%d): no unloading before a reboot\n",
		ret);
}
#else
int ostor_socket_hook_attach(void (*fn)(struct socket *sock))
{
	return -EOPNOTSUPP;
}

void ostor_socket_hook_detach(void)
{
}
#endif
