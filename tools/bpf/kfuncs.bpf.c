// SPDX-License-Identifier: GPL-2.0
/* Programs that call the kfuncs as the loader tells them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/owner_storage.bpf.h>
#include "kfuncs.h"
#include "nmi.bpf.h"

#define ENOENT 2
#define ESRCH 3

#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

char _license[] SEC("license") = "GPL";

/* The process whose events count, and its map. */
pid_t process;
__u64 map_id;

static bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == process;
}

static int read_u64(const __u8 *peeked, __u64 *value)
{
	if (!peeked)
		return -ENOENT;
	*value = *(const __u64 *)peeked;
	return 0;
}

#define task_owner task_struct
#define cgroup_owner cgroup
#define sock_owner sock

/* Defines run_KIND(), which makes a call. The caller is in an RCU read section. */
#define RUN(kind)									\
static __always_inline void run_##kind(struct ostor_bpf_map *map,			\
				       struct kind##_owner *owner, struct call *call)	\
{											\
	__u64 value = call->value;							\
	int result = NO_MAP;								\
											\
	switch (call->op) {								\
	case OP_GET:									\
		result = ostor_bpf_##kind##_get(map, owner, &value, 8);			\
		break;									\
	case OP_PEEK:									\
		result = read_u64(ostor_bpf_##kind##_peek(map, owner, 8), &value);	\
		break;									\
	case OP_GET_OR_CREATE:								\
		result = ostor_bpf_##kind##_get_or_create(map, owner, &value, 8);	\
		break;									\
	case OP_UPDATE:									\
		result = ostor_bpf_##kind##_update(map, owner, &value, 8, call->flags);	\
		break;									\
	case OP_DELETE:									\
		result = ostor_bpf_##kind##_delete(map, owner);				\
		break;									\
	case OP_GET_SHORT:								\
		result = ostor_bpf_##kind##_get(map, owner, &value, 4);			\
		break;									\
	case OP_PEEK_LONG:								\
		result = read_u64(ostor_bpf_##kind##_peek(map, owner, 16), &value);	\
		break;									\
	case OP_CREATE_SHORT:								\
		result = ostor_bpf_##kind##_get_or_create(map, owner, &value, 4);	\
		break;									\
	case OP_UPDATE_SHORT:								\
		result = ostor_bpf_##kind##_update(map, owner, &value, 4, call->flags);	\
		break;									\
	}										\
	call->value = value;								\
	call->result = result;								\
}

RUN(task)
RUN(cgroup)
RUN(sock)

/* One call, of the owner with a number. These programs can sleep. */

SEC("syscall")
int task_call(struct call *call)
{
	struct task_struct *task = bpf_task_from_pid(call->owner);
	struct ostor_bpf_map *map;

	call->result = NO_OWNER;
	if (!task)
		return 0;
	call->result = NO_MAP;
	bpf_rcu_read_lock();
	map = ostor_bpf_map_borrow(call->map);
	if (map)
		run_task(map, task, call);
	bpf_rcu_read_unlock();
	bpf_task_release(task);
	return 0;
}

SEC("syscall")
int cgroup_call(struct call *call)
{
	struct cgroup *cgrp = bpf_cgroup_from_id(call->owner);
	struct ostor_bpf_map *map;

	call->result = NO_OWNER;
	if (!cgrp)
		return 0;
	call->result = NO_MAP;
	bpf_rcu_read_lock();
	map = ostor_bpf_map_borrow(call->map);
	if (map)
		run_cgroup(map, cgrp, call);
	bpf_rcu_read_unlock();
	bpf_cgroup_release(cgrp);
	return 0;
}

/* A value of another size, stored and read back. */
static __u8 large[LARGE];

SEC("syscall")
int task_large(struct call *call)
{
	struct ostor_bpf_map *map;
	int i;

	call->result = NO_MAP;
	bpf_rcu_read_lock();
	map = ostor_bpf_map_borrow(call->map);
	if (map) {
		struct task_struct *task = bpf_get_current_task_btf();

		for (i = 0; i < LARGE; i++)
			large[i] = i + 1;
		call->result = ostor_bpf_task_update(map, task, large, LARGE, BPF_ANY);
		__builtin_memset(large, 0, LARGE);
		if (!call->result)
			call->result = ostor_bpf_task_get(map, task, large, LARGE);
		for (i = 0; i < LARGE; i++)
			if (large[i] != i + 1)
				call->result = NO_OWNER;
	}
	bpf_rcu_read_unlock();
	return 0;
}

/* Calls in a row, of the owner at which the process is. */

struct call calls[CALLS_MAX];
__u32 call_count;

#define RUN_ALL(kind, owner) ({								\
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);			\
	int i;										\
											\
	bpf_for(i, 0, CALLS_MAX)							\
		if (map && i < call_count)						\
			run_##kind(map, owner, &calls[i]);				\
})

/* connect() changes the state first. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_calls, struct sock *sk, int from, int to)
{
	if (is_ours() && to == TCP_SYN_SENT)
		RUN_ALL(sock, sk);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_calls, struct cgroup *cgrp, const char *path)
{
	if (is_ours())
		RUN_ALL(cgroup, cgrp);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(child_calls, struct task_struct *parent, struct task_struct *child)
{
	if (is_ours())
		RUN_ALL(task, child);
	return 0;
}

/* The notice of a task's death comes at this tracepoint, too. */
int dead_update, dead_get;
pid_t dead_pid;

SEC("tp_btf/sched_process_free")
int BPF_PROG(dead_calls, struct task_struct *task)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u64 value = 1;

	if (map && task->pid == dead_pid) {
		dead_update = ostor_bpf_task_update(map, task, &value, 8, BPF_ANY);
		dead_get = ostor_bpf_task_get(map, task, &value, 8);
	}
	return 0;
}

/* References. */

#define kept_map struct ostor_bpf_map __kptr

struct map_slot {
	kept_map *map;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct map_slot);
} slots SEC(".maps");

/* Takes a reference and leaves it in the slot. Returns whether there is a map. */
SEC("syscall")
int slot_fill(struct call *call)
{
	struct ostor_bpf_map *map = ostor_bpf_map_acquire(call->map);
	struct map_slot *slot;
	int zero = 0;

	if (!map)
		return 0;
	slot = bpf_map_lookup_elem(&slots, &zero);
	if (slot)
		map = bpf_kptr_xchg(&slot->map, map);
	if (map)
		ostor_bpf_map_release(map);
	return 1;
}

SEC("syscall")
int slot_empty(struct call *call)
{
	struct ostor_bpf_map *map = NULL;
	struct map_slot *slot;
	int zero = 0;

	slot = bpf_map_lookup_elem(&slots, &zero);
	if (slot)
		map = bpf_kptr_xchg(&slot->map, NULL);
	if (!map)
		return 0;
	ostor_bpf_map_release(map);
	return 1;
}

/* A reference for the length of a call, which sleeps meanwhile. */
SEC("syscall")
int acquired_call(struct call *call)
{
	struct ostor_bpf_map *map = ostor_bpf_map_acquire(call->map);
	char name[16];

	call->result = NO_MAP;
	if (!map)
		return 0;
	bpf_copy_from_user(name, sizeof(name), (void *)call->flags);
	bpf_rcu_read_lock();
	call->result = ostor_bpf_task_get(map, bpf_get_current_task_btf(), &call->value, 8);
	bpf_rcu_read_unlock();
	ostor_bpf_map_release(map);
	return 0;
}

/* Recursion: what the module's tracepoints see inside an update. */

struct nested in_storage, in_bucket;
int outer_result, outer_armed;
static bool in_outer;

SEC("tp_btf/sys_enter")
int BPF_PROG(outer, struct pt_regs *regs, long number)
{
	struct ostor_bpf_map *map;
	__u64 value = 7;

	if (!is_ours() || !outer_armed)
		return 0;
	outer_armed = 0;
	map = ostor_bpf_map_borrow(map_id);
	if (!map)
		return 0;
	in_outer = true;
	outer_result = ostor_bpf_task_update(map, bpf_get_current_task_btf(), &value, 8, BPF_ANY);
	in_outer = false;
	return 0;
}

static __always_inline void nest(struct nested *nested)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u64 value = 8;

	if (!in_outer || !is_ours() || !map)
		return;
	nested->runs++;
	nested->update = ostor_bpf_task_update(map, task, &value, 8, BPF_ANY);
	nested->get = ostor_bpf_task_get(map, task, &value, 8);
	nested->delete = ostor_bpf_task_delete(map, task);
}

SEC("tp_btf/ostor_storage_locked")
int BPF_PROG(nest_in_storage, unsigned long owner)
{
	nest(&in_storage);
	return 0;
}

SEC("tp_btf/ostor_bucket_locked")
int BPF_PROG(nest_in_bucket, unsigned long owner)
{
	nest(&in_bucket);
	return 0;
}

/* In NMI: the torture module's operations come by, those of the NMI among them. */

struct in_nmi in_nmi;

static void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

SEC("tp_btf/ostor_enter")
int BPF_PROG(nmi_calls, unsigned long owner)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ostor_bpf_map *map;
	__u64 value = owner, found = 0;
	int result;

	if (!is_nmi())
		return 0;
	map = ostor_bpf_map_borrow(map_id);
	if (!map)
		return 0;
	count(&in_nmi.runs);
	result = ostor_bpf_task_get_or_create(map, task, &value, 8);
	if (result == -ESRCH) {
		count(&in_nmi.refused);
		return 0;
	}
	if (result == 1)
		count(&in_nmi.created);
	value = owner + 1;
	if (!ostor_bpf_task_update(map, task, &value, 8, BPF_EXIST))
		count(&in_nmi.replaced);
	if (!ostor_bpf_task_get(map, task, &found, 8) && found == owner + 1)
		count(&in_nmi.read);
	if (!ostor_bpf_task_delete(map, task))
		count(&in_nmi.deleted);
	if (ostor_bpf_task_get(map, task, &found, 8) != -ENOENT)
		count(&in_nmi.wrong);
	return 0;
}

/*
 * An update has the last reference to a socket. The packet is received in the softirq of
 * the thread that sends it. Inside the update a program waits until another thread has
 * closed the socket.
 */

int late_armed, late_waits, late_closed;
int late_update = 1;
__u64 late_frees, late_frees_by_kworker;
static struct sock *late_sock;

#define PF_WQ_WORKER 0x20
#define WAIT_NS 500000000

SEC("tp_btf/sk_data_ready")
int BPF_PROG(late_receive, struct sock *sk)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u64 value = 1;

	if (!map || !is_ours() || !late_armed)
		return 0;
	late_armed = 0;
	late_sock = sk;
	late_update = ostor_bpf_sock_update(map, sk, &value, 8, BPF_ANY);
	return 0;
}

SEC("tp_btf/ostor_storage_locked")
int BPF_PROG(late_wait, unsigned long owner)
{
	__u64 end = bpf_ktime_get_ns() + WAIT_NS;
	int i;

	if (!late_sock || owner != (unsigned long)late_sock)
		return 0;
	late_waits = 1;
	bpf_for(i, 0, 8000000)
		if (__sync_fetch_and_add(&late_closed, 0) || bpf_ktime_get_ns() > end)
			break;
	return 0;
}

SEC("fentry/sk_free")
int BPF_PROG(late_free, struct sock *sk)
{
	if (!late_sock || sk != late_sock)
		return 0;
	late_frees++;
	if (bpf_get_current_task_btf()->flags & PF_WQ_WORKER)
		late_frees_by_kworker++;
	return 0;
}

/* Other types of programs. */

__u64 kprobe_runs, cgroup_runs;

SEC("kprobe/do_exit")
int kprobe_call(struct pt_regs *regs)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u64 value = 1;

	if (map && is_ours() &&
	    !ostor_bpf_task_update(map, bpf_get_current_task_btf(), &value, 8, BPF_NOEXIST))
		count(&kprobe_runs);
	return 0;
}

SEC("cgroup_skb/egress")
int cgroup_skb_call(struct __sk_buff *skb)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	struct bpf_sock *sk = skb->sk;
	__u64 value = 1;

	if (!map || !sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (sk && ostor_bpf_sock_get_or_create(map, (struct sock *)sk, &value, 8) >= 0)
		count(&cgroup_runs);
	return 1;
}

/* The costs, in nanoseconds of a clock that advances by one per instruction. */

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} bpf_storage SEC(".maps"), empty_storage SEC(".maps");

#define ROUNDS 1000

__u64 costs[COSTS];
__u64 empty_map_id;
int cost_errors;

/* Runs @code many times, with @failed set if it fails. */
#define MEASURE(cost, code) ({								\
	__u64 begin;									\
	bool failed;									\
	int i;										\
											\
	begin = bpf_ktime_get_ns();							\
	bpf_for(i, 0, ROUNDS) {								\
		failed = false;								\
		code;									\
		cost_errors += failed;							\
	}										\
	costs[cost] = bpf_ktime_get_ns() - begin;					\
})

SEC("syscall")
int measure(struct call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ostor_bpf_map *map, *empty, *other;
	__u64 value = 5;

	bpf_rcu_read_lock();
	map = ostor_bpf_map_borrow(map_id);
	empty = ostor_bpf_map_borrow(empty_map_id);
	if (!map || !empty) {
		bpf_rcu_read_unlock();
		return 1;
	}
	cost_errors = ostor_bpf_task_update(map, task, &value, 8, BPF_ANY);
	cost_errors += !bpf_task_storage_get(&bpf_storage, task, &value,
					     BPF_LOCAL_STORAGE_GET_F_CREATE);
	MEASURE(COST_LOOP, barrier_var(value));
	MEASURE(COST_GET, failed = ostor_bpf_task_get(map, task, &value, 8));
	MEASURE(COST_GET_MISS, failed = ostor_bpf_task_get(empty, task, &value, 8) != -ENOENT);
	MEASURE(COST_PEEK, failed = !ostor_bpf_task_peek(map, task, 8));
	MEASURE(COST_BORROW, failed = !ostor_bpf_map_borrow(map_id));
	MEASURE(COST_ACQUIRE, ({
		other = ostor_bpf_map_acquire(map_id);
		if (other)
			ostor_bpf_map_release(other);
	}));
	MEASURE(COST_UPDATE, failed = ostor_bpf_task_update(map, task, &value, 8, BPF_EXIST));
	MEASURE(COST_CREATE_DELETE, ({
		failed = ostor_bpf_task_get_or_create(empty, task, &value, 8) != 1;
		ostor_bpf_task_delete(empty, task);
	}));
	MEASURE(COST_BPF_GET, failed = !bpf_task_storage_get(&bpf_storage, task, NULL, 0));
	MEASURE(COST_BPF_GET_MISS, failed = bpf_task_storage_get(&empty_storage, task, NULL, 0));
	MEASURE(COST_BPF_CREATE_DELETE, ({
		failed = !bpf_task_storage_get(&empty_storage, task, &value,
					       BPF_LOCAL_STORAGE_GET_F_CREATE);
		bpf_task_storage_delete(&empty_storage, task);
	}));
	bpf_rcu_read_unlock();
	return 0;
}
