// SPDX-License-Identifier: GPL-2.0
/*
 * The functions by which BPF programs use the maps of /dev/owner_storage.
 *
 * They are C, since pahole generates no BTF for Rust. Each passes its arguments on to
 * the function of rust/device/bpf.rs that has its name after two underscores.
 *
 * The verifier gives a program no map, and no owner, that is not valid under RCU, and
 * refuses a call outside an RCU read section: KF_RCU, KF_RCU_PROTECTED. Both flavours
 * of the module have the same names, so that a program runs on either: the loader
 * refuses the second flavour.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/cfi.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <net/sock.h>

#include "shim.h"

/* Sockets whose last reference an update had, linked by their sk_rcu. */
static LLIST_HEAD(ostor_late_socks);

/*
 * Takes a reference, which keeps the notice of death away. A tracepoint can pass a
 * request or timewait socket as a struct sock.
 */
static bool ostor_bpf_sock_hold(struct sock *sk)
{
	return sk_fullsock(sk) && refcount_inc_not_zero(&sk->sk_refcnt);
}

/*
 * Puts the reference. The last put would free the socket, which an NMI, an interrupt
 * and a holder of locks must not do: a kworker does it. sk_rcu is in use after the
 * last put only.
 */
static void ostor_bpf_sock_put(struct sock *sk)
{
	if (refcount_dec_not_one(&sk->sk_refcnt))
		return;
	llist_add((struct llist_node *)&sk->sk_rcu, &ostor_late_socks);
	__ostor_bpf_queue_ends();
}

void ostor_bpf_put_late_socks(void)
{
	struct llist_node *node = llist_del_all(&ostor_late_socks);

	while (node) {
		struct sock *sk = container_of((struct rcu_head *)node, struct sock, sk_rcu);

		node = node->next;
		sock_put(sk);
	}
}

__bpf_kfunc_start_defs();

/**
 * ostor_bpf_map_borrow() - find a map for the rest of the RCU read section
 * @id: its number, see struct ostor_map_info
 *
 * Return: the map, or NULL if there is none or it has ended.
 */
__bpf_kfunc struct ostor_bpf_map *ostor_bpf_map_borrow(u64 id)
{
	return __ostor_bpf_map_borrow(id);
}

/**
 * ostor_bpf_map_acquire() - take a reference to a map
 * @id: its number
 *
 * The map does not end before ostor_bpf_map_release(), even if its file is closed.
 *
 * Return: the map, or NULL if there is none or it has ended.
 */
__bpf_kfunc struct ostor_bpf_map *ostor_bpf_map_acquire(u64 id)
{
	return __ostor_bpf_map_acquire(id);
}

/**
 * ostor_bpf_map_release() - put a reference to a map
 * @map: the map. If its file is closed and this was the last reference, a kworker ends it
 */
__bpf_kfunc void ostor_bpf_map_release(struct ostor_bpf_map *map)
{
	__ostor_bpf_map_release(map);
}

/* For a reference that is left in a BPF map. */
__bpf_kfunc void ostor_bpf_map_release_dtor(void *map)
{
	__ostor_bpf_map_release(map);
}

CFI_NOSEAL(ostor_bpf_map_release_dtor);

/**
 * ostor_bpf_task_get() - copy a task's value
 * @map: the map
 * @task: the task
 * @value: where to
 * @value__sz: the map's value size
 *
 * Return: 0, -ENOENT without a value, -EINVAL for another size.
 */
__bpf_kfunc int ostor_bpf_task_get(struct ostor_bpf_map *map, struct task_struct *task,
				   void *value, u32 value__sz)
{
	return __ostor_bpf_task_get(map, task, value, value__sz);
}

/**
 * ostor_bpf_task_peek() - find a task's value
 * @map: the map
 * @task: the task
 * @rdonly_buf_size: how much of the value to read, a constant
 *
 * The bytes do not change: an update makes a new value. They can be read until the end
 * of the RCU read section.
 *
 * Return: the value, or NULL without one, or if @rdonly_buf_size exceeds the value size.
 */
__bpf_kfunc const u8 *ostor_bpf_task_peek(struct ostor_bpf_map *map, struct task_struct *task,
					  const u32 rdonly_buf_size)
{
	return __ostor_bpf_task_peek(map, task, rdonly_buf_size);
}

/**
 * ostor_bpf_task_get_or_create() - copy a task's value, or create it
 * @map: the map
 * @task: the task
 * @value: the value to create. The stored value is copied there
 * @value__sz: the map's value size
 *
 * CPUs that call this at the same time all get the same value.
 *
 * Return: 1 if this call has created the value, 0 if there was one, or as
 * ostor_bpf_task_update().
 */
__bpf_kfunc int ostor_bpf_task_get_or_create(struct ostor_bpf_map *map, struct task_struct *task,
					     void *value, u32 value__sz)
{
	return __ostor_bpf_task_get_or_create(map, task, value, value__sz);
}

/**
 * ostor_bpf_task_update() - store a task's value
 * @map: the map
 * @task: the task
 * @value: the value
 * @value__sz: the map's value size
 * @flags: OSTOR_ANY, OSTOR_NOEXIST or OSTOR_EXIST
 *
 * Return: 0, or a negative errno value, as OSTOR_IOC_UPDATE: EINVAL, ENOENT, EEXIST,
 * ESRCH, EOPNOTSUPP, ENOMEM, EDEADLK, ETIMEDOUT.
 */
__bpf_kfunc int ostor_bpf_task_update(struct ostor_bpf_map *map, struct task_struct *task,
				      void *value, u32 value__sz, u64 flags)
{
	return __ostor_bpf_task_update(map, task, value, value__sz, flags);
}

/**
 * ostor_bpf_task_delete() - delete a task's value
 * @map: the map
 * @task: the task
 *
 * Return: 0, or -ENOENT without a value. No lock makes it fail.
 */
__bpf_kfunc int ostor_bpf_task_delete(struct ostor_bpf_map *map, struct task_struct *task)
{
	return __ostor_bpf_task_delete(map, task);
}

/* Likewise for cgroups, of version 1 and 2. */

__bpf_kfunc int ostor_bpf_cgroup_get(struct ostor_bpf_map *map, struct cgroup *cgrp,
				     void *value, u32 value__sz)
{
	return __ostor_bpf_cgroup_get(map, cgrp, value, value__sz);
}

__bpf_kfunc const u8 *ostor_bpf_cgroup_peek(struct ostor_bpf_map *map, struct cgroup *cgrp,
					    const u32 rdonly_buf_size)
{
	return __ostor_bpf_cgroup_peek(map, cgrp, rdonly_buf_size);
}

__bpf_kfunc int ostor_bpf_cgroup_get_or_create(struct ostor_bpf_map *map, struct cgroup *cgrp,
					       void *value, u32 value__sz)
{
	return __ostor_bpf_cgroup_get_or_create(map, cgrp, value, value__sz);
}

__bpf_kfunc int ostor_bpf_cgroup_update(struct ostor_bpf_map *map, struct cgroup *cgrp,
					void *value, u32 value__sz, u64 flags)
{
	return __ostor_bpf_cgroup_update(map, cgrp, value, value__sz, flags);
}

__bpf_kfunc int ostor_bpf_cgroup_delete(struct ostor_bpf_map *map, struct cgroup *cgrp)
{
	return __ostor_bpf_cgroup_delete(map, cgrp);
}

/* Likewise for full sockets. A socket whose last reference is gone is dead: -ESRCH. */

__bpf_kfunc int ostor_bpf_sock_get(struct ostor_bpf_map *map, struct sock *sk,
				   void *value, u32 value__sz)
{
	return __ostor_bpf_sock_get(map, sk, value, value__sz);
}

__bpf_kfunc const u8 *ostor_bpf_sock_peek(struct ostor_bpf_map *map, struct sock *sk,
					  const u32 rdonly_buf_size)
{
	return __ostor_bpf_sock_peek(map, sk, rdonly_buf_size);
}

__bpf_kfunc int ostor_bpf_sock_get_or_create(struct ostor_bpf_map *map, struct sock *sk,
					     void *value, u32 value__sz)
{
	int ret;

	if (!ostor_bpf_sock_hold(sk))
		return -ESRCH;
	ret = __ostor_bpf_sock_get_or_create(map, sk, value, value__sz);
	ostor_bpf_sock_put(sk);
	return ret;
}

__bpf_kfunc int ostor_bpf_sock_update(struct ostor_bpf_map *map, struct sock *sk,
				      void *value, u32 value__sz, u64 flags)
{
	int ret;

	if (!ostor_bpf_sock_hold(sk))
		return -ESRCH;
	ret = __ostor_bpf_sock_update(map, sk, value, value__sz, flags);
	ostor_bpf_sock_put(sk);
	return ret;
}

__bpf_kfunc int ostor_bpf_sock_delete(struct ostor_bpf_map *map, struct sock *sk)
{
	return __ostor_bpf_sock_delete(map, sk);
}

__bpf_kfunc_end_defs();

#define OSTOR_KFUNC(name, flags) BTF_ID_FLAGS(func, ostor_bpf_##name, flags)

BTF_KFUNCS_START(ostor_kfuncs)
OSTOR_KFUNC(map_borrow, KF_RET_NULL | KF_RCU_PROTECTED)
OSTOR_KFUNC(map_acquire, KF_ACQUIRE | KF_RET_NULL)
OSTOR_KFUNC(map_release, KF_RELEASE)
OSTOR_KFUNC(task_get, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(task_peek, KF_RCU | KF_RCU_PROTECTED | KF_RET_NULL)
OSTOR_KFUNC(task_get_or_create, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(task_update, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(task_delete, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(cgroup_get, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(cgroup_peek, KF_RCU | KF_RCU_PROTECTED | KF_RET_NULL)
OSTOR_KFUNC(cgroup_get_or_create, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(cgroup_update, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(cgroup_delete, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(sock_get, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(sock_peek, KF_RCU | KF_RCU_PROTECTED | KF_RET_NULL)
OSTOR_KFUNC(sock_get_or_create, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(sock_update, KF_RCU | KF_RCU_PROTECTED)
OSTOR_KFUNC(sock_delete, KF_RCU | KF_RCU_PROTECTED)
BTF_KFUNCS_END(ostor_kfuncs)

static const struct btf_kfunc_id_set ostor_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &ostor_kfuncs,
};

BTF_ID_LIST(ostor_bpf_dtor_ids)
BTF_ID(struct, ostor_bpf_map)
BTF_ID(func, ostor_bpf_map_release_dtor)

/* The hooks of the programs that have an owner at hand, by one type of each hook. */
static const enum bpf_prog_type ostor_prog_types[] = {
	BPF_PROG_TYPE_TRACING,		/* also tracepoint, raw tracepoint, perf event, LSM */
	BPF_PROG_TYPE_KPROBE,
	BPF_PROG_TYPE_SYSCALL,
	BPF_PROG_TYPE_STRUCT_OPS,
	BPF_PROG_TYPE_SCHED_CLS,
	BPF_PROG_TYPE_CGROUP_SKB,	/* also all other CGROUP_*, sock_ops */
};

/*
 * Whether the kernel has read this module's BTF. Without it, registrations succeed and
 * do nothing. With it, that of a type that is no function fails.
 */
static bool ostor_has_btf(void)
{
	static struct btf_id_set8 no_function = {
		.cnt = 1,
		.flags = BTF_SET8_KFUNCS,
		.pairs = { {} },
	};
	static const struct btf_kfunc_id_set set = {
		.owner = THIS_MODULE,
		.set = &no_function,
	};

	return register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &set);
}

int ostor_bpf_register(void)
{
	const struct btf_id_dtor_kfunc dtor = {
		.btf_id = ostor_bpf_dtor_ids[0],
		.kfunc_btf_id = ostor_bpf_dtor_ids[1],
	};
	int i, err;

	if (!ostor_has_btf())
		return -ENODATA;
	err = register_btf_id_dtor_kfuncs(&dtor, 1, THIS_MODULE);
	for (i = 0; !err && i < ARRAY_SIZE(ostor_prog_types); i++)
		err = register_btf_kfunc_id_set(ostor_prog_types[i], &ostor_kfunc_set);
	return err;
}
