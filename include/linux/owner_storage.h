/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Owner-attached storage for modules in C: values that are attached to tasks,
 * cgroups, sockets, network namespaces, and objects of the module itself.
 *
 * A map holds at most one value per owner. A value ends with its owner, with its map,
 * or with the module that has created the map, whichever comes first.
 * Documentation/c-api.rst has a first module, and tables of contexts and lifetimes.
 *
 * The header has no layouts and no inline functions, so a module need not be built
 * again when owner_storage is.
 */
#ifndef _LINUX_OWNER_STORAGE_H
#define _LINUX_OWNER_STORAGE_H

#include <linux/export.h>
#include <linux/types.h>
#include <uapi/linux/owner_storage.h>

struct cgroup;
struct module;
struct net;
struct ostor_map;
struct ostor_reserve;
struct ostor_slot;
struct sock;
struct task_struct;

/**
 * typedef owner_storage_init_t - writes a new value
 * @value: memory for the value, aligned to 8 bytes and zeroed
 * @arg: the caller's argument
 *
 * Called by the thread that creates the value, before any other thread can find it, in
 * an RCU read section and in the context of the caller, with no lock of owner_storage
 * held. It must not sleep, and it cannot fail.
 */
typedef void (*owner_storage_init_t)(void *value, void *arg);

/**
 * typedef owner_storage_drop_t - releases what a value refers to
 * @value: the value. Its memory is freed after the return
 *
 * Called exactly once for each value that was made: by owner_storage_init_t(), of zeroes,
 * or by owner_storage_copy_t(). That holds also for a value that then was not stored.
 * It runs in a kworker and may sleep. No reader can find the value any more: a grace
 * period has passed. It may use all maps. owner_storage_map_destroy() does not wait
 * when it is called here.
 */
typedef void (*owner_storage_drop_t)(void *value);

/**
 * typedef owner_storage_copy_t - makes the value of a new socket
 * @to: memory for the value, aligned to 8 bytes. Its content is undefined
 * @from: the value of the listener
 * @size: size of a value in bytes
 *
 * Called when a listener accepts a connection, in any context that network code runs
 * in, with locks held. It must not sleep, and it cannot fail.
 */
typedef void (*owner_storage_copy_t)(void *to, const void *from, size_t size);

/**
 * typedef owner_storage_visit_t - looks at one value of a map
 * @value: the value
 * @kind: kind of its owner, one of OSTOR_KIND_*
 * @id: a task's thread id in the initial pid namespace, a cgroup's id, the cookie of a
 *	socket or network namespace, or the serial number of a slot
 * @arg: the caller's argument
 *
 * Called in an RCU read section, so it must not sleep. It may use all maps.
 *
 * Return: 0 to go on, any other value to stop.
 */
typedef int (*owner_storage_visit_t)(void *value, u32 kind, u64 id, void *arg);

struct ostor_map *__owner_storage_map_create(size_t value_size, owner_storage_drop_t drop,
					     struct module *module);

/**
 * owner_storage_map_create() - creates a map for the calling module
 * @value_size: size of a value in bytes, 1 to OSTOR_VALUE_SIZE_MAX
 * @drop: called once for each value, or NULL if values need no release
 *
 * Context: Process context. May sleep.
 *
 * Return: the map, or an ERR_PTR(): -EINVAL (size 0), -E2BIG (values too large to be
 * allocated in every context), -ENOMEM.
 */
#define owner_storage_map_create(value_size, drop) \
	__owner_storage_map_create(value_size, drop, THIS_MODULE)

struct ostor_map *__owner_storage_map_create_cloning(size_t value_size, owner_storage_drop_t drop,
						     owner_storage_copy_t copy,
						     struct module *module);

/**
 * owner_storage_map_create_cloning() - creates a map whose values accepted sockets inherit
 * @value_size: size of a value in bytes, 1 to OSTOR_VALUE_SIZE_MAX
 * @drop: called once for each value, or NULL if values need no release
 * @copy: makes the value of the new socket, or NULL to copy the bytes
 *
 * A TCP socket that is made for an accepted connection begins with a copy of its
 * listener's value. A copy for which there is no memory is left out, and counted.
 *
 * Context: Process context. May sleep.
 *
 * Return: as owner_storage_map_create(), and -EOPNOTSUPP on a kernel without the hooks
 * that this needs.
 */
#define owner_storage_map_create_cloning(value_size, drop, copy) \
	__owner_storage_map_create_cloning(value_size, drop, copy, THIS_MODULE)

/**
 * owner_storage_map_destroy() - ends a map with all its values
 * @map: the map, which must not be used again. NULL is ignored
 *
 * Waits until each value was given to the map's destructor and each byte was freed. In a
 * destructor it does not wait, since it might wait for itself.
 *
 * A map that is not destroyed is destroyed after the exit function of its module, or
 * after an init function that failed.
 *
 * Context: Process context. Sleeps for a grace period.
 */
void owner_storage_map_destroy(struct ostor_map *map);

/**
 * owner_storage_map_for_each() - visits the value of each owner
 * @map: the map
 * @visit: the function that is called for each value
 * @arg: passed to @visit
 *
 * A value that its owner has throughout is visited once. One that is created or deleted
 * meanwhile is visited at most once.
 *
 * Context: Process context, not in an RCU read section. May sleep between two calls of
 * @visit.
 *
 * Return: 0, or what @visit returned to stop.
 */
int owner_storage_map_for_each(struct ostor_map *map, owner_storage_visit_t visit, void *arg);

/**
 * owner_storage_flush() - waits until what is dead now is freed
 *
 * Waits for the destructors of all values that were deleted or replaced, or have ended
 * with their owners, before the call, in all maps. A value whose lock is held for long
 * can be left.
 *
 * Context: Process context, not in an RCU read section, and not in a destructor. Sleeps
 * for a grace period.
 */
void owner_storage_flush(void);

/**
 * owner_storage_reserve_create() - allocates memory for creates that must not fail
 * @map: the map. The memory is for values of the size that this map has
 * @creates: the number of creates that there shall be memory for
 *
 * The functions owner_storage_*_get_or_create_from() take memory from a reserve. One
 * thread uses a reserve at a time: the module has a lock for it, or one for each CPU.
 *
 * The reserve does not refer to @map. It serves all maps with values of this size, and
 * may be destroyed before or after them.
 *
 * Context: Process context. May sleep.
 *
 * Return: the reserve, or an ERR_PTR(): -ENOMEM.
 */
struct ostor_reserve *owner_storage_reserve_create(struct ostor_map *map, size_t creates);

/**
 * owner_storage_reserve_fill() - allocates memory for what creates have used up
 * @reserve: the reserve, which no other thread uses meanwhile
 * @creates: the number of creates that there shall be memory for
 *
 * Context: Process context. May sleep.
 *
 * Return: 0 or -ENOMEM. What was allocated before a failure stays in the reserve.
 */
int owner_storage_reserve_fill(struct ostor_reserve *reserve, size_t creates);

/**
 * owner_storage_reserve_left() - tells for how many creates there is memory
 * @reserve: the reserve, which no other thread uses meanwhile
 *
 * Context: Any context.
 *
 * Return: the number of creates.
 */
size_t owner_storage_reserve_left(const struct ostor_reserve *reserve);

/**
 * owner_storage_reserve_destroy() - frees a reserve
 * @reserve: the reserve, which must not be used again. NULL is ignored
 *
 * Context: Any context in which kfree() can be called.
 */
void owner_storage_reserve_destroy(struct ostor_reserve *reserve);

/**
 * owner_storage_task_get() - finds the value of a task
 * @map: the map
 * @task: the task. The caller has a reference, or has found it in this RCU read section
 *
 * Takes no lock. The value can be used until the end of the caller's RCU read section,
 * also if it is deleted meanwhile. Other threads may have it at the same time: the
 * module itself orders their accesses to what changes in it.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or NULL if there is none.
 */
void *owner_storage_task_get(struct ostor_map *map, struct task_struct *task);

/**
 * owner_storage_task_get_or_create() - finds the value of a task, or creates it
 * @map: the map
 * @task: the task, as for owner_storage_task_get()
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * Several callers that create the value at the same time all get the same one. @init may
 * have been called for a value that is not that one.
 *
 * Takes the lock of the owner's storage if there is no value: an rqspinlock, which fails
 * where another lock would hang. The value is charged to the memory cgroup of the task.
 * It can be used until the end of the caller's RCU read section.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or an ERR_PTR(): -ENOMEM (no memory without waiting, or the owner
 * has reached its limit; Documentation/contexts.rst says where that is always so),
 * -EDEADLK (this CPU holds the lock: recursion), -ETIMEDOUT (the lock's holder is stuck),
 * -ESRCH (the owner is dead, dying or unfinished), -EOPNOTSUPP (this kernel does not tell
 * of the end of such owners).
 */
void *owner_storage_task_get_or_create(struct ostor_map *map, struct task_struct *task,
				       owner_storage_init_t init, void *arg);

/**
 * owner_storage_task_get_or_create_from() - as get_or_create, without need of memory
 * @map: the map
 * @task: the task, as for owner_storage_task_get()
 * @reserve: where the memory of a new value comes from
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create(), with memory of @reserve: a new value uses up the
 * memory for one create, also if it is not stored after all. The memory is charged to no
 * memory cgroup. A value that is found uses up nothing.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or an ERR_PTR() as owner_storage_task_get_or_create(). There is no
 * -ENOMEM as long as owner_storage_reserve_left() is above 0, if the reserve was created
 * for values of this size.
 */
void *owner_storage_task_get_or_create_from(struct ostor_map *map, struct task_struct *task,
					    struct ostor_reserve *reserve,
					    owner_storage_init_t init, void *arg);

/**
 * owner_storage_task_update() - stores a new value for a task
 * @map: the map
 * @task: the task, as for owner_storage_task_get()
 * @flags: OSTOR_ANY to create the value or replace it, OSTOR_NOEXIST to create it only,
 *	or OSTOR_EXIST to replace it only
 * @init: writes the new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * Readers find the old value or the new one, whole. The old one is dropped a grace period
 * later. An update that fails has changed nothing, but @init may have been called. The new
 * value is dropped then.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: 0, or an error: as owner_storage_task_get_or_create(), and -EINVAL (@flags),
 * -EEXIST or -ENOENT (@flags does not allow it).
 */
int owner_storage_task_update(struct ostor_map *map, struct task_struct *task, unsigned int flags,
			      owner_storage_init_t init, void *arg);

/**
 * owner_storage_task_delete() - deletes the value of a task
 * @map: the map
 * @task: the task, as for owner_storage_task_get()
 *
 * Of several threads that delete a value at the same time, one gets it. It never fails
 * because a lock is not available. The value can be used until the end of the caller's
 * RCU read section, and is dropped a grace period later.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value that was deleted, or NULL if there was none.
 */
void *owner_storage_task_delete(struct ostor_map *map, struct task_struct *task);

/**
 * owner_storage_cgroup_get() - finds the value of a cgroup
 * @map: the map
 * @cgroup: the cgroup, of version 1 or 2. The caller has a reference, or has found it in
 *	this RCU read section
 *
 * As owner_storage_task_get().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or NULL if there is none.
 */
void *owner_storage_cgroup_get(struct ostor_map *map, struct cgroup *cgroup);

/**
 * owner_storage_cgroup_get_or_create() - finds the value of a cgroup, or creates it
 * @map: the map
 * @cgroup: the cgroup, as for owner_storage_cgroup_get()
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create(). The value is charged to the memory cgroup that
 * governs @cgroup. A cgroup that was removed is dying: it keeps its value until its last
 * reference is put, and gets no new one.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or an ERR_PTR() as owner_storage_task_get_or_create().
 */
void *owner_storage_cgroup_get_or_create(struct ostor_map *map, struct cgroup *cgroup,
					 owner_storage_init_t init, void *arg);

/**
 * owner_storage_cgroup_get_or_create_from() - as get_or_create, without need of memory
 * @map: the map
 * @cgroup: the cgroup, as for owner_storage_cgroup_get()
 * @reserve: where the memory of a new value comes from
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create_from().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: as owner_storage_task_get_or_create_from().
 */
void *owner_storage_cgroup_get_or_create_from(struct ostor_map *map, struct cgroup *cgroup,
					      struct ostor_reserve *reserve,
					      owner_storage_init_t init, void *arg);

/**
 * owner_storage_cgroup_update() - stores a new value for a cgroup
 * @map: the map
 * @cgroup: the cgroup, as for owner_storage_cgroup_get()
 * @flags: OSTOR_ANY, OSTOR_NOEXIST or OSTOR_EXIST
 * @init: writes the new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_update().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: 0, or an error as owner_storage_task_update().
 */
int owner_storage_cgroup_update(struct ostor_map *map, struct cgroup *cgroup, unsigned int flags,
				owner_storage_init_t init, void *arg);

/**
 * owner_storage_cgroup_delete() - deletes the value of a cgroup
 * @map: the map
 * @cgroup: the cgroup, as for owner_storage_cgroup_get()
 *
 * As owner_storage_task_delete().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value that was deleted, or NULL if there was none.
 */
void *owner_storage_cgroup_delete(struct ostor_map *map, struct cgroup *cgroup);

/**
 * owner_storage_sock_get() - finds the value of a socket
 * @map: the map
 * @sk: the socket, of any family. The caller has a reference
 *
 * As owner_storage_task_get().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or NULL if there is none.
 */
void *owner_storage_sock_get(struct ostor_map *map, struct sock *sk);

/**
 * owner_storage_sock_get_or_create() - finds the value of a socket, or creates it
 * @map: the map
 * @sk: the socket, as for owner_storage_sock_get()
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create(). The value is charged to the option memory of the
 * socket, which net.core.optmem_max limits. Request and timewait sockets are refused with
 * -ESRCH.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or an ERR_PTR() as owner_storage_task_get_or_create().
 */
void *owner_storage_sock_get_or_create(struct ostor_map *map, struct sock *sk,
				       owner_storage_init_t init, void *arg);

/**
 * owner_storage_sock_get_or_create_from() - as get_or_create, without need of memory
 * @map: the map
 * @sk: the socket, as for owner_storage_sock_get()
 * @reserve: where the memory of a new value comes from
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create_from(). A socket is charged as by
 * owner_storage_sock_get_or_create().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: as owner_storage_task_get_or_create_from(), and -ENOMEM for a socket at its limit.
 */
void *owner_storage_sock_get_or_create_from(struct ostor_map *map, struct sock *sk,
					    struct ostor_reserve *reserve,
					    owner_storage_init_t init, void *arg);

/**
 * owner_storage_sock_update() - stores a new value for a socket
 * @map: the map
 * @sk: the socket, as for owner_storage_sock_get()
 * @flags: OSTOR_ANY, OSTOR_NOEXIST or OSTOR_EXIST
 * @init: writes the new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_update().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: 0, or an error as owner_storage_task_update().
 */
int owner_storage_sock_update(struct ostor_map *map, struct sock *sk, unsigned int flags,
			      owner_storage_init_t init, void *arg);

/**
 * owner_storage_sock_delete() - deletes the value of a socket
 * @map: the map
 * @sk: the socket, as for owner_storage_sock_get()
 *
 * As owner_storage_task_delete().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value that was deleted, or NULL if there was none.
 */
void *owner_storage_sock_delete(struct ostor_map *map, struct sock *sk);

/**
 * owner_storage_net_get() - finds the value of a network namespace
 * @map: the map
 * @net: the namespace. The caller has a reference, or has found it in this RCU read
 *	section
 *
 * As owner_storage_task_get().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or NULL if there is none.
 */
void *owner_storage_net_get(struct ostor_map *map, struct net *net);

/**
 * owner_storage_net_get_or_create() - finds the value of a network namespace, or creates it
 * @map: the map
 * @net: the namespace, as for owner_storage_net_get()
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create(). The value is charged to no memory cgroup.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or an ERR_PTR() as owner_storage_task_get_or_create().
 */
void *owner_storage_net_get_or_create(struct ostor_map *map, struct net *net,
				      owner_storage_init_t init, void *arg);

/**
 * owner_storage_net_get_or_create_from() - as get_or_create, without need of memory
 * @map: the map
 * @net: the namespace, as for owner_storage_net_get()
 * @reserve: where the memory of a new value comes from
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create_from().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: as owner_storage_task_get_or_create_from().
 */
void *owner_storage_net_get_or_create_from(struct ostor_map *map, struct net *net,
					   struct ostor_reserve *reserve,
					   owner_storage_init_t init, void *arg);

/**
 * owner_storage_net_update() - stores a new value for a network namespace
 * @map: the map
 * @net: the namespace, as for owner_storage_net_get()
 * @flags: OSTOR_ANY, OSTOR_NOEXIST or OSTOR_EXIST
 * @init: writes the new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_update().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: 0, or an error as owner_storage_task_update().
 */
int owner_storage_net_update(struct ostor_map *map, struct net *net, unsigned int flags,
			     owner_storage_init_t init, void *arg);

/**
 * owner_storage_net_delete() - deletes the value of a network namespace
 * @map: the map
 * @net: the namespace, as for owner_storage_net_get()
 *
 * As owner_storage_task_delete().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value that was deleted, or NULL if there was none.
 */
void *owner_storage_net_delete(struct ostor_map *map, struct net *net);

/**
 * owner_storage_slot_create() - creates a slot, which makes an object of a module an owner
 *
 * The object has a pointer to the slot, which stands for the object in the functions
 * below. The module ends the slot before it frees the object: by
 * owner_storage_slot_destroy(), or by owner_storage_slot_begin_end() and, a grace period
 * later, owner_storage_slot_end().
 *
 * Context: Process context. May sleep.
 *
 * Return: the slot, or NULL if there is no memory.
 */
struct ostor_slot *owner_storage_slot_create(void);

/**
 * owner_storage_slot_begin_end() - refuses values from now on
 * @slot: the slot
 *
 * An operation that has begun before may still store a value, until a grace period has
 * passed. Values that are stored stay until the slot ends.
 *
 * Context: Any context.
 */
void owner_storage_slot_begin_end(struct ostor_slot *slot);

/**
 * owner_storage_slot_end() - ends all values of a slot, and frees it
 * @slot: the slot, which must not be used again. A grace period has passed since
 *	owner_storage_slot_begin_end() returned
 *
 * Context: Any context in which kfree() can be called: an RCU callback, for example.
 */
void owner_storage_slot_end(struct ostor_slot *slot);

/**
 * owner_storage_slot_destroy() - ends all values of a slot, waits for readers, and frees it
 * @slot: the slot. No thread begins to use it after the call. NULL is ignored
 *
 * Context: Process context. Sleeps for a grace period.
 */
void owner_storage_slot_destroy(struct ostor_slot *slot);

/**
 * owner_storage_slot_get() - finds the value of a slot
 * @map: the map
 * @slot: the slot. It does not end before this RCU read section does
 *
 * As owner_storage_task_get().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or NULL if there is none.
 */
void *owner_storage_slot_get(struct ostor_map *map, struct ostor_slot *slot);

/**
 * owner_storage_slot_get_or_create() - finds the value of a slot, or creates it
 * @map: the map
 * @slot: the slot, as for owner_storage_slot_get()
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create(). The value is charged to no memory cgroup.
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value, or an ERR_PTR() as owner_storage_task_get_or_create().
 */
void *owner_storage_slot_get_or_create(struct ostor_map *map, struct ostor_slot *slot,
				       owner_storage_init_t init, void *arg);

/**
 * owner_storage_slot_get_or_create_from() - as get_or_create, without need of memory
 * @map: the map
 * @slot: the slot, as for owner_storage_slot_get()
 * @reserve: where the memory of a new value comes from
 * @init: writes a new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_get_or_create_from().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: as owner_storage_task_get_or_create_from().
 */
void *owner_storage_slot_get_or_create_from(struct ostor_map *map, struct ostor_slot *slot,
					    struct ostor_reserve *reserve,
					    owner_storage_init_t init, void *arg);

/**
 * owner_storage_slot_update() - stores a new value for a slot
 * @map: the map
 * @slot: the slot, as for owner_storage_slot_get()
 * @flags: OSTOR_ANY, OSTOR_NOEXIST or OSTOR_EXIST
 * @init: writes the new value, or NULL for zeroes
 * @arg: passed to @init
 *
 * As owner_storage_task_update().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: 0, or an error as owner_storage_task_update().
 */
int owner_storage_slot_update(struct ostor_map *map, struct ostor_slot *slot, unsigned int flags,
			      owner_storage_init_t init, void *arg);

/**
 * owner_storage_slot_delete() - deletes the value of a slot
 * @map: the map
 * @slot: the slot, as for owner_storage_slot_get()
 *
 * As owner_storage_task_delete().
 *
 * Context: Any context. The caller must be in an RCU read section.
 *
 * Return: the value that was deleted, or NULL if there was none.
 */
void *owner_storage_slot_delete(struct ostor_map *map, struct ostor_slot *slot);

#endif /* _LINUX_OWNER_STORAGE_H */
