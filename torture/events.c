// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of owner_storage, and how a probe is attached to one. */
#include "../rust/shim/trace.h"

#include "contexts.h"

static struct tracepoint *ostor_event(u32 event)
{
	switch (event) {
	case OSTOR_EVENT_STORAGE_LOCKED:
		return &__tracepoint_ostor_storage_locked;
	case OSTOR_EVENT_BUCKET_LOCKED:
		return &__tracepoint_ostor_bucket_locked;
	default:
		return &__tracepoint_ostor_enter;
	}
}

int ostor_event_register(u32 event, void (*probe)(void *data, unsigned long owner), void *data)
{
	return tracepoint_probe_register(ostor_event(event), probe, data);
}

void ostor_event_unregister(u32 event, void (*probe)(void *data, unsigned long owner), void *data)
{
	tracepoint_probe_unregister(ostor_event(event), probe, data);
}

void ostor_event_sync(void)
{
	tracepoint_synchronize_unregister();
}
