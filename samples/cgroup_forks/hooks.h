/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints that forks.rs counts at, with the cgroup of the task.
 */
#ifndef CGROUP_FORKS_HOOKS_H
#define CGROUP_FORKS_HOOKS_H

#include <linux/types.h>

struct cgroup;

/* In hooks.c. */
int forks_attach(const void *counter);
void forks_detach(const void *counter);

/*
 * In forks.rs. Process context, without preemption. The caller has a reference to the cgroup.
 * @counter is that of forks_attach().
 */
void forks_count(const void *counter, struct cgroup *cgroup, bool is_exec);

#endif
