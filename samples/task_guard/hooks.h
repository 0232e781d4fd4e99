/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What guard.rs needs of C: hooks of the kernel, and macros of its headers.
 */
#ifndef TASK_GUARD_HOOKS_H
#define TASK_GUARD_HOOKS_H

#include <linux/types.h>

struct task_struct;

/* The ids of a task, and its effective capabilities. "Ids" in guard.rs. */
struct guard_ids {
	u32 id[8];
	u64 effective;
};

/* In hooks.c. */
int guard_attach(const void *guard);
void guard_detach(void);
void guard_ids_of(struct task_struct *task, struct guard_ids *ids);
void guard_visit_tasks(void (*visit)(void *data, struct task_struct *task), void *data);

/* In guard.rs. Any context. @guard is that of guard_attach(). */
void guard_on_fork(const void *guard, struct task_struct *child);
void guard_on_commit(const void *guard, const struct guard_ids *next);
void guard_on_committed(const void *guard);

#endif
