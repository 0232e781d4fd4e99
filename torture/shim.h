/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Rust code of the torture module cannot call itself: macros and static
 * inlines. bindgen reads this header.
 */
#ifndef OSTOR_TORTURE_SHIM_H
#define OSTOR_TORTURE_SHIM_H

#include <linux/types.h>
#include <asm/rqspinlock.h>

struct socket;
struct task_struct;

#include "contexts.h"

/* Interrupts of this CPU */
unsigned long ostor_irq_save(void);
void ostor_irq_restore(unsigned long flags);

void ostor_cond_resched(void);

/* Takes and releases the lock; false if that failed. */
bool ostor_lock_pair(rqspinlock_t *lock);

/* Allocates and frees without a lock; false if there was no memory. */
bool ostor_nolock_pair(size_t size);

/*
 * Hooks of the entry of sock_alloc_file() and of the tracepoint sched_process_fork, one
 * each at a time. Detaching one waits until it does not run.
 */
int ostor_socket_hook_attach(void (*fn)(struct socket *sock));
void ostor_socket_hook_detach(void);
int ostor_fork_hook_attach(void (*probe)(void *data, struct task_struct *parent,
					 struct task_struct *child));
void ostor_fork_hook_detach(void (*probe)(void *data, struct task_struct *parent,
					  struct task_struct *child));

/* The counter of this CPU, which keeps the caller on it. */
bool ostor_busy_enter(void);
void ostor_busy_leave(void);

#endif /* OSTOR_TORTURE_SHIM_H */
