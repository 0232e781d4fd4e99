// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of the kernel's benchmark of creations, without the storage: what
 * it costs to be called and to count.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

long calls;
__u32 process;

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

char LICENSE[] SEC("license") = "GPL";
