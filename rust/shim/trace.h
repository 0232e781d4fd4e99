/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM owner_storage

#if !defined(OSTOR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define OSTOR_TRACE_H

#include <linux/tracepoint.h>

/* An operation on @owner passes a tracepoint. */
DECLARE_EVENT_CLASS(ostor_owner_event,
		    TP_PROTO(unsigned long owner),
		    TP_ARGS(owner),
		    TP_STRUCT__entry(__field(void *, owner)),
		    TP_fast_assign(__entry->owner = (void *)owner;),
		    TP_printk("owner=%p", __entry->owner)
);

/* A create, update or delete begins, and holds no lock. */
DEFINE_EVENT(ostor_owner_event, ostor_enter,
	     TP_PROTO(unsigned long owner),
	     TP_ARGS(owner)
);

/* This CPU has just taken the lock of the owner's storage. */
DEFINE_EVENT(ostor_owner_event, ostor_storage_locked,
	     TP_PROTO(unsigned long owner),
	     TP_ARGS(owner)
);

/* This CPU has just taken the lock of the owner's bucket in a map. */
DEFINE_EVENT(ostor_owner_event, ostor_bucket_locked,
	     TP_PROTO(unsigned long owner),
	     TP_ARGS(owner)
);

#endif /* OSTOR_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
