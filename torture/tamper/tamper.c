// SPDX-License-Identifier: GPL-2.0
/*
 * Does what an exploit does: writes the effective user id of a task in its place. For the
 * test of samples/task_guard.
 */

#include <linux/cred.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "The task that becomes root");

static int __init tamper_init(void)
{
	struct task_struct *task;
	struct cred *cred;

	guard(rcu)();
	task = pid_task(find_vpid(pid), PIDTYPE_PID);
	if (!task)
		return -ESRCH;
	cred = (struct cred *)__task_cred(task);
	cred->euid = GLOBAL_ROOT_UID;
	return 0;
}

static void __exit tamper_exit(void)
{
}

module_init(tamper_init);
module_exit(tamper_exit);
MODULE_DESCRIPTION("Overwrites the credentials of a task");
MODULE_LICENSE("GPL");
