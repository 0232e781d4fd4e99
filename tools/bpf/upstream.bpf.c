// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that act out upstream's selftests of local storage, of
 * tools/testing/selftests/bpf. Each is written once and loaded twice: for maps of BPF's
 * own types, which it uses by helpers, and for maps of this module, which it uses by
 * kfuncs. The loader, upstream.c, loads those that a test needs.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/owner_storage.bpf.h>
#include "upstream.h"

#define ENOENT 2
#define EAGAIN 11
#define ENOMEM 12
#define EEXIST 17
#define ENODEV 19
#define EDEADLK 35
#define ETIMEDOUT 110
#define ERRNO_MAX 4095

#define AF_INET6 10
#define SO_TYPE 3
#define SO_DOMAIN 39

#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

/* The prefix of the functions of system calls. */
#if defined(__TARGET_ARCH_x86)
#define SYSCALL "__x64_sys_"
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL "__arm64_sys_"
#endif

char _license[] SEC("license") = "GPL";

/*
 * Which maps. Constant when a program is loaded: the verifier drops the other code. Weak,
 * so that the compiler does not take it for false.
 */
const bool ours __weak;

/* The numbers of this module's maps. A map serves all kinds of owners. */
struct {
	__u64 a;
	__u64 b;
} ids;

#define BPF_STORAGE(type_name, name)						\
	struct {								\
		__uint(type, BPF_MAP_TYPE_##type_name##_STORAGE);		\
		__uint(map_flags, BPF_F_NO_PREALLOC);				\
		__type(key, int);						\
		__type(value, __u64);						\
	} name SEC(".maps")

BPF_STORAGE(TASK, task_a);
BPF_STORAGE(TASK, task_b);
BPF_STORAGE(CGRP, cgroup_a);
BPF_STORAGE(CGRP, cgroup_b);
BPF_STORAGE(SK, sock_a);

/* The process whose events count, and where a test wants it, its one thread. */
pid_t process, thread;

static bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == process;
}

static bool is_thread(void)
{
	return (pid_t)bpf_get_current_pid_tgid() == thread;
}

static void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

struct refusals refusals;

static int refused(int err)
{
	if (err == -EAGAIN || err == -EEXIST)
		count(&refusals.races);
	else if (err == -EDEADLK || err == -ETIMEDOUT)
		count(&refusals.locks);
	else
		count(&refusals.others);
	return err;
}

/*
 * BPF's helper returns NULL for every reason. This is the reason, if one thread alone
 * creates values.
 */
static int bpf_result;

SEC("?fexit/bpf_local_storage_update")
int BPF_PROG(bpf_updated)
{
	__u64 found = 0;

	if (!is_ours())
		return 0;
	bpf_get_func_ret(ctx, &found);
	bpf_result = found >= -(__u64)ERRNO_MAX ? found : 0;
	if (bpf_result)
		refused(bpf_result);
	return 0;
}

#define task_owner task_struct
#define cgroup_owner cgroup
#define sock_owner sock

/* Operations for a kind of owners, on our map @id or on BPF's @map. */
#define OPERATIONS(kind, helper)							\
static __always_inline int kind##_create(__u64 id, void *map,				\
					 struct kind##_owner *owner, __u64 *value)	\
{											\
	struct ostor_bpf_map *our_map;							\
	int result = -ENODEV;								\
	__u64 *found;									\
											\
	if (ours) {									\
		our_map = ostor_bpf_map_borrow(id);					\
		if (our_map)								\
			result = ostor_bpf_##kind##_get_or_create(our_map, owner,	\
								  value, 8);		\
		return result < 0 ? refused(result) : 0;				\
	}										\
	found = bpf_##helper##_storage_get(map, owner, value,				\
					   BPF_LOCAL_STORAGE_GET_F_CREATE);		\
	if (!found)									\
		return bpf_result ?: -ENOMEM;						\
	*value = *found;								\
	return 0;									\
}											\
											\
static __always_inline int kind##_get(__u64 id, void *map,				\
				      struct kind##_owner *owner, __u64 *value)		\
{											\
	struct ostor_bpf_map *our_map;							\
	__u64 *found;									\
											\
	if (ours) {									\
		our_map = ostor_bpf_map_borrow(id);					\
		return our_map ? ostor_bpf_##kind##_get(our_map, owner, value, 8) :	\
				 -ENODEV;						\
	}										\
	found = bpf_##helper##_storage_get(map, owner, NULL, 0);			\
	if (!found)									\
		return -ENOENT;								\
	*value = *found;								\
	return 0;									\
}											\
											\
static __always_inline int kind##_delete(__u64 id, void *map,				\
					 struct kind##_owner *owner)			\
{											\
	struct ostor_bpf_map *our_map;							\
											\
	if (ours) {									\
		our_map = ostor_bpf_map_borrow(id);					\
		return our_map ? ostor_bpf_##kind##_delete(our_map, owner) : -ENODEV;	\
	}										\
	return bpf_##helper##_storage_delete(map, owner);				\
}

/* Changes a value: BPF's in place, ours by an update. */
#define SET(kind, helper)								\
static __always_inline void kind##_set(__u64 id, void *map,				\
				       struct kind##_owner *owner, __u64 value)		\
{											\
	struct ostor_bpf_map *our_map;							\
	int result = -ENODEV;								\
	__u64 *found;									\
											\
	if (ours) {									\
		our_map = ostor_bpf_map_borrow(id);					\
		if (our_map)								\
			result = ostor_bpf_##kind##_update(our_map, owner, &value, 8,	\
							   BPF_EXIST);			\
		if (result)								\
			refused(result);						\
		return;									\
	}										\
	found = bpf_##helper##_storage_get(map, owner, NULL, 0);			\
	if (found)									\
		*found = value;								\
}

OPERATIONS(task, task)
OPERATIONS(cgroup, cgrp)
OPERATIONS(sock, sk)
SET(task, task)
SET(cgroup, cgrp)

/* Finds the value in map @letter, or creates it from *@value, and copies it there. */
#define create(kind, letter, owner, value)						\
	kind##_create(ids.letter, &kind##_##letter, owner, value)

#define get(kind, letter, owner, value)							\
	kind##_get(ids.letter, &kind##_##letter, owner, value)

#define set(kind, letter, owner, value)							\
	kind##_set(ids.letter, &kind##_##letter, owner, value)

#define delete(kind, letter, owner)							\
	kind##_delete(ids.letter, &kind##_##letter, owner)

/* In programs that can sleep only the kfuncs must be called in an RCU read section. */
static __always_inline void lock_rcu(void)
{
	if (ours)
		bpf_rcu_read_lock();
}

static __always_inline void unlock_rcu(void)
{
	if (ours)
		bpf_rcu_read_unlock();
}

/* sys_enter_exit */

__u64 enters, exits, mismatches;

SEC("?tp_btf/sys_enter")
int BPF_PROG(task_enter, struct pt_regs *regs, long number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 value = 0;

	if (is_thread() && !create(task, a, task, &value)) {
		enters++;
		set(task, a, task, MAGIC + enters);
	}
	return 0;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(task_exit, struct pt_regs *regs, long number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 value = 0;

	if (is_thread() && !create(task, a, task, &value)) {
		exits++;
		mismatches += value != MAGIC + exits;
	}
	return 0;
}

/* exit_creds */

__u64 dead_created, dead_refused;

static __always_inline void create_for_dead(struct task_struct *task)
{
	__u64 value = 0;

	count(create(task, a, task, &value) ? &dead_refused : &dead_created);
}

/* After the last reference to the task. */
SEC("?fentry/exit_creds")
int BPF_PROG(at_exit_creds, struct task_struct *task)
{
	create_for_dead(task);
	return 0;
}

/* The last that a program sees of a task by a pointer that the verifier trusts. */
SEC("?tp_btf/sched_process_free")
int BPF_PROG(at_process_free, struct task_struct *task)
{
	create_for_dead(task);
	return 0;
}

/* recursion, of tasks */

__u64 inner_runs, delete_errors;

SEC("?tp_btf/sys_enter")
int BPF_PROG(task_outer, struct pt_regs *regs, long number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 a = 200, b = 100;

	if (is_thread()) {
		create(task, a, task, &a);
		create(task, b, task, &b);
	}
	return 0;
}

static __always_inline int task_inner(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 a = 1, b = 1;

	if (!is_thread())
		return 0;
	inner_runs++;
	if (!create(task, a, task, &a))
		delete_errors += delete(task, a, task) != 0;
	create(task, b, task, &b);
	return 0;
}

SEC("?fentry/bpf_local_storage_update")
int BPF_PROG(task_in_bpf_update)
{
	return task_inner();
}

SEC("?tp_btf/ostor_enter")
int BPF_PROG(task_in_our_operation, unsigned long owner)
{
	return task_inner();
}

/*
 * Recursion where the outer operation holds a lock. Upstream has no such test: its hook
 * is at the start of an operation.
 */

struct locked locked;
pid_t others[OTHERS];
/* What the outer operation is. */
enum { OUTER_NONE, OUTER_CREATE, OUTER_DELETE } outer;
static bool at_second;

SEC("?tp_btf/sys_enter")
int BPF_PROG(locked_outer, struct pt_regs *regs, long number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 value = 0;

	if (!is_thread())
		return 0;
	outer = OUTER_CREATE;
	locked.outer_create = create(task, a, task, &value);
	outer = OUTER_DELETE;
	locked.outer_delete = delete(task, a, task);
	outer = OUTER_NONE;
	return 0;
}

/* Deletes the values of other tasks. */
static __always_inline void delete_others(void)
{
	struct task_struct *task;
	int i, err;

	bpf_for(i, 0, OTHERS) {
		task = bpf_task_from_pid(others[i]);
		if (!task)
			continue;
		err = delete(task, a, task);
		if (!err)
			locked.others_deleted++;
		else if (err == -EDEADLK)
			locked.others_deadlocks++;
		bpf_task_release(task);
	}
}

static __always_inline int in_lock(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 value = 1;
	int now = outer;

	outer = OUTER_NONE;
	if (now == OUTER_CREATE) {
		delete_others();
	} else {
		locked.get = get(task, a, task, &value);
		locked.create = create(task, b, task, &value);
		locked.delete = delete(task, a, task);
		locked.runs++;
	}
	return 0;
}

SEC("?fentry/task_storage_ptr")
int BPF_PROG(in_bpf_lock, void *owner)
{
	if (!is_thread() || outer == OUTER_NONE)
		return 0;
	/* A create calls this first without a lock. */
	if (outer == OUTER_CREATE && !at_second) {
		at_second = true;
		return 0;
	}
	return in_lock();
}

SEC("?tp_btf/ostor_storage_locked")
int BPF_PROG(in_our_lock, unsigned long owner)
{
	return is_thread() && outer != OUTER_NONE ? in_lock() : 0;
}

/* nodeadlock */

__u64 churns, get_errors;

SEC("?lsm.s/socket_post_create")
int BPF_PROG(churn, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 value = 0;

	if (!is_ours())
		return 0;
	lock_rcu();
	count(&churns);
	if (create(task, a, task, &value))
		count(&get_errors);
	if (delete(task, a, task))
		count(&delete_errors);
	unlock_rcu();
	return 0;
}

/* cgrp_local_storage. The cgroup is the current task's, in version 2 or in this hierarchy. */

int hierarchy;
__u64 cgroup_id;

static __always_inline void with_cgroup(void (*function)(struct cgroup *cgrp))
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct cgroup *cgroup1;

	if (!hierarchy) {
		function(task->cgroups->dfl_cgrp);
		return;
	}
	cgroup1 = bpf_task_get_cgroup1(task, hierarchy);
	if (cgroup1) {
		function(cgroup1);
		bpf_cgroup_release(cgroup1);
	}
}

static __always_inline void cgroup_entered(struct cgroup *cgrp)
{
	__u64 value = 0;

	if (create(cgroup, a, cgrp, &value) || delete(cgroup, a, cgrp) ||
	    !get(cgroup, a, cgrp, &value) || create(cgroup, a, cgrp, &value))
		return;
	enters++;
	set(cgroup, a, cgrp, MAGIC + enters);
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(cgroup_enter, struct pt_regs *regs, long number)
{
	if (is_thread())
		with_cgroup(cgroup_entered);
	return 0;
}

static __always_inline void cgroup_exited(struct cgroup *cgrp)
{
	__u64 value = 0;

	if (create(cgroup, a, cgrp, &value))
		return;
	exits++;
	mismatches += value != MAGIC + exits;
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(cgroup_exit, struct pt_regs *regs, long number)
{
	if (is_thread())
		with_cgroup(cgroup_exited);
	return 0;
}

static __always_inline void cgroup_create_both(struct cgroup *cgrp)
{
	__u64 a = 200, b = 100;

	create(cgroup, a, cgrp, &a);
	create(cgroup, b, cgrp, &b);
}

SEC("?tp_btf/sys_enter")
int BPF_PROG(cgroup_outer, struct pt_regs *regs, long number)
{
	if (is_thread())
		with_cgroup(cgroup_create_both);
	return 0;
}

static __always_inline void cgroup_create_inside(struct cgroup *cgrp)
{
	__u64 a = 1, b = 1;

	inner_runs++;
	create(cgroup, a, cgrp, &a);
	create(cgroup, b, cgrp, &b);
}

SEC("?fentry/bpf_local_storage_update")
int BPF_PROG(cgroup_in_bpf_update)
{
	if (is_thread())
		with_cgroup(cgroup_create_inside);
	return 0;
}

SEC("?tp_btf/ostor_enter")
int BPF_PROG(cgroup_in_our_operation, unsigned long owner)
{
	if (is_thread())
		with_cgroup(cgroup_create_inside);
	return 0;
}

/* The verifier must refuse it. */
SEC("?tp_btf/sys_enter")
int BPF_PROG(task_as_cgroup, struct pt_regs *regs, long number)
{
	__u64 value = 0;

	return create(cgroup, a, (struct cgroup *)bpf_get_current_task_btf(), &value) != 0;
}

static __always_inline void note_cgroup(struct cgroup *cgrp)
{
	__u64 value = 0;

	if (!create(cgroup, a, cgrp, &value))
		cgroup_id = cgrp->kn->id;
}

SEC("?iter.s/cgroup")
int visit_cgroup(struct bpf_iter__cgroup *ctx)
{
	struct cgroup *cgrp = ctx->cgroup;

	if (!cgrp)
		return 0;
	lock_rcu();
	note_cgroup(cgrp);
	unlock_rcu();
	return 0;
}

SEC("?fentry.s/" SYSCALL "getpgid")
int with_rcu_lock(void *ctx)
{
	if (!is_thread())
		return 0;
	bpf_rcu_read_lock();
	with_cgroup(note_cgroup);
	bpf_rcu_read_unlock();
	return 0;
}

/* The verifier must refuse it, since it does not trust the pointer. */
SEC("?fentry.s/" SYSCALL "getpgid")
int without_rcu_lock(void *ctx)
{
	if (is_thread())
		note_cgroup(bpf_get_current_task_btf()->cgroups->dfl_cgrp);
	return 0;
}

/* It trusts this one, since the program has a reference. */
SEC("?fentry.s/" SYSCALL "getpgid")
int reference_without_rcu_lock(void *ctx)
{
	struct cgroup *cgrp;

	if (!is_thread())
		return 0;
	cgrp = bpf_task_get_cgroup1(bpf_get_current_task_btf(), hierarchy);
	if (cgrp) {
		note_cgroup(cgrp);
		bpf_cgroup_release(cgrp);
	}
	return 0;
}

/*
 * attach_cgroup: three programs of as many types change a value of the cgroup while a
 * socket connects. Map b has the socket's cookie.
 */

SEC("?cgroup/connect6")
int begin_cookie(struct bpf_sock_addr *ctx)
{
	struct cgroup *cgrp = bpf_get_current_task_btf()->cgroups->dfl_cgrp;
	__u64 value = 0xf, cookie = bpf_get_socket_cookie(ctx);

	create(cgroup, a, cgrp, &value);
	create(cgroup, b, cgrp, &cookie);
	return 1;
}

static __always_inline void add_to_cookie(__u64 cookie, __u64 bits)
{
	struct cgroup *cgrp = bpf_get_current_task_btf()->cgroups->dfl_cgrp;
	__u64 value = 0, found = 0;

	if (!get(cgroup, b, cgrp, &found) && found == cookie && !get(cgroup, a, cgrp, &value))
		set(cgroup, a, cgrp, value | bits);
}

SEC("?sockops")
int add_port(struct bpf_sock_ops *ctx)
{
	if (ctx->family == AF_INET6 && ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		add_to_cookie(bpf_get_socket_cookie(ctx), ctx->local_port << 8);
	return 1;
}

SEC("?fexit/inet_stream_connect")
int BPF_PROG(end_cookie, struct socket *sock, struct sockaddr *address, int length, int flags)
{
	if (is_ours() && address->sa_family == AF_INET6)
		add_to_cookie(bpf_get_socket_cookie(sock->sk), 0xf0);
	return 0;
}

/* sk_storage_omem_uncharge */

__u64 cookie, cookie_found, omem_before, omem_after;
static struct sock *cookie_sock;

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(sock_destroyed, struct sock *sk)
{
	__u64 value = 0;

	if (!cookie || sk->__sk_common.skc_cookie.counter != cookie)
		return 0;
	if (!get(sock, a, sk, &value) && value == SOCKET_VALUE) {
		cookie_found++;
		cookie_sock = sk;
	}
	omem_before = sk->sk_omem_alloc.counter;
	return 0;
}

SEC("?fexit/bpf_sk_storage_free")
int BPF_PROG(sock_storage_freed, struct sock *sk)
{
	if (!cookie_sock || sk != cookie_sock)
		return 0;
	cookie_found++;
	omem_after = sk->sk_omem_alloc.counter;
	return 0;
}

/* stress_free: each socket gets a value. */

__u64 creates, create_errors;

SEC("?lsm/socket_post_create")
int BPF_PROG(socket_created, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct sock *sk = sock->sk;
	__u64 value = 0;

	if (!is_ours() || family != AF_INET6 || !sk)
		return 0;
	count(create(sock, a, sk, &value) ? &create_errors : &creates);
	return 0;
}

/* stress_change: threads create and delete the value of one socket. */

__u64 deletes, misses;

SEC("?lsm/socket_getsockopt")
int BPF_PROG(socket_changed, struct socket *sock, int level, int option)
{
	struct sock *sk = sock->sk;
	__u64 value = 0;
	int err;

	if (!is_ours() || !sk)
		return 0;
	if (option == SO_TYPE) {
		count(create(sock, a, sk, &value) ? &create_errors : &creates);
	} else if (option == SO_DOMAIN) {
		err = delete(sock, a, sk);
		count(!err ? &deletes : err == -ENOENT ? &misses : &delete_errors);
	}
	return 0;
}
