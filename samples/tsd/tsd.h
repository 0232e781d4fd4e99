/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Thread-specific data, as pthread_key_create() and its relatives have it: each thread
 * has a pointer of its own for each key, NULL at first.
 */
#ifndef TSD_H
#define TSD_H

struct ostor_map;

/**
 * struct tsd_key - a key, for tsd_create() to initialise
 * @map: the values
 * @destructor: called for each pointer that is not NULL
 */
struct tsd_key {
	struct ostor_map *map;
	void (*destructor)(void *data);
};

/**
 * tsd_create() - creates a key
 * @key: the key. It must stay until it is deleted
 * @destructor: called once for each pointer that is left when its thread has gone, or
 *	when the key is deleted; in a kworker, where it may sleep. NULL if there is
 *	nothing to do
 *
 * Return: 0, or -ENOMEM.
 */
int tsd_create(struct tsd_key *key, void (*destructor)(void *data));

/**
 * tsd_get() - returns the pointer of the current thread
 * @key: the key
 *
 * Context: Any context. In an interrupt, the current thread is the interrupted one.
 */
void *tsd_get(struct tsd_key *key);

/**
 * tsd_set() - sets the pointer of the current thread
 * @key: the key
 * @data: the pointer. The one before is not given to the destructor
 *
 * Context: Any context.
 *
 * Return: 0, or an error of owner_storage_task_get_or_create().
 */
int tsd_set(struct tsd_key *key, void *data);

/**
 * tsd_delete() - deletes a key with the pointers of all threads
 * @key: the key, which no thread uses any more
 *
 * Returns when all destructors have returned. pthread_key_delete() calls none: a process
 * can leak what it likes. A module cannot.
 *
 * Context: Process context. Sleeps for a grace period.
 */
void tsd_delete(struct tsd_key *key);

#endif /* TSD_H */
