// SPDX-License-Identifier: GPL-2.0
/*
 * Thread-specific data over owner_storage: a key is a map whose owners are threads.
 *
 * A table that is keyed by pid does not do. A pid is another thread's as soon as its
 * thread was reaped, and the table has to learn of every exit to forget it in time.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/owner_storage.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "tsd.h"

struct tsd_value {
	void (*destructor)(void *data);
	void *data;
};

/* Called once for each value, when its thread has gone or the key is deleted. */
static void tsd_drop(void *value)
{
	const struct tsd_value *old = value;

	if (old->data && old->destructor)
		old->destructor(old->data);
}

/* The memory is zeroed. */
static void tsd_init(void *value, void *key)
{
	((struct tsd_value *)value)->destructor = ((const struct tsd_key *)key)->destructor;
}

int tsd_create(struct tsd_key *key, void (*destructor)(void *data))
{
	key->map = owner_storage_map_create(sizeof(struct tsd_value), tsd_drop);
	key->destructor = destructor;
	return PTR_ERR_OR_ZERO(key->map);
}

void *tsd_get(struct tsd_key *key)
{
	struct tsd_value *value;

	guard(rcu)();
	value = owner_storage_task_get(key->map, current);
	return value ? READ_ONCE(value->data) : NULL;
}

int tsd_set(struct tsd_key *key, void *data)
{
	struct tsd_value *value;

	/* The value can be used until the end of this section. */
	guard(rcu)();
	value = owner_storage_task_get_or_create(key->map, current, tsd_init, key);
	if (IS_ERR(value))
		return PTR_ERR(value);
	/* No other thread writes it. An interrupt may. */
	WRITE_ONCE(value->data, data);
	return 0;
}

void tsd_delete(struct tsd_key *key)
{
	owner_storage_map_destroy(key->map);
}
