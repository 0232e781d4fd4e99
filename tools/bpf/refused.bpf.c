// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that the verifier must refuse. The loader loads one at a time. Each is named
 * in its table, with the word that the verifier's log must have.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/owner_storage.bpf.h>

char _license[] SEC("license") = "GPL";

__u64 map_id;

SEC("?syscall")
int unreleased(void *ctx)
{
	return ostor_bpf_map_acquire(map_id) ? 1 : 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(no_null_check, struct task_struct *task)
{
	__u64 value = 1;

	return ostor_bpf_task_update(ostor_bpf_map_borrow(map_id), task, &value, 8, 0);
}

SEC("?syscall")
int released_twice(void *ctx)
{
	struct ostor_bpf_map *map = ostor_bpf_map_acquire(map_id);

	if (map) {
		ostor_bpf_map_release(map);
		ostor_bpf_map_release(map);
	}
	return 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(borrowed_released, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);

	if (map)
		ostor_bpf_map_release(map);
	return 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(used_after_release, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_acquire(map_id);

	if (!map)
		return 0;
	ostor_bpf_map_release(map);
	return ostor_bpf_task_delete(map, task);
}

SEC("?syscall")
int borrowed_after_unlock(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ostor_bpf_map *map;
	int result = 0;

	bpf_rcu_read_lock();
	map = ostor_bpf_map_borrow(map_id);
	bpf_rcu_read_unlock();
	bpf_rcu_read_lock();
	if (map)
		result = ostor_bpf_task_delete(map, task);
	bpf_rcu_read_unlock();
	return result;
}

SEC("?syscall")
int borrowed_without_rcu(void *ctx)
{
	return ostor_bpf_map_borrow(map_id) ? 1 : 0;
}

SEC("?syscall")
int used_without_rcu(void *ctx)
{
	struct ostor_bpf_map *map = ostor_bpf_map_acquire(map_id);
	int result;

	if (!map)
		return 0;
	result = ostor_bpf_task_delete(map, bpf_get_current_task_btf());
	ostor_bpf_map_release(map);
	return result;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(short_buffer, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u64 value = 1;

	return map ? ostor_bpf_task_get(map, task, &value, 16) : 0;
}

SEC("?fentry/do_exit")
int BPF_PROG(walked_task, long code)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);

	return map ? ostor_bpf_task_delete(map, task->last_wakee) : 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(peeked_not_checked, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);

	return map ? *ostor_bpf_task_peek(map, task, 8) : 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(peeked_written, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u8 *value;

	if (!map)
		return 0;
	value = (__u8 *)ostor_bpf_task_peek(map, task, 8);
	if (value)
		*value = 1;
	return 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(peeked_beyond, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	const __u8 *value;

	if (!map)
		return 0;
	value = ostor_bpf_task_peek(map, task, 8);
	return value ? value[8] : 0;
}

SEC("?tp_btf/task_newtask")
int BPF_PROG(peeked_stored, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	const __u8 *value;

	if (!map)
		return 0;
	value = ostor_bpf_task_peek(map, task, 8);
	return value ? ostor_bpf_task_update(map, task, (void *)value, 8, 0) : 0;
}

SEC("?xdp")
int no_owner(struct xdp_md *ctx)
{
	return ostor_bpf_map_borrow(map_id) ? XDP_PASS : XDP_DROP;
}
