// SPDX-License-Identifier: GPL-2.0
/*
 * The C API, as a module in C calls it: each function, for each kind of owners.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/owner_storage.h>
#include <linux/rcupdate.h>
#include <kunit/test.h>
#include <net/net_namespace.h>

#include "../rust/shim/shim.h"

/* Larger than the link that the allocator writes into free memory. */
struct value {
	u64 number;
	u64 rest[7];
};

/* Values that were made and dropped, and the sum of the numbers of those dropped. */
static struct {
	atomic_t made;
	atomic_t dropped;
	atomic_t sum;
} counts;

static void init_value(void *value, void *arg)
{
	struct value *new = value;

	new->number = *(const u64 *)arg;
	memset(new->rest, 0xff, sizeof(new->rest));
	atomic_inc(&counts.made);
}

static void drop_value(void *value)
{
	/* A drop may sleep. */
	might_sleep();
	atomic_add(((const struct value *)value)->number, &counts.sum);
	atomic_inc(&counts.dropped);
}

static void copy_value(void *to, const void *from, size_t size)
{
	u64 number = 10 * ((const struct value *)from)->number;

	if (size == sizeof(struct value))
		init_value(to, &number);
}

/* A kind of owners. @make returns an owner or an ERR_PTR, and @end ends it. */
struct kind {
	u32 number;
	void *(*make)(void);
	void (*end)(void *owner);
	void *(*get)(struct ostor_map *map, void *owner);
	void *(*get_or_create)(struct ostor_map *map, void *owner, owner_storage_init_t init,
			       void *arg);
	void *(*get_or_create_from)(struct ostor_map *map, void *owner,
				    struct ostor_reserve *reserve, owner_storage_init_t init,
				    void *arg);
	int (*update)(struct ostor_map *map, void *owner, unsigned int flags,
		      owner_storage_init_t init, void *arg);
	void *(*delete)(struct ostor_map *map, void *owner);
};

#define KIND(name, NUMBER)								\
static void *on_##name##_get(struct ostor_map *map, void *owner)			\
{											\
	return owner_storage_##name##_get(map, owner);					\
}											\
											\
static void *on_##name##_get_or_create(struct ostor_map *map, void *owner,		\
				       owner_storage_init_t init, void *arg)			\
{											\
	return owner_storage_##name##_get_or_create(map, owner, init, arg);		\
}											\
											\
static void *on_##name##_get_or_create_from(struct ostor_map *map, void *owner,		\
					    struct ostor_reserve *reserve,		\
					    owner_storage_init_t init, void *arg)	\
{											\
	return owner_storage_##name##_get_or_create_from(map, owner, reserve, init,	\
							 arg);				\
}											\
											\
static int on_##name##_update(struct ostor_map *map, void *owner, unsigned int flags,	\
			    owner_storage_init_t init, void *arg)			\
{											\
	return owner_storage_##name##_update(map, owner, flags, init, arg);		\
}											\
											\
static void *on_##name##_delete(struct ostor_map *map, void *owner)			\
{											\
	return owner_storage_##name##_delete(map, owner);				\
}											\
											\
static const struct kind name##_kind = {						\
	.number = NUMBER,								\
	.make = name##_make,								\
	.end = name##_end,								\
	.get = on_##name##_get,								\
	.get_or_create = on_##name##_get_or_create,					\
	.get_or_create_from = on_##name##_get_or_create_from,				\
	.update = on_##name##_update,							\
	.delete = on_##name##_delete,							\
}

static void *task_make(void)
{
	return ostor_startup_task();
}

static void task_end(void *task)
{
	kthread_stop(task);
}

KIND(task, OSTOR_KIND_TASK);

/* Where the cgroup of the test is. */
static void *mount;

static void *cgroup_make(void)
{
	struct cgroup *cgroup;

	mount = ostor_startup_cgroup_mount();
	if (IS_ERR(mount))
		return mount;
	cgroup = ostor_startup_cgroup(mount);
	if (IS_ERR(cgroup))
		ostor_startup_cgroup_unmount(mount);
	return cgroup;
}

static void cgroup_end(void *cgroup)
{
	ostor_startup_cgroup_remove(mount);
	ostor_cgroup_put(cgroup);
	ostor_startup_cgroup_unmount(mount);
}

KIND(cgroup, OSTOR_KIND_CGROUP);

static void *sock_make(void)
{
	return ostor_startup_sock();
}

static void sock_end(void *sk)
{
	ostor_sock_put(sk);
}

KIND(sock, OSTOR_KIND_SOCKET);

static void *net_make(void)
{
	return &init_net;
}

/* The first namespace does not end. */
static void net_end(void *net)
{
}

KIND(net, OSTOR_KIND_NETNS);

static void *slot_make(void)
{
	return owner_storage_slot_create() ?: ERR_PTR(-ENOMEM);
}

static void slot_end(void *slot)
{
	owner_storage_slot_destroy(slot);
}

KIND(slot, OSTOR_KIND_OBJECT);

/* The number of the value, 0 for one of zeroes, -1 for any other one, or an error. */
static long number_of(const struct value *value)
{
	if (IS_ERR(value))
		return PTR_ERR(value);
	if (!value)
		return -ENOENT;
	if (!memchr_inv(value, 0, sizeof(*value)))
		return 0;
	return memchr_inv(value->rest, 0xff, sizeof(value->rest)) ? -1 : (long)value->number;
}

static long get(const struct kind *kind, struct ostor_map *map, void *owner)
{
	guard(rcu)();
	return number_of(kind->get(map, owner));
}

/* A number of 0 stands for no function that writes the value. */
static long get_or_create(const struct kind *kind, struct ostor_map *map, void *owner, u64 number)
{
	guard(rcu)();
	return number_of(kind->get_or_create(map, owner, number ? init_value : NULL, &number));
}

static long get_or_create_from(const struct kind *kind, struct ostor_map *map, void *owner,
			       struct ostor_reserve *reserve, u64 number)
{
	guard(rcu)();
	return number_of(kind->get_or_create_from(map, owner, reserve, init_value, &number));
}

static int update(const struct kind *kind, struct ostor_map *map, void *owner, unsigned int flags,
		  u64 number)
{
	guard(rcu)();
	return kind->update(map, owner, flags, number ? init_value : NULL, &number);
}

static long delete(const struct kind *kind, struct ostor_map *map, void *owner)
{
	guard(rcu)();
	return number_of(kind->delete(map, owner));
}

struct visited {
	u32 kind;
	u64 id;
	int count;
};

static int visit(void *value, u32 kind, u64 id, void *arg)
{
	struct visited *visited = arg;

	visited->kind = kind;
	visited->id = id;
	visited->count++;
	return ((const struct value *)value)->number == 4 ? 77 : 0;
}

/* Waits for the drop of all values but @left, for 10 seconds at most. */
static void wait_for_drops(int left)
{
	for (int turn = 0; turn < 500; turn++) {
		if (atomic_read(&counts.made) - atomic_read(&counts.dropped) == left)
			return;
		msleep(20);
	}
}

static struct ostor_map *new_map(struct kunit *test)
{
	struct ostor_map *map = owner_storage_map_create(sizeof(struct value), drop_value);

	memset(&counts, 0, sizeof(counts));
	KUNIT_ASSERT_FALSE(test, IS_ERR(map));
	return map;
}

/* Each operation, on an owner of this kind, and the end of the owner. */
static void test_kind(struct kunit *test, const struct kind *kind)
{
	struct ostor_map *map = new_map(test);
	struct visited visited = {};
	void *owner = kind->make();
	long created;

	if (IS_ERR(owner)) {
		owner_storage_map_destroy(map);
		kunit_skip(test, "no such owner can be made: %ld\n", PTR_ERR(owner));
	}
	KUNIT_EXPECT_EQ(test, get(kind, map, owner), -ENOENT);
	KUNIT_EXPECT_EQ(test, delete(kind, map, owner), -ENOENT);
	KUNIT_EXPECT_EQ(test, update(kind, map, owner, OSTOR_EXIST, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, update(kind, map, owner, OSTOR_EXIST | OSTOR_NOEXIST, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.made), 0);

	created = get_or_create(kind, map, owner, 1);
	if (created == -EOPNOTSUPP) {
		kind->end(owner);
		owner_storage_map_destroy(map);
		kunit_skip(test, "this kernel does not tell of the end of such owners\n");
	}
	KUNIT_EXPECT_EQ(test, created, 1);
	KUNIT_EXPECT_EQ(test, get_or_create(kind, map, owner, 2), 1);
	KUNIT_EXPECT_EQ(test, update(kind, map, owner, OSTOR_NOEXIST, 2), -EEXIST);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.made), 1);
	KUNIT_EXPECT_EQ(test, update(kind, map, owner, OSTOR_EXIST, 2), 0);
	KUNIT_EXPECT_EQ(test, get(kind, map, owner), 2);
	KUNIT_EXPECT_EQ(test, update(kind, map, owner, OSTOR_ANY, 3), 0);
	KUNIT_EXPECT_EQ(test, owner_storage_map_for_each(map, visit, &visited), 0);
	KUNIT_EXPECT_EQ(test, visited.count, 1);
	KUNIT_EXPECT_EQ(test, visited.kind, kind->number);
	KUNIT_EXPECT_NE(test, visited.id, 0);
	KUNIT_EXPECT_EQ(test, delete(kind, map, owner), 3);
	KUNIT_EXPECT_EQ(test, get(kind, map, owner), -ENOENT);
	KUNIT_EXPECT_EQ(test, owner_storage_map_for_each(map, visit, &visited), 0);
	KUNIT_EXPECT_EQ(test, visited.count, 1);
	wait_for_drops(0);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.sum), 1 + 2 + 3);

	/* Zeroes, in memory that had another value. */
	KUNIT_EXPECT_EQ(test, get_or_create(kind, map, owner, 0), 0);
	KUNIT_EXPECT_EQ(test, update(kind, map, owner, OSTOR_EXIST, 4), 0);
	KUNIT_EXPECT_EQ(test, owner_storage_map_for_each(map, visit, &visited), 77);

	/* The value of zeroes has a drop, too: it is one more than what init_value() has made. */
	wait_for_drops(0);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), 4);
	kind->end(owner);
	if (kind->number != OSTOR_KIND_NETNS) {
		wait_for_drops(-1);
		KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), 5);
	}
	owner_storage_map_destroy(map);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.made), 4);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), 5);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.sum), 1 + 2 + 3 + 4);
}

static void c_api_tasks(struct kunit *test)
{
	test_kind(test, &task_kind);
}

static void c_api_cgroups(struct kunit *test)
{
	test_kind(test, &cgroup_kind);
}

static void c_api_sockets(struct kunit *test)
{
	test_kind(test, &sock_kind);
}

static void c_api_namespaces(struct kunit *test)
{
	test_kind(test, &net_kind);
}

static void c_api_slots(struct kunit *test)
{
	test_kind(test, &slot_kind);
}

/* A slot that ends in two steps refuses values after the first, and loses them with the second. */
static void c_api_slot_ends_in_two_steps(struct kunit *test)
{
	struct ostor_map *map = new_map(test);
	struct ostor_slot *slot = owner_storage_slot_create();

	KUNIT_ASSERT_NOT_NULL(test, slot);
	KUNIT_EXPECT_EQ(test, get_or_create(&slot_kind, map, slot, 1), 1);
	owner_storage_slot_begin_end(slot);
	KUNIT_EXPECT_EQ(test, get(&slot_kind, map, slot), 1);
	KUNIT_EXPECT_EQ(test, update(&slot_kind, map, slot, OSTOR_ANY, 2), -ESRCH);
	synchronize_rcu();
	owner_storage_slot_end(slot);
	wait_for_drops(0);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.sum), 1);
	owner_storage_map_destroy(map);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), 1);
	owner_storage_slot_destroy(NULL);
}

/* Creates take their memory from the reserve, and from nowhere else. */
static void test_reserve(struct kunit *test, const struct kind *kind)
{
	struct ostor_map *map = new_map(test);
	struct ostor_reserve *reserve = owner_storage_reserve_create(map, 1);
	void *owner = kind->make();
	long created;

	KUNIT_EXPECT_FALSE(test, IS_ERR(reserve));
	if (IS_ERR(reserve) || IS_ERR(owner))
		goto end;
	KUNIT_EXPECT_EQ(test, owner_storage_reserve_left(reserve), 1);
	created = get_or_create_from(kind, map, owner, reserve, 1);
	if (created == -EOPNOTSUPP)
		goto end;
	KUNIT_EXPECT_EQ(test, created, 1);
	KUNIT_EXPECT_EQ(test, owner_storage_reserve_left(reserve), 0);
	KUNIT_EXPECT_EQ(test, get_or_create_from(kind, map, owner, reserve, 2), 1);
	KUNIT_EXPECT_EQ(test, delete(kind, map, owner), 1);
	KUNIT_EXPECT_EQ(test, get_or_create_from(kind, map, owner, reserve, 2), -ENOMEM);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.made), 1);
	KUNIT_EXPECT_EQ(test, owner_storage_reserve_fill(reserve, 2), 0);
	KUNIT_EXPECT_EQ(test, owner_storage_reserve_left(reserve), 2);
	KUNIT_EXPECT_EQ(test, get_or_create_from(kind, map, owner, reserve, 3), 3);
	KUNIT_EXPECT_EQ(test, owner_storage_reserve_left(reserve), 1);
	KUNIT_EXPECT_EQ(test, get(kind, map, owner), 3);
end:
	if (!IS_ERR(owner))
		kind->end(owner);
	owner_storage_map_destroy(map);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), atomic_read(&counts.made));
	/* It does not refer to the map. */
	if (!IS_ERR(reserve))
		owner_storage_reserve_destroy(reserve);
}

static void c_api_reserves(struct kunit *test)
{
	test_reserve(test, &task_kind);
	test_reserve(test, &cgroup_kind);
	test_reserve(test, &sock_kind);
	test_reserve(test, &net_kind);
	test_reserve(test, &slot_kind);
	owner_storage_reserve_destroy(NULL);
}

/* A flush returns when the drops of all values that were deleted before have run. */
static void c_api_flush(struct kunit *test)
{
	struct ostor_map *map = new_map(test);

	for (int i = 1; i <= 3; i++) {
		KUNIT_EXPECT_EQ(test, get_or_create(&net_kind, map, &init_net, i), i);
		KUNIT_EXPECT_EQ(test, delete(&net_kind, map, &init_net), i);
		owner_storage_flush();
		KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), i);
	}
	owner_storage_map_destroy(map);
}

/* An accepted socket has a copy of its listener's value, made by @copy. */
static void test_clone(struct kunit *test, owner_storage_copy_t copy, long wanted)
{
	struct ostor_map *map = owner_storage_map_create_cloning(sizeof(struct value), drop_value,
								 copy);
	struct socket *sockets[3];
	int made = 0;

	memset(&counts, 0, sizeof(counts));
	if (PTR_ERR(map) == -EOPNOTSUPP)
		kunit_skip(test, "this kernel has no hooks for accepted sockets\n");
	KUNIT_ASSERT_FALSE(test, IS_ERR(map));
	sockets[0] = ostor_startup_listen();
	if (IS_ERR(sockets[0]))
		goto end;
	made++;
	KUNIT_EXPECT_EQ(test, get_or_create(&sock_kind, map, sockets[0]->sk, 5), 5);
	sockets[1] = ostor_startup_connect(sockets[0]);
	if (IS_ERR(sockets[1]))
		goto end;
	made++;
	sockets[2] = ostor_startup_accept(sockets[0]);
	if (IS_ERR(sockets[2]))
		goto end;
	made++;
	KUNIT_EXPECT_EQ(test, get(&sock_kind, map, sockets[2]->sk), wanted);
	KUNIT_EXPECT_EQ(test, get(&sock_kind, map, sockets[1]->sk), -ENOENT);
	KUNIT_EXPECT_EQ(test, get(&sock_kind, map, sockets[0]->sk), 5);
end:
	while (made)
		ostor_startup_socket_end(sockets[--made]);
	owner_storage_map_destroy(map);
	if (IS_ERR(sockets[0]))
		kunit_skip(test, "there is no TCP: %ld\n", PTR_ERR(sockets[0]));
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.dropped), 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&counts.sum), 5 + wanted);
}

static void c_api_clones_by_a_function(struct kunit *test)
{
	test_clone(test, copy_value, 50);
}

static void c_api_clones_bytes(struct kunit *test)
{
	test_clone(test, NULL, 5);
}

static void c_api_refuses_sizes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, PTR_ERR(owner_storage_map_create(0, NULL)), -EINVAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(owner_storage_map_create(OSTOR_VALUE_SIZE_MAX + 1, NULL)),
			-E2BIG);
	owner_storage_map_destroy(NULL);
}

static struct kunit_case c_api_cases[] = {
	KUNIT_CASE(c_api_tasks),
	KUNIT_CASE(c_api_cgroups),
	KUNIT_CASE(c_api_sockets),
	KUNIT_CASE(c_api_namespaces),
	KUNIT_CASE(c_api_slots),
	KUNIT_CASE(c_api_slot_ends_in_two_steps),
	KUNIT_CASE(c_api_reserves),
	KUNIT_CASE(c_api_flush),
	KUNIT_CASE(c_api_clones_by_a_function),
	KUNIT_CASE(c_api_clones_bytes),
	KUNIT_CASE(c_api_refuses_sizes),
	{}
};

static struct kunit_suite c_api_suite = {
	.name = "ostor_c_api",
	.test_cases = c_api_cases,
};

kunit_test_suite(c_api_suite);
