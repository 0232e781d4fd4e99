// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps, for every task, the time that it was on a CPU. The map frees the value when the
 * task ends.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/owner_storage.bpf.h>

char _license[] SEC("license") = "GPL";

/* The number of the map, set by the loader. */
__u64 map_id;

/* Switches whose time could not be stored, but of tasks that were ending. */
__u64 lost;

/* When the task that runs on this CPU was switched to. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} switched SEC(".maps");

#define ESRCH 3

static void add(struct task_struct *task, __u64 time)
{
	struct ostor_bpf_map *map = ostor_bpf_map_borrow(map_id);
	__u64 total = 0;
	int err;

	if (!map)
		return;
	/* Only this CPU changes the value: the task runs here. */
	ostor_bpf_task_get(map, task, &total, sizeof(total));
	total += time;
	err = ostor_bpf_task_update(map, task, &total, sizeof(total), BPF_ANY);
	if (err && err != -ESRCH)
		__sync_fetch_and_add(&lost, 1);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;
	__u64 *last = bpf_map_lookup_elem(&switched, &zero);

	if (!last)
		return 0;
	/* The first switch of a CPU only starts the clock. */
	if (*last && prev->pid)
		add(prev, now - *last);
	*last = now;
	return 0;
}
