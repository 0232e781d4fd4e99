// SPDX-License-Identifier: GPL-2.0
#if !defined(CONFIG_CGROUPS) || !defined(CONFIG_NET)
#error "owner_storage needs CONFIG_CGROUPS and CONFIG_NET: their objects are its owners"
#endif

#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/net.h>
#include <linux/sched/task.h>
#include <linux/sock_diag.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <uapi/linux/pidfd.h>

#include "shim.h"

#ifdef CONFIG_MEMCG
/* The memory cgroup to charge, or NULL: the root is not charged. */
static struct mem_cgroup *ostor_payer(struct mem_cgroup *memcg)
{
	return mem_cgroup_is_root(memcg) ? NULL : memcg;
}
#endif

/*
 * Whether the fork of @task can fail no more. Until copy_process() has passed its
 * last failure, the task shares its parent's thread_pid, whose first and only
 * member is the parent. A fork that has failed leaves TASK_DEAD without an exit
 * state. See Documentation/owners.rst for exchange_tids(), and for the order.
 */
static noinline bool ostor_task_finished(struct task_struct *task)
{
	struct pid *pid = READ_ONCE(task->thread_pid);
	struct task_struct *first = pid_task(pid, PIDTYPE_PID);
	bool is_shared, is_dead;

	if (first == task)
		return true;
	is_shared = first && READ_ONCE(first->thread_pid) == pid;
	/*
	 * A thread that has moved the members of @pid did so after the store of
	 * this task's thread_pid, after that of its exit state if the task was a
	 * leader, and after that of TASK_DEAD if its fork failed.
	 */
	smp_rmb();
	if (READ_ONCE(task->thread_pid) != pid)
		return true;
	is_dead = READ_ONCE(task->__state) == TASK_DEAD;
	/* A task that exits has its exit state before TASK_DEAD. */
	smp_rmb();
	return READ_ONCE(task->exit_state) || !(is_shared || is_dead);
}

/* Idle tasks have pid 0, share a struct pid, and never die. The first has no rcu_users. */
static bool ostor_task_idle(struct task_struct *task)
{
	return !READ_ONCE(task->pid) && READ_ONCE(task->thread_pid) == init_task.thread_pid;
}

/*
 * rcu_users is 0 once the task is both reaped and off the CPU. Its notice of death
 * comes a grace period later.
 */
bool ostor_task_alive(struct task_struct *task)
{
	struct pid *pid;

	if (ostor_task_idle(task))
		return true;
	if (!refcount_read(&task->rcu_users))
		return false;
	/* The first check of ostor_task_finished(), which is enough for most tasks. */
	pid = READ_ONCE(task->thread_pid);
	if (pid && rcu_access_pointer(hlist_first_rcu(&pid->tasks[PIDTYPE_PID])) ==
	    &task->pid_links[PIDTYPE_PID])
		return true;
	return ostor_task_finished(task);
}

/*
 * pidfd_get_task() is not exported. A pidfd is a file of pidfs with the file
 * operations that pidfs gives its inodes. Its i_private is the struct pid.
 */
struct task_struct *ostor_task_of_pidfd(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct task_struct *task;

	if (inode->i_sb->s_magic != PID_FS_MAGIC || file->f_op != inode->i_fop ||
	    !S_ISREG(inode->i_mode) || !inode->i_private)
		return ERR_PTR(-EBADF);
	task = get_pid_task(inode->i_private,
			    file->f_flags & PIDFD_THREAD ? PIDTYPE_PID : PIDTYPE_TGID);
	return task ?: ERR_PTR(-ESRCH);
}

struct mem_cgroup *ostor_task_memcg(struct task_struct *task)
{
#ifdef CONFIG_MEMCG
	if (!mem_cgroup_disabled())
		return ostor_payer(mem_cgroup_from_task(task));
#endif
	return NULL;
}

/*
 * As css_tryget_online_from_dir(), which is not exported, but also for a cgroup
 * that was removed and is still referenced.
 */
static struct cgroup *ostor_cgroup_of_inode(struct inode *inode)
{
	unsigned long magic = inode->i_sb->s_magic;
	struct kernfs_node *kn = inode->i_private;
	struct cgroup *cgrp;

	if ((magic != CGROUP_SUPER_MAGIC && magic != CGROUP2_SUPER_MAGIC) ||
	    !S_ISDIR(inode->i_mode) || !kn)
		return ERR_PTR(-EBADF);
	/* The release of the cgroup clears it, a grace period before the free. */
	rcu_read_lock();
	cgrp = rcu_dereference(*(void __rcu __force **)&kn->priv);
	if (!cgrp || !cgroup_tryget(cgrp))
		cgrp = ERR_PTR(-ESRCH);
	rcu_read_unlock();
	return cgrp;
}

/* The descriptor only names the cgroup, so O_PATH is enough. */
struct cgroup *ostor_cgroup_of_fd(int fd)
{
	struct file *file = fget_raw(fd);
	struct cgroup *cgrp;

	if (!file)
		return ERR_PTR(-EBADF);
	cgrp = ostor_cgroup_of_inode(file_inode(file));
	fput(file);
	return cgrp;
}

struct cgroup *ostor_cgroup_of_id(u64 id)
{
	struct cgroup *cgrp = cgroup_get_from_id(id);

	return IS_ERR(cgrp) ? ERR_PTR(-ESRCH) : cgrp;
}

void ostor_cgroup_get(struct cgroup *cgrp)
{
	cgroup_get(cgrp);
}

void ostor_cgroup_put(struct cgroup *cgrp)
{
	cgroup_put(cgrp);
}

/*
 * Whether the creation of @cgrp can fail no more. After the last failure the cgroup
 * is linked to its parent, or its hierarchy to the others. list_del_rcu() leaves
 * next as it is. Before that the list is zeroed, or empty, and root may be NULL.
 */
static bool ostor_cgroup_finished(struct cgroup *cgrp)
{
	struct cgroup_root *root = READ_ONCE(cgrp->root);
	const struct list_head *list, *next;

	if (!root)
		return false;
	list = cgrp == &root->cgrp ? &root->root_list : &cgrp->self.sibling;
	next = READ_ONCE(list->next);
	return next && next != list;
}

/* A cgroup is dying from its removal on. The release comes a grace period later. */
bool ostor_cgroup_alive(struct cgroup *cgrp)
{
	return ostor_cgroup_finished(cgrp) && !percpu_ref_is_dying(&cgrp->self.refcnt);
}

/*
 * The memory cgroup of @cgrp, or of its nearest ancestor where the controller is
 * enabled. NULL in a hierarchy without the controller.
 */
struct mem_cgroup *ostor_cgroup_memcg(struct cgroup *cgrp)
{
#ifdef CONFIG_MEMCG
	struct cgroup_subsys_state *css;

	if (mem_cgroup_disabled())
		return NULL;
	do {
		css = rcu_dereference(cgrp->subsys[memory_cgrp_id]);
		if (css)
			return ostor_payer(mem_cgroup_from_css(css));
		cgrp = cgroup_parent(cgrp);
	} while (cgrp);
#endif
	return NULL;
}

struct sock *ostor_sock_of_fd(int fd)
{
	struct socket *sock;
	struct sock *sk;
	int err;

	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return ERR_PTR(err);
	/* The descriptor's reference of the file keeps sock->sk. */
	sk = sock->sk;
	if (sk)
		sock_hold(sk);
	sockfd_put(sock);
	return sk ?: ERR_PTR(-ENOTSOCK);
}

void ostor_sock_hold(struct sock *sk)
{
	sock_hold(sk);
}

void ostor_sock_put(struct sock *sk)
{
	sock_put(sk);
}

/* Not request and timewait sockets, nor unfinished sockets, which have no reference. */
bool ostor_sock_alive(struct sock *sk)
{
	return sk_fullsock(sk) && refcount_read(&sk->sk_refcnt);
}

bool ostor_sock_is_tcp(const struct sock *sk)
{
	return sk_is_tcp(sk);
}

/* __sock_gen_cookie() is not exported; sock_diag_save_cookie(), which calls it, is. */
u64 ostor_sock_gen_cookie(struct sock *sk)
{
	u32 cookie[2];

	sock_diag_save_cookie(sk, cookie);
	return cookie[0] | (u64)cookie[1] << 32;
}

/* The limit of sock_kmalloc(), but check and charge are one atomic step. */
bool ostor_sock_charge(struct sock *sk, u32 bytes)
{
	int max = READ_ONCE(sock_net(sk)->core.sysctl_optmem_max);
	int now = atomic_read(&sk->sk_omem_alloc);

	do {
		if (bytes >= max || now >= max - (int)bytes)
			return false;
	} while (!atomic_try_cmpxchg(&sk->sk_omem_alloc, &now, now + bytes));
	return true;
}

void ostor_sock_uncharge(struct sock *sk, u32 bytes)
{
	atomic_sub(bytes, &sk->sk_omem_alloc);
}

/* Bytes charged. 0 if the socket has BPF storage, which is uncharged later. */
u32 ostor_sock_omem_left(const struct sock *sk)
{
	if (rcu_access_pointer(sk->sk_bpf_storage))
		return 0;
	return atomic_read(&sk->sk_omem_alloc);
}

struct net *ostor_net_of_fd(int fd)
{
	struct net *net = get_net_ns_by_fd(fd);

	/* EINVAL if @fd is anything else. */
	return PTR_ERR_OR_ZERO(net) == -EINVAL ? ERR_PTR(-EBADF) : net;
}

void ostor_net_get(struct net *net)
{
	get_net(net);
}

void ostor_net_put(struct net *net)
{
	put_net(net);
}

/*
 * The last put comes a grace period before the exit methods are called. A namespace
 * that setup_net() has not finished is in no list yet. If setup_net() fails, exit
 * was called already, or is never called. For a namespace that was listed, all exit
 * methods are called. net->list.next never becomes NULL again.
 */
bool ostor_net_alive(const struct net *net)
{
	return check_net(net) && net_initialized(net);
}

static void (*ostor_net_exit_fn)(struct net *net);

static void ostor_net_exit(struct net *net)
{
	ostor_net_exit_fn(net);
}

static struct pernet_operations ostor_net_ops = {
	.exit = ostor_net_exit,
};

int ostor_net_hook_attach(void (*fn)(struct net *net))
{
	ostor_net_exit_fn = fn;
	return register_pernet_subsys(&ostor_net_ops);
}

void ostor_net_hook_detach(void)
{
	unregister_pernet_subsys(&ostor_net_ops);
}
