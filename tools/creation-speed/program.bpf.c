// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of the kernel's benchmark of creations without storage, which show the
 * cost of the call and the count; and a program that repeatedly creates and deletes a
 * value of the calling task.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "self.h"

long calls;
long failures;
__u32 process;

/* Whether self_again() stores. */
bool stores;

struct value {
	__u8 data[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} values SEC(".maps"), others SEC(".maps");

SEC("fentry/sock_alloc_file")
int BPF_PROG(socket_made, struct socket *sock)
{
	if (bpf_get_current_pid_tgid() >> 32 == process && sock->sk)
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_made, struct task_struct *parent, struct task_struct *child)
{
	if (parent->tgid == process)
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

static long self_once(__u32 i, void *ctx)
{
	struct task_struct *self = bpf_get_current_task_btf();

	if (stores && (!bpf_task_storage_get(&values, self, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE) ||
		       bpf_task_storage_delete(&values, self)))
		__sync_fetch_and_add(&failures, 1);
	else
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("raw_tp")
int self_again(void *ctx)
{
	bpf_loop(SELF_AGAIN, self_once, NULL, 0);
	return 0;
}

/* Creates a value of the task in another map. */
SEC("raw_tp")
int self_other(void *ctx)
{
	struct task_struct *self = bpf_get_current_task_btf();

	return !bpf_task_storage_get(&others, self, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

char LICENSE[] SEC("license") = "GPL";
