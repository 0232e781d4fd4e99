// SPDX-License-Identifier: GPL-2.0
#if !defined(CONFIG_CGROUPS) || !defined(CONFIG_NET)
#error "owner_storage needs CONFIG_CGROUPS and CONFIG_NET: their objects are its owners"
#endif

#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/net.h>
#include <linux/sock_diag.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <uapi/linux/pidfd.h>

#include "shim.h"

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
