/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Rust cannot call itself: macros, static inlines, and functions on objects
 * whose types the kernel crate's bindings do not have. Each function wraps one of
 * them. bindgen reads this header. A function takes a lock or allocates only if its
 * name says so.
 */
#ifndef OSTOR_SHIM_H
#define OSTOR_SHIM_H

#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/tracepoint-defs.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <asm/rqspinlock.h>

#include "events.h"

struct mem_cgroup;

/* Each flavour exports it, so that the loader refuses a second one. */
extern const bool owner_storage_is_loaded;

/* Parameters of the module. Their ranges were checked when it was loaded. */
u32 ostor_param_map_bits(void);
u32 ostor_param_index_bits(void);
u32 ostor_param_pending_hurry(void);
u32 ostor_param_pending_limit(void);
#ifdef OSTOR_TEST
u32 ostor_param_mute_deaths(void);
u32 ostor_param_mute_startup(void);
#endif

/* rqspinlock */
int ostor_res_lock_irqsave(rqspinlock_t *lock, unsigned long *flags);
bool ostor_res_trylock_irqsave(rqspinlock_t *lock, unsigned long *flags);
void ostor_res_unlock_irqrestore(rqspinlock_t *lock, unsigned long flags);

/*
 * Memory. A caller in one RCU read section may call ostor_kmalloc() if
 * ostor_holds_no_lock() returns true. It takes locks, and charges @memcg unless that
 * is NULL. ostor_kmalloc_nolock() is for any context.
 */
bool ostor_holds_no_lock(void);
void *ostor_kmalloc(size_t size, struct mem_cgroup *memcg);
void *ostor_kmalloc_nolock(size_t size);
void ostor_kfree(const void *ptr);

/* Frees it after a grace period. May sleep. */
void ostor_kfree_rcu(void *ptr);

/*
 * Begins to wait for a grace period, and waits for its end, which may sleep. Many waits
 * that began at the same time cost one grace period.
 */
unsigned long ostor_begin_grace_period(void);
void ostor_end_grace_period(unsigned long begun);

/* Interrupts of this CPU */
unsigned long ostor_irq_save(void);
void ostor_irq_restore(unsigned long flags);

/* References to this module. Most are open files. */
int ostor_module_users(void);

const char *ostor_module_name(struct module *module);

/* Has the loader call @block, or no more. May sleep. Does nothing without CONFIG_MODULES. */
int ostor_module_notifier_attach(struct notifier_block *block);
void ostor_module_notifier_detach(struct notifier_block *block);

/* Deferred work. A @lazy irq_work runs in the next tick, unless the tick is stopped. */
void ostor_init_irq_work(struct irq_work *work, void (*fn)(struct irq_work *work), bool lazy);
void ostor_init_delayed_work(struct delayed_work *work, void (*fn)(struct work_struct *work));
void ostor_queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			      unsigned long delay);
void ostor_init_work(struct work_struct *work, void (*fn)(struct work_struct *work));
struct workqueue_struct *ostor_alloc_workqueue(void);

/* The work for which this kworker runs @fn. NULL if there is none, and in interrupts. */
struct work_struct *ostor_current_work(void (*fn)(struct work_struct *work));
void ostor_cond_resched(void);

/*
 * Has the current task call @fn before it returns to user space or ends. Returns
 * false in a kernel thread, which does neither.
 */
bool ostor_task_work_add(struct callback_head *head, void (*fn)(struct callback_head *head));

/* Waits until each task has left the code in which it was, preempted or not. */
void ostor_synchronize_rcu_tasks(void);

/* Bytes of memory of the machine. */
size_t ostor_totalram(void);

/*
 * Tracepoints of this module. Called only if the tracepoint has a probe. The caller of
 * ostor_trace_locked() has just taken the lock that @event stands for: the torture module
 * has a kprobe there.
 */
DECLARE_TRACEPOINT(ostor_enter);
DECLARE_TRACEPOINT(ostor_storage_locked);
DECLARE_TRACEPOINT(ostor_bucket_locked);
void ostor_trace_enter(unsigned long owner);
void ostor_trace_locked(u32 event, unsigned long owner);
#ifdef OSTOR_TEST
/* The innermost section that this CPU is in, see lock_order.rs, and its nested NMIs. */
u32 ostor_section(void);
void ostor_set_section(u32 section);
u32 ostor_nmi_depth(void);

/*
 * Makes the next call of @function fail with ENOMEM in place of running, if the
 * task that armed the fault makes the call. @function must be valid until the
 * detach. Attach and detach may sleep. EOPNOTSUPP without CONFIG_KPROBES.
 */
void *ostor_fork_fault_attach(const char *function);
void ostor_fork_fault_detach(void *probe);
void ostor_fork_fault_arm(void);

/* The cgroup whose own count @ref is. NULL if it is the count of a controller's state. */
struct cgroup *ostor_cgroup_of_ref(struct percpu_ref *ref);

/* Has the last put free the socket a grace period later. */
void ostor_sock_free_by_rcu(struct sock *sk);
#endif

/* The kernel's tracepoints and functions. */
struct tracepoint *ostor_tracepoint_find(const char *name);
void ostor_tracepoint_sync(void);
void *ostor_ftrace_hook_attach(const char *function,
			       void (*fn)(unsigned long arg0, unsigned long arg1));

/* After an error the hook may still be called, so it and this module have to stay. */
int ostor_ftrace_hook_detach(void *hook);
bool ostor_ftrace_hook_called(void *hook);

/* Called in a hook. Whether another ftrace_ops covers the function too. */
bool ostor_in_ftrace_loop(void);

/*
 * Has @fn called for memory that is freed where ftrace drops calls: from soon after
 * the request, which any context may make, until the end, which may sleep. There is
 * one at a time.
 */
void ostor_free_hook_prepare(void (*fn)(unsigned long addr));
void ostor_free_hook_request(void);
void ostor_free_hook_end(void);
#ifdef OSTOR_TEST
/* Waits until the request is fulfilled. */
void ostor_free_hook_wait(void);
#endif

void ostor_module_pin(void);
void ostor_sleep_idle(u32 seconds);

/*
 * Owners. A function that looks an object up returns a reference, or an ERR_PTR.
 * A memory cgroup is valid under RCU. It is NULL if there is none, or for the root.
 */
struct task_struct *ostor_task_of_pidfd(struct file *file);
bool ostor_task_alive(struct task_struct *task);
struct mem_cgroup *ostor_task_memcg(struct task_struct *task);

struct cgroup *ostor_cgroup_of_fd(int fd);
struct cgroup *ostor_cgroup_of_id(u64 id);
void ostor_cgroup_get(struct cgroup *cgrp);
void ostor_cgroup_put(struct cgroup *cgrp);
bool ostor_cgroup_alive(struct cgroup *cgrp);
struct mem_cgroup *ostor_cgroup_memcg(struct cgroup *cgrp);

/* Offset of a socket's cookie. bindgen does not translate struct sock. */
static const size_t OSTOR_SOCK_COOKIE = offsetof(struct sock, sk_cookie);

struct sock *ostor_sock_of_fd(int fd);
void ostor_sock_hold(struct sock *sk);
void ostor_sock_put(struct sock *sk);
bool ostor_sock_alive(struct sock *sk);
bool ostor_sock_is_tcp(const struct sock *sk);
u64 ostor_sock_gen_cookie(struct sock *sk);
bool ostor_sock_charge(struct sock *sk, u32 bytes);
void ostor_sock_uncharge(struct sock *sk, u32 bytes);
u32 ostor_sock_omem_left(const struct sock *sk);

/* Offset of a namespace's cookie. Not all kernel crates translate struct net. */
static const size_t OSTOR_NET_COOKIE = offsetof(struct net, net_cookie);

struct net *ostor_net_of_fd(int fd);
void ostor_net_get(struct net *net);
void ostor_net_put(struct net *net);
bool ostor_net_alive(const struct net *net);
int ostor_net_hook_attach(void (*fn)(struct net *net));
void ostor_net_hook_detach(void);

/*
 * Objects for the startup test. A function that makes one returns an ERR_PTR if it
 * cannot. All may sleep.
 */
struct task_struct *ostor_startup_task(void);

/* The last put frees it. */
struct sock *ostor_startup_sock(void);

#ifdef OSTOR_TEST
/* Puts @socks so that ftrace drops the notices of all but the first two. */
int ostor_nest_socket_ends(struct sock *const *socks, u32 count);
#endif

/* TCP over the loopback device. */
void *ostor_startup_listen(void);
void *ostor_startup_connect(void *listener);
void *ostor_startup_accept(void *listener);
struct sock *ostor_startup_socket_sk(void *socket);
void ostor_startup_socket_end(void *socket);

/* A cgroup v2, below the root of the caller's cgroup namespace. */
void *ostor_startup_cgroup_mount(void);
void ostor_startup_cgroup_unmount(void *mount);
struct cgroup *ostor_startup_cgroup(void *mount);
int ostor_startup_cgroup_remove(void *mount);

/*
 * What BPF programs know of a map. The rest of the object is Rust's: BpfMap.
 */
struct ostor_bpf_map {
	u64 id;
};

/*
 * Lets BPF programs use the kfuncs, as long as the module is loaded. ENODATA if the
 * kernel has no BTF of this module.
 */
int ostor_bpf_register(void);

/* Puts the sockets whose last reference a program would have put. May sleep. */
void ostor_bpf_put_late_socks(void);

/*
 * The functions behind the kfuncs. Rust defines them, and checks these declarations.
 * The caller is in an RCU read section, except of acquire, release and queue_ends.
 */
void __ostor_bpf_queue_ends(void);
struct ostor_bpf_map *__ostor_bpf_map_borrow(u64 id);
struct ostor_bpf_map *__ostor_bpf_map_acquire(u64 id);
void __ostor_bpf_map_release(struct ostor_bpf_map *map);

int __ostor_bpf_task_get(struct ostor_bpf_map *map, struct task_struct *owner,
			 void *value, u32 size);
const u8 *__ostor_bpf_task_peek(struct ostor_bpf_map *map, struct task_struct *owner,
				u32 size);
int __ostor_bpf_task_get_or_create(struct ostor_bpf_map *map, struct task_struct *owner,
				   void *value, u32 size);
int __ostor_bpf_task_update(struct ostor_bpf_map *map, struct task_struct *owner,
			    void *value, u32 size, u64 flags);
int __ostor_bpf_task_delete(struct ostor_bpf_map *map, struct task_struct *owner);

int __ostor_bpf_cgroup_get(struct ostor_bpf_map *map, struct cgroup *owner, void *value,
			   u32 size);
const u8 *__ostor_bpf_cgroup_peek(struct ostor_bpf_map *map, struct cgroup *owner,
				  u32 size);
int __ostor_bpf_cgroup_get_or_create(struct ostor_bpf_map *map, struct cgroup *owner,
				     void *value, u32 size);
int __ostor_bpf_cgroup_update(struct ostor_bpf_map *map, struct cgroup *owner,
			      void *value, u32 size, u64 flags);
int __ostor_bpf_cgroup_delete(struct ostor_bpf_map *map, struct cgroup *owner);

int __ostor_bpf_sock_get(struct ostor_bpf_map *map, struct sock *owner, void *value,
			 u32 size);
const u8 *__ostor_bpf_sock_peek(struct ostor_bpf_map *map, struct sock *owner, u32 size);
int __ostor_bpf_sock_get_or_create(struct ostor_bpf_map *map, struct sock *owner,
				   void *value, u32 size);
int __ostor_bpf_sock_update(struct ostor_bpf_map *map, struct sock *owner, void *value,
			    u32 size, u64 flags);
int __ostor_bpf_sock_delete(struct ostor_bpf_map *map, struct sock *owner);

#ifdef OSTOR_KUNIT
/* The suites run code in interrupts and inside operations as the torture module does. */
#include "../../torture/contexts.h"
#endif

#endif /* OSTOR_SHIM_H */
