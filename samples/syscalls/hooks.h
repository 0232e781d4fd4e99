/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What calls.rs needs of C: tracepoints, a counter for each CPU, and the name of a task.
 */
#ifndef SYSCALLS_HOOKS_H
#define SYSCALLS_HOOKS_H

#include <linux/types.h>

/* In hooks.c. */
int syscalls_attach(const void *calls);
void syscalls_detach(const void *calls);
u64 syscalls_now(void);
void syscalls_count(u32 bucket);
u64 syscalls_counted(u32 bucket);
void syscalls_name_of(pid_t pid, char *comm);

/* In calls.rs. Process context. @calls is that of syscalls_attach(). */
void syscalls_enter(const void *calls, int number);
void syscalls_leave(const void *calls);
void syscalls_end(const void *calls);

#endif
