/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of a function inside operations of owner_storage, and in contexts of the
 * kernel. bindgen reads this header.
 */
#ifndef OSTOR_CONTEXTS_H
#define OSTOR_CONTEXTS_H

#include <linux/owner_storage_torture.h>
#include <linux/types.h>

#include "../rust/shim/events.h"

/* Calls @probe at a tracepoint of owner_storage. */
int ostor_event_register(u32 event, void (*probe)(void *data, unsigned long owner), void *data);
void ostor_event_unregister(u32 event, void (*probe)(void *data, unsigned long owner), void *data);

/* Waits until no probe runs. */
void ostor_event_sync(void);

/* Calls @fn(@data) inside the slab allocator, until the detach. */
void *ostor_alloc_hook_attach(void (*fn)(void *data), void *data);
void ostor_alloc_hook_detach(void *hook);

/*
 * A source calls @fn(@data) in a context, again and again, on those of @cpus (a bit
 * for each CPU below 64) that are online. It cannot be started if there is one of
 * its kind (EBUSY), or if this kernel has no such context (EOPNOTSUPP). When
 * ostor_source_stop() returns, no call is left. Both may sleep.
 *
 * With a period of 0, only ostor_source_raise() causes a call. It returns whether
 * there was one. It waits for the call on this CPU. An IPI goes to another CPU: it
 * waits until that call has begun, and for a moment after that.
 */
void *ostor_source_start(u32 number, u64 cpus, u64 period_ns,
			 void (*fn)(void *data), void *data);
void ostor_source_stop(void *source);
bool ostor_source_raise(void *source);

/* Whether the caller is in the context of such a source, as far as that can be seen. */
bool ostor_source_is_here(u32 number);

bool ostor_in_task(void);
u32 ostor_this_cpu(void);
bool ostor_cpu_online(u32 cpu);

#endif /* OSTOR_CONTEXTS_H */
