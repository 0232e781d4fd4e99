/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of owner_storage by number. */
#ifndef OSTOR_EVENTS_H
#define OSTOR_EVENTS_H

#define OSTOR_EVENT_ENTER		0
#define OSTOR_EVENT_STORAGE_LOCKED	1
#define OSTOR_EVENT_BUCKET_LOCKED	2

#endif /* OSTOR_EVENTS_H */
