/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What calls a function inside operations of owner_storage, and in the kernel's
 * contexts. bindgen reads this header.
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

/* Has @fn called with @data inside the slab allocator. */
void *ostor_alloc_hook_attach(void (*fn)(void *data), void *data);
void ostor_alloc_hook_detach(void *hook);

/*
 * What calls @fn(@data) in a context, again and again, on those of @cpus (a bit
 * each, below 64) that are online. There is one of each kind at a time: EBUSY;
 * EOPNOTSUPP if this kernel has none. When the stop returns, no call is under
 * way. Both may sleep.
 *
 * With a period of 0 there is no call but those that are asked for by a raise,
 * which returns whether there was one: on this CPU it waits for it; an IPI goes to
 * another CPU, and is waited for until that has begun and has had a moment.
 */
void *ostor_source_start(u32 number, u64 cpus, u64 period_ns,
			 void (*fn)(void *data), void *data);
void ostor_source_stop(void *source);
bool ostor_source_raise(void *source);

/* Whether this is the context of such a source, as far as it can be told. */
bool ostor_source_is_here(u32 number);

bool ostor_in_task(void);
u32 ostor_this_cpu(void);
bool ostor_cpu_online(u32 cpu);

#endif /* OSTOR_CONTEXTS_H */
