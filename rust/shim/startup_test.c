// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/in.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/net.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "shim.h"

static int ostor_startup_thread(void *data)
{
	return 0;
}

/* The thread never runs its function: kthread_stop() comes first. */
struct task_struct *ostor_startup_task(void)
{
	return kthread_create(ostor_startup_thread, NULL, "ostor_startup");
}

/*
 * A socket of no family, so that no protocol has to be there. The last put frees it
 * as it frees any socket.
 */
static struct proto ostor_startup_proto = {
	.name = "OSTOR_STARTUP",
	.obj_size = sizeof(struct sock),
};

struct sock *ostor_startup_sock(void)
{
	struct sock *sk = sk_alloc(&init_net, AF_UNSPEC, GFP_KERNEL, &ostor_startup_proto, 1);

	if (!sk)
		return ERR_PTR(-ENOMEM);
	sock_init_data(NULL, sk);
	return sk;
}

#ifdef CONFIG_INET
static noinline struct socket *ostor_startup_tcp(void)
{
	struct socket *sock;
	int ret = sock_create_kern(&init_net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &sock);

	if (ret)
		return ERR_PTR(ret);
	/* A packet filter may drop the packets. Each step ends after a second. */
	WRITE_ONCE(sock->sk->sk_rcvtimeo, HZ);
	WRITE_ONCE(sock->sk->sk_sndtimeo, HZ);
	return sock;
}

void *ostor_startup_listen(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct socket *sock = ostor_startup_tcp();
	int ret;

	if (IS_ERR(sock))
		return sock;
	ret = kernel_bind(sock, (struct sockaddr_unsized *)&addr, sizeof(addr));
	if (!ret)
		ret = kernel_listen(sock, 1);
	if (!ret)
		return sock;
	sock_release(sock);
	return ERR_PTR(ret);
}

void *ostor_startup_connect(void *listener)
{
	struct sockaddr_storage addr = {};
	struct socket *sock;
	int ret;

	ret = kernel_getsockname(listener, (struct sockaddr *)&addr);
	if (ret < 0)
		return ERR_PTR(ret);
	sock = ostor_startup_tcp();
	if (IS_ERR(sock))
		return sock;
	ret = kernel_connect(sock, (struct sockaddr_unsized *)&addr,
			     sizeof(struct sockaddr_in), 0);
	if (!ret)
		return sock;
	sock_release(sock);
	return ERR_PTR(ret);
}

void *ostor_startup_accept(void *listener)
{
	struct socket *sock;
	int ret = kernel_accept(listener, &sock, 0);

	return ret ? ERR_PTR(ret) : sock;
}
#else
void *ostor_startup_listen(void)
{
	return ERR_PTR(-EAFNOSUPPORT);
}

void *ostor_startup_connect(void *listener)
{
	return ERR_PTR(-EAFNOSUPPORT);
}

void *ostor_startup_accept(void *listener)
{
	return ERR_PTR(-EAFNOSUPPORT);
}
#endif

/* Takes a reference. */
struct sock *ostor_startup_socket_sk(void *socket)
{
	struct sock *sk = ((struct socket *)socket)->sk;

	sock_hold(sk);
	return sk;
}

/* Resets the connection, so that no timewait socket is left. */
void ostor_startup_socket_end(void *socket)
{
	struct socket *sock = socket;

	sock_no_linger(sock->sk);
	sock_release(sock);
}

/* Of all that makes cgroups, only the file system is exported. It is never a module. */
void *ostor_startup_cgroup_mount(void)
{
	struct file_system_type *type = get_fs_type("cgroup2");

	return type ? kern_mount(type) : ERR_PTR(-ENODEV);
}

void ostor_startup_cgroup_unmount(void *mount)
{
	kern_unmount(mount);
}

/* The same name for each call of a thread, which makes one cgroup at a time. */
static struct qstr ostor_startup_name(char buf[static 40])
{
	int len = scnprintf(buf, 40, "owner_storage_startup.%d", current->pid);

	return (struct qstr)QSTR_INIT(buf, len);
}

struct cgroup *ostor_startup_cgroup(void *mount)
{
	struct dentry *root = ((struct vfsmount *)mount)->mnt_root;
	char buf[40];
	struct qstr name = ostor_startup_name(buf);
	struct kernfs_node *kn;
	struct cgroup *cgrp;
	struct dentry *dir;

	dir = start_creating_noperm(root, &name);
	if (IS_ERR(dir))
		return ERR_CAST(dir);
	dir = vfs_mkdir(&nop_mnt_idmap, d_inode(root), dir, 0755, NULL);
	if (IS_ERR(dir))
		return ERR_CAST(dir);
	end_creating(dir);
	/* In this file system, mkdir() makes no inode. A lookup does. */
	dir = lookup_noperm_positive_unlocked(&name, root);
	if (IS_ERR(dir)) {
		cgrp = ERR_CAST(dir);
	} else {
		kn = d_inode(dir)->i_private;
		cgrp = cgroup_get_from_id(kn->id);
		dput(dir);
	}
	if (IS_ERR(cgrp))
		ostor_startup_cgroup_remove(mount);
	return cgrp;
}

noinline int ostor_startup_cgroup_remove(void *mount)
{
	struct dentry *root = ((struct vfsmount *)mount)->mnt_root;
	char buf[40];
	struct qstr name = ostor_startup_name(buf);
	struct dentry *dir;
	int ret;

	dir = start_removing_noperm(root, &name);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	ret = vfs_rmdir(&nop_mnt_idmap, d_inode(root), dir, NULL);
	end_removing(dir);
	return ret;
}
