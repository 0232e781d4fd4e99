// SPDX-License-Identifier: GPL-2.0
/*
 * TCP by service: connections, bytes and latency of each listening port.
 *
 * A socket that begins to listen gets a value, which names its service. Each connection
 * that it accepts inherits a copy, so nothing has to look up the port when a connection
 * closes. /sys/kernel/debug/tcp_service/services has the sums.
 *
 * Sockets that listened before the module was loaded are not counted.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/owner_storage.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/tcp.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <net/tcp_states.h>

/* One port, from the first listener on to the end of the module. */
struct service {
	struct list_head list;
	u16 port;
	/* Connections that have a value: accepted, and their sockets not freed yet. */
	atomic64_t open;
	/* What follows counts connections that have closed. */
	atomic64_t closed;
	/* Bytes from the peer, and bytes that the peer has acknowledged. Each has the FIN. */
	atomic64_t received;
	atomic64_t acked;
	atomic64_t life_us;
	atomic64_t rtt_us;
};

/* The value of a listener, where @since is 0, or of a connection that it has accepted. */
struct connection {
	struct service *service;
	/* When it was accepted, in nanoseconds. */
	u64 since;
};

static LIST_HEAD(services);
static DEFINE_SPINLOCK(services_lock);
static struct ostor_map *connections;
static struct tracepoint *set_state;
static struct dentry *dir;

/* The service of a port, or NULL if there is no memory. Process context. */
static struct service *service_of(u16 port)
{
	struct service *service, *new = kzalloc(sizeof(*new), GFP_ATOMIC);

	spin_lock_bh(&services_lock);
	list_for_each_entry(service, &services, list)
		if (service->port == port)
			goto found;
	service = new;
	new = NULL;
	if (service) {
		service->port = port;
		list_add_tail(&service->list, &services);
	}
found:
	spin_unlock_bh(&services_lock);
	kfree(new);
	return service;
}

static void init_listener(void *value, void *arg)
{
	struct connection *listener = value;

	listener->service = arg;
}

/* A connection is accepted. In the context of the network code. */
static void copy_to_accepted(void *to, const void *from, size_t size)
{
	const struct connection *listener = from;
	struct connection *accepted = to;

	accepted->service = listener->service;
	accepted->since = ktime_get_ns();
	atomic64_inc(&accepted->service->open);
}

/* The socket of a connection, or a listener, is gone. In a kworker. */
static void drop_connection(void *value)
{
	struct connection *gone = value;

	if (gone->since)
		atomic64_dec(&gone->service->open);
}

static void count_closed(struct sock *sk, struct connection *connection)
{
	struct service *service = connection->service;
	const struct tcp_sock *tp = tcp_sk(sk);

	atomic64_add(tp->bytes_received, &service->received);
	atomic64_add(tp->bytes_acked, &service->acked);
	atomic64_add((ktime_get_ns() - connection->since) / NSEC_PER_USEC, &service->life_us);
	/* The kernel keeps eight times the smoothed round-trip time. */
	atomic64_add(tp->srtt_us / 8, &service->rtt_us);
	atomic64_inc(&service->closed);
}

/* A probe of inet_sock_set_state, which the kernel passes with the socket locked. */
static void state_changes(void *data, const struct sock *const_sk, const int old, const int new)
{
	struct sock *sk = (struct sock *)const_sk;
	struct connection *connection;
	struct service *service;

	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	guard(rcu)();
	if (new == TCP_LISTEN) {
		service = service_of(sk->sk_num);
		if (service)
			owner_storage_sock_get_or_create(connections, sk, init_listener, service);
	} else if (new == TCP_CLOSE) {
		connection = owner_storage_sock_get(connections, sk);
		if (connection && connection->since && old != TCP_CLOSE)
			count_closed(sk, connection);
	}
}

static int services_show(struct seq_file *file, void *data)
{
	struct service *service;

	seq_puts(file, "port open closed received acked life_us rtt_us\n");
	spin_lock_bh(&services_lock);
	list_for_each_entry(service, &services, list) {
		s64 closed = atomic64_read(&service->closed);

		seq_printf(file, "%u %lld %lld %lld %lld %lld %lld\n", service->port,
			   atomic64_read(&service->open), closed,
			   atomic64_read(&service->received), atomic64_read(&service->acked),
			   div64_s64(atomic64_read(&service->life_us), closed ?: 1),
			   div64_s64(atomic64_read(&service->rtt_us), closed ?: 1));
	}
	spin_unlock_bh(&services_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(services);

static void note_set_state(struct tracepoint *tracepoint, void *data)
{
	if (!strcmp(tracepoint->name, "inet_sock_set_state"))
		set_state = tracepoint;
}

static int __init tcp_service_init(void)
{
	int err;

	/* The kernel does not export this tracepoint by name. */
	for_each_kernel_tracepoint(note_set_state, NULL);
	if (!set_state)
		return -EOPNOTSUPP;
	connections = owner_storage_map_create_cloning(sizeof(struct connection), drop_connection,
						       copy_to_accepted);
	if (IS_ERR(connections))
		return PTR_ERR(connections);
	err = tracepoint_probe_register(set_state, state_changes, NULL);
	if (err) {
		owner_storage_map_destroy(connections);
		return err;
	}
	dir = debugfs_create_dir("tcp_service", NULL);
	debugfs_create_file("services", 0400, dir, NULL, &services_fops);
	return 0;
}

static void __exit tcp_service_exit(void)
{
	struct service *service, *next;

	debugfs_remove(dir);
	tracepoint_probe_unregister(set_state, state_changes, NULL);
	tracepoint_synchronize_unregister();
	/* Returns when the last value was dropped, so no value refers to a service then. */
	owner_storage_map_destroy(connections);
	list_for_each_entry_safe(service, next, &services, list)
		kfree(service);
}

module_init(tcp_service_init);
module_exit(tcp_service_exit);
MODULE_AUTHOR("The owner_storage developers");
MODULE_DESCRIPTION("Sample of owner_storage: TCP connections, bytes and latency by service");
MODULE_LICENSE("GPL");
