/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kfuncs of owner_storage, for BPF programs. Include it after vmlinux.h and
 * bpf/bpf_helpers.h. Documentation/bpf.rst describes the functions.
 *
 * Values are read from and written to memory that the program can write, the stack for
 * instance. Flags are BPF_ANY, BPF_NOEXIST and BPF_EXIST.
 */
#ifndef _BPF_OWNER_STORAGE_BPF_H
#define _BPF_OWNER_STORAGE_BPF_H

/* A map of /dev/owner_storage. */
struct ostor_bpf_map {
	__u64 id;
} __attribute__((preserve_access_index));

struct ostor_bpf_map *ostor_bpf_map_borrow(__u64 id) __ksym;
struct ostor_bpf_map *ostor_bpf_map_acquire(__u64 id) __ksym;
void ostor_bpf_map_release(struct ostor_bpf_map *map) __ksym;

int ostor_bpf_task_get(struct ostor_bpf_map *map, struct task_struct *task,
		       void *value, __u32 value__sz) __ksym;
const __u8 *ostor_bpf_task_peek(struct ostor_bpf_map *map, struct task_struct *task,
				const __u32 rdonly_buf_size) __ksym;
int ostor_bpf_task_get_or_create(struct ostor_bpf_map *map, struct task_struct *task,
				 void *value, __u32 value__sz) __ksym;
int ostor_bpf_task_update(struct ostor_bpf_map *map, struct task_struct *task,
			  void *value, __u32 value__sz, __u64 flags) __ksym;
int ostor_bpf_task_delete(struct ostor_bpf_map *map, struct task_struct *task) __ksym;

int ostor_bpf_cgroup_get(struct ostor_bpf_map *map, struct cgroup *cgrp,
			 void *value, __u32 value__sz) __ksym;
const __u8 *ostor_bpf_cgroup_peek(struct ostor_bpf_map *map, struct cgroup *cgrp,
				  const __u32 rdonly_buf_size) __ksym;
int ostor_bpf_cgroup_get_or_create(struct ostor_bpf_map *map, struct cgroup *cgrp,
				   void *value, __u32 value__sz) __ksym;
int ostor_bpf_cgroup_update(struct ostor_bpf_map *map, struct cgroup *cgrp,
			    void *value, __u32 value__sz, __u64 flags) __ksym;
int ostor_bpf_cgroup_delete(struct ostor_bpf_map *map, struct cgroup *cgrp) __ksym;

int ostor_bpf_sock_get(struct ostor_bpf_map *map, struct sock *sk,
		       void *value, __u32 value__sz) __ksym;
const __u8 *ostor_bpf_sock_peek(struct ostor_bpf_map *map, struct sock *sk,
				const __u32 rdonly_buf_size) __ksym;
int ostor_bpf_sock_get_or_create(struct ostor_bpf_map *map, struct sock *sk,
				 void *value, __u32 value__sz) __ksym;
int ostor_bpf_sock_update(struct ostor_bpf_map *map, struct sock *sk,
			  void *value, __u32 value__sz, __u64 flags) __ksym;
int ostor_bpf_sock_delete(struct ostor_bpf_map *map, struct sock *sk) __ksym;

#endif /* _BPF_OWNER_STORAGE_BPF_H */
