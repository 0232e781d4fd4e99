// SPDX-License-Identifier: GPL-2.0
/*
 * Calls /dev/owner_storage from a 32-bit program: every command on maps and
 * elements, with valid and invalid arguments, with the calling thread, another
 * process and a socket as owners.
 *
 * A 32-bit caller can break on the layout of an argument and on the extension of
 * an address or descriptor to 64 bits. So each argument lies above 2 GiB, where
 * sign extension shows, and at 4 modulo 8, where i386 may align one; each output
 * is all ones before the command; and some inputs differ only above bit 31.
 *
 * Prints KTAP, a line for each check, and exits with 0 if all pass.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/owner_storage.h>

static_assert(sizeof(void *) == 4, "this is a test of 32-bit callers");

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

#define DEVICE		"/dev/owner_storage"
#define ABOVE_2GIB	((void *)0xc0000000)
#define BELOW_2GIB	((void *)0x20000000)
#define MAPPED		8192
#define BIT_32		0x100000000ULL
#define BIT_46		0x400000000000ULL
#define BIT_63		0x8000000000000000ULL
#define SIGN		0xffffffff00000000ULL
#define UNSET		(~0ULL)
#define UNSET_32	(~0U)

/* A size after which nothing is aligned. */
#define VALUE_SIZE	13
/* Offsets of values and entries in the memory, behind the argument. */
#define VALUES		1024
#define ENTRIES		2052
/* Fills all memory before each command. */
#define FILL		0xa5

static unsigned int checks, failed;
static const char *subject = "device";
static char *memory;

/* The values that are stored. */
static const char first[VALUE_SIZE] = "first value.";
static const char other[VALUE_SIZE] = "other value!";
static const char zeroes[VALUE_SIZE];

static void check(const char *what, const char *field, __u64 seen, __u64 wanted)
{
	checks++;
	if (seen == wanted) {
		printf("ok %u %s: %s: %s\n", checks, subject, what, field);
		return;
	}
	failed++;
	printf("not ok %u %s: %s: %s\n", checks, subject, what, field);
	printf("# is %llu (%#llx), must be %llu (%#llx)\n", seen, seen, wanted, wanted);
}

/* Ends the program unless a requirement of all checks is met. */
static void need(bool there, const char *what)
{
	if (there)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(2);
}

static bool is_filled(const char *from, const char *to)
{
	while (from < to) {
		if ((unsigned char)*from++ != FILL)
			return false;
	}
	return true;
}

/* Runs a command with an argument of @size bytes. Returns 0 or errno. */
static int command(const char *what, int fd, unsigned int cmd, void *arg, size_t size)
{
	char *at = memory + 4;
	int result;

	memset(memory, FILL, VALUES);
	memcpy(at, arg, size);
	result = ioctl(fd, cmd, at) ? errno : 0;
	memcpy(arg, at, size);
	check(what, "nothing is written outside the argument",
	      is_filled(memory, at) && is_filled(at + size, memory + VALUES), true);
	return result;
}

static void succeeds(const char *what, int fd, unsigned int cmd, void *arg)
{
	check(what, "result", command(what, fd, cmd, arg, _IOC_SIZE(cmd)), 0);
}

/* Checks that a command fails with @error and does not change its argument. */
static void fails(const char *what, int fd, unsigned int cmd, const void *arg, int error)
{
	char after[512];
	size_t size = _IOC_SIZE(cmd);

	memcpy(after, arg, size);
	check(what, "errno", command(what, fd, cmd, after, size), error);
	check(what, "the argument is as it was", memcmp(arg, after, size), 0);
}

static __u64 address(const void *at)
{
	return (unsigned long)at;
}

/* Puts a value into memory and fills the bytes behind it. */
static char *place(const char *bytes)
{
	char *at = memory + VALUES;

	memset(at, FILL, ENTRIES - VALUES);
	if (bytes)
		memcpy(at, bytes, VALUE_SIZE);
	return at;
}

static void check_value(const char *what, const char *wanted)
{
	const char *at = memory + VALUES;

	check(what, "value", memcmp(at, wanted, VALUE_SIZE), 0);
	check(what, "nothing is written behind the value",
	      is_filled(at + VALUE_SIZE, memory + ENTRIES), true);
}

static const struct {
	const char *name;
	unsigned int cmd;
} elem_commands[] = {
	{ "lookup", OSTOR_IOC_LOOKUP },
	{ "get or create", OSTOR_IOC_GET_OR_CREATE },
	{ "update", OSTOR_IOC_UPDATE },
	{ "delete", OSTOR_IOC_DELETE },
	{ "take", OSTOR_IOC_TAKE },
}, all_commands[] = {
	{ "map create", OSTOR_IOC_MAP_CREATE },
	{ "map info", OSTOR_IOC_MAP_INFO },
	{ "lookup", OSTOR_IOC_LOOKUP },
	{ "get or create", OSTOR_IOC_GET_OR_CREATE },
	{ "update", OSTOR_IOC_UPDATE },
	{ "delete", OSTOR_IOC_DELETE },
	{ "take", OSTOR_IOC_TAKE },
	{ "list", OSTOR_IOC_LIST },
	{ "list owner", OSTOR_IOC_LIST_OWNER },
	{ "statistics", OSTOR_IOC_STATS },
};

/* An argument with the value at @value, or without one if that is 0. */
static struct ostor_elem elem(struct ostor_owner owner, __u64 value)
{
	struct ostor_elem arg = {
		.owner = owner,
		.value = value,
		.value_size = value ? VALUE_SIZE : 0,
		.seq = UNSET,
		.created = UNSET_32,
	};

	return arg;
}

static void elem_succeeds(const char *what, int map, unsigned int cmd, struct ostor_elem arg,
			  __u64 seq, bool created)
{
	struct ostor_elem before = arg;

	succeeds(what, map, cmd, &arg);
	check(what, "seq", arg.seq, seq);
	check(what, "created", arg.created, created);
	arg.seq = before.seq;
	arg.created = before.created;
	check(what, "inputs are as they were", memcmp(&arg, &before, sizeof(arg)), 0);
}

static void update(const char *what, int map, struct ostor_owner owner, const char *value,
		   __u32 flags, __u64 seq, bool created)
{
	struct ostor_elem arg = elem(owner, address(place(value)));

	arg.flags = flags;
	elem_succeeds(what, map, OSTOR_IOC_UPDATE, arg, seq, created);
	check_value(what, value);
}

static void update_fails(const char *what, int map, struct ostor_owner owner, __u32 flags,
			 int error)
{
	struct ostor_elem arg = elem(owner, address(place(other)));

	arg.flags = flags;
	fails(what, map, OSTOR_IOC_UPDATE, &arg, error);
}

/* Checks that a lookup, get-or-create or take returns the stored value. */
static void returns(const char *what, int map, unsigned int cmd, struct ostor_owner owner,
		    const char *value, __u64 seq)
{
	elem_succeeds(what, map, cmd, elem(owner, address(place(NULL))), seq, false);
	check_value(what, value);
}

static void returns_nothing(const char *what, int map, unsigned int cmd, struct ostor_owner owner)
{
	struct ostor_elem arg = elem(owner, address(place(NULL)));

	fails(what, map, cmd, &arg, ENOENT);
	check(what, "writes no value", is_filled(memory + VALUES, memory + ENTRIES),
	      true);
}

/*
 * Checks all commands on one owner. @before elements were created in the map
 * before. Creates three more and leaves the last one, with the first value.
 */
static void one_owner(int map, struct ostor_owner owner, __u64 before)
{
	struct ostor_elem none = elem(owner, 0);
	__u64 seq = before + 1;

	returns_nothing("lookup of nothing", map, OSTOR_IOC_LOOKUP, owner);
	fails("delete of nothing", map, OSTOR_IOC_DELETE, &none, ENOENT);
	returns_nothing("take of nothing", map, OSTOR_IOC_TAKE, owner);
	update_fails("update of nothing, EXIST", map, owner, OSTOR_EXIST, ENOENT);
	update("update, NOEXIST", map, owner, first, OSTOR_NOEXIST, seq, true);
	update_fails("second update, NOEXIST", map, owner, OSTOR_NOEXIST, EEXIST);
	returns("lookup", map, OSTOR_IOC_LOOKUP, owner, first, seq);
	update("update, EXIST", map, owner, other, OSTOR_EXIST, seq, false);
	returns("lookup of the update", map, OSTOR_IOC_LOOKUP, owner, other, seq);
	update("update, ANY", map, owner, first, OSTOR_ANY, seq, false);
	returns("get what is there", map, OSTOR_IOC_GET_OR_CREATE, owner, first, seq);
	elem_succeeds("get without a value", map, OSTOR_IOC_GET_OR_CREATE, none, seq, false);
	elem_succeeds("delete", map, OSTOR_IOC_DELETE, none, seq, false);
	fails("second delete", map, OSTOR_IOC_DELETE, &none, ENOENT);

	seq++;
	elem_succeeds("create without a value", map, OSTOR_IOC_GET_OR_CREATE, none, seq, true);
	returns("lookup of zeroes", map, OSTOR_IOC_LOOKUP, owner, zeroes, seq);
	update("update of zeroes, ANY", map, owner, other, OSTOR_ANY, seq, false);
	returns("take", map, OSTOR_IOC_TAKE, owner, other, seq);
	returns_nothing("second take", map, OSTOR_IOC_TAKE, owner);

	seq++;
	elem_succeeds("create with a value", map, OSTOR_IOC_GET_OR_CREATE,
		      elem(owner, address(place(first))), seq, true);
	check_value("create with a value", first);
}

/* Checks that every command on an element fails. */
static void elems_fail(const char *what, int map, struct ostor_elem arg, int error)
{
	const char *outer = subject;
	size_t i;

	for (i = 0; i < COUNT(elem_commands); i++) {
		struct ostor_elem its = arg;

		if (elem_commands[i].cmd == OSTOR_IOC_DELETE) {
			its.value = 0;
			its.value_size = 0;
		}
		subject = elem_commands[i].name;
		fails(what, map, elem_commands[i].cmd, &its, error);
	}
	subject = outer;
}

static void wrong_owners(int map, int pidfd, int socket)
{
	static const __s32 negative[] = { -1, INT_MIN };
	struct ostor_elem arg = elem((struct ostor_owner){}, address(place(first)));
	size_t i;

	arg.owner.by = OSTOR_BY_NETNS + 1;
	elems_fail("no such kind of names", map, arg, EINVAL);
	arg.owner.by = OSTOR_BY_SELF;
	arg.owner.fd = -1;
	elems_fail("a descriptor for the calling thread", map, arg, EINVAL);
	arg.owner.fd = 0;
	arg.owner.id = BIT_32;
	elems_fail("an id for the calling thread, above bit 31", map, arg, EINVAL);
	arg.owner.by = OSTOR_BY_PIDFD;
	arg.owner.fd = pidfd;
	elems_fail("an id for a pidfd, above bit 31", map, arg, EINVAL);
	arg.owner.by = OSTOR_BY_SOCKET;
	arg.owner.fd = socket;
	arg.owner.id = BIT_63;
	elems_fail("an id for a socket, bit 63", map, arg, EINVAL);
	arg.owner.id = 0;
	for (i = 0; i < COUNT(negative); i++) {
		arg.owner.fd = negative[i];
		arg.owner.by = OSTOR_BY_PIDFD;
		elems_fail("a negative pidfd", map, arg, EBADF);
		arg.owner.by = OSTOR_BY_SOCKET;
		elems_fail("a negative socket", map, arg, EBADF);
	}
	arg.owner.fd = pidfd;
	elems_fail("a pidfd for a socket", map, arg, ENOTSOCK);
	arg.owner.by = OSTOR_BY_PIDFD;
	arg.owner.fd = socket;
	elems_fail("a socket for a pidfd", map, arg, EBADF);
}

/* A cgroup's id is the only 64-bit input that names an object. */
static void cgroup_ids(int map)
{
	struct ostor_owner root = { .by = OSTOR_BY_CGROUP_ID, .id = 1 };
	struct ostor_elem arg = elem(root, 0);

	fails("the root's id", map, OSTOR_IOC_DELETE, &arg, ENOENT);
	arg.owner.id |= BIT_32;
	fails("the root's id and bit 32", map, OSTOR_IOC_DELETE, &arg, ESRCH);
	arg.owner.id = 1 | BIT_63;
	fails("the root's id and bit 63", map, OSTOR_IOC_DELETE, &arg, ESRCH);
}

/* The calling thread has an element with number @seq and the first value. */
static void wrong_elems(int map, __u64 seq)
{
	struct ostor_owner self = { .by = OSTOR_BY_SELF };
	struct ostor_elem none = elem(self, 0);
	struct ostor_elem right = elem(self, address(place(first)));
	struct ostor_elem arg = right;
	static const struct {
		const char *name;
		__u64 bits;
	} faults[] = {
		{ "a value's address and bit 32", BIT_32 },
		{ "a value's address and bit 46", BIT_46 },
		{ "a value's address and bit 63", BIT_63 },
		{ "a value's address widened by sign", SIGN },
	};
	size_t i, j;

	arg.reserved = 1;
	elems_fail("a reserved field", map, arg, EINVAL);
	arg = right;
	arg.flags = OSTOR_EXIST + 1;
	elems_fail("no such flags", map, arg, EINVAL);
	for (i = 0; i < COUNT(elem_commands); i++) {
		unsigned int cmd = elem_commands[i].cmd;

		subject = elem_commands[i].name;
		if (cmd != OSTOR_IOC_UPDATE) {
			arg = cmd == OSTOR_IOC_DELETE ? none : right;
			arg.flags = OSTOR_EXIST;
			fails("flags of an update", map, cmd, &arg, EINVAL);
		}
		if (cmd == OSTOR_IOC_DELETE) {
			arg = none;
			arg.value = BIT_32;
			fails("a value's address of bit 32 alone", map, cmd, &arg, EINVAL);
			arg = none;
			arg.value_size = VALUE_SIZE;
			fails("a value's size", map, cmd, &arg, EINVAL);
			continue;
		}
		arg = right;
		arg.value_size--;
		fails("another value size", map, cmd, &arg, EINVAL);
		arg = none;
		arg.value_size = VALUE_SIZE;
		fails("a size and no value", map, cmd, &arg, EINVAL);
		arg = right;
		arg.value = BIT_32;
		fails("a value's address of bit 32 alone", map, cmd, &arg, EFAULT);
		arg.value = UINT_MAX - 4;
		fails("a value across 4 GiB", map, cmd, &arg, EFAULT);
		for (j = 0; j < COUNT(faults); j++) {
			arg.value = right.value | faults[j].bits;
			fails(faults[j].name, map, cmd, &arg, EFAULT);
		}
	}
	subject = "after wrong arguments";
	check_value("memory", first);
	returns("lookup", map, OSTOR_IOC_LOOKUP, self, first, seq);
}

static void check_info(const char *what, int map, __u32 value_size, __u32 flags, __u64 elements,
		       __u64 created, __u64 deleted, __u64 replaced, struct ostor_map_info *info)
{
	memset(info, 0xff, sizeof(*info));
	succeeds(what, map, OSTOR_IOC_MAP_INFO, info);
	check(what, "value_size", info->value_size, value_size);
	check(what, "element_size", info->element_size > value_size && info->element_size < 16384,
	      true);
	check(what, "buckets", info->buckets && !(info->buckets & (info->buckets - 1)), true);
	check(what, "flags", info->flags, flags);
	check(what, "id", info->id && info->id < BIT_32, true);
	check(what, "elements", info->elements, elements);
	check(what, "pending", info->pending <= created - elements, true);
	check(what, "bytes",
	      info->bytes > (__u64)info->buckets * 4 + elements * info->element_size &&
	      info->bytes < BIT_32, true);
	check(what, "created", info->created, created);
	check(what, "deleted", info->deleted, deleted);
	check(what, "replaced", info->replaced, replaced);
	check(what, "owner_deaths", info->owner_deaths, 0);
	check(what, "deadlocks", info->deadlocks, 0);
	check(what, "timeouts", info->timeouts, 0);
	check(what, "nomem", info->nomem, 0);
	check(what, "deferred", info->deferred <= created, true);
	check(what, "clones", info->clones, 0);
	check(what, "clone_failures", info->clone_failures, 0);
	check(what, "reserved", info->reserved, 0);
}

static struct ostor_stats stats(const char *what, int fd)
{
	struct ostor_stats stats;
	unsigned int kind;

	memset(&stats, 0xff, sizeof(stats));
	succeeds(what, fd, OSTOR_IOC_STATS, &stats);
	check(what, "maps", stats.maps < BIT_32, true);
	check(what, "elements", stats.elements, stats.allocated - stats.freed);
	check(what, "storages", stats.storages < BIT_32, true);
	check(what, "bytes", stats.bytes < BIT_32, true);
	check(what, "allocated", stats.allocated < BIT_32, true);
	check(what, "dropped", stats.dropped <= stats.allocated, true);
	check(what, "freed", stats.freed <= stats.dropped, true);
	check(what, "owner_deaths", stats.owner_deaths < BIT_32, true);
	check(what, "late_free", stats.late_free < BIT_32, true);
	check(what, "deferred", stats.deferred < BIT_32, true);
	check(what, "finished", stats.finished < BIT_32, true);
	check(what, "stale", stats.stale < BIT_32, true);
	check(what, "charged", stats.charged < BIT_32, true);
	check(what, "omem_left", stats.omem_left < BIT_32, true);
	check(what, "kinds", stats.kinds & ~(1U << OSTOR_KIND_CGROUP | 1U << OSTOR_KIND_NETNS),
	      1U << OSTOR_KIND_TASK | 1U << OSTOR_KIND_SOCKET);
	check(what, "bpf above 1", stats.bpf > 1, 0);
	check(what, "uncharged", stats.uncharged < BIT_32, true);
	check(what, "shared", stats.shared < BIT_32, true);
	check(what, "pending", stats.pending < BIT_32, true);
	check(what, "pending_bytes", stats.pending_bytes < BIT_32, true);
	for (kind = 0; kind < COUNT(stats.refused); kind++) {
		bool known = kind >= OSTOR_KIND_TASK && kind <= OSTOR_KIND_NETNS;

		if (!known || stats.kinds & 1U << kind)
			check(what, "refused", stats.refused[kind], 0);
	}
	return stats;
}

static struct ostor_list list_arg(__u32 capacity)
{
	struct ostor_list arg = {
		.entries = address(memory + ENTRIES),
		.values = address(memory + VALUES),
		.value_size = VALUE_SIZE,
		.capacity = capacity,
		.count = UNSET_32,
		.done = UNSET_32,
	};

	memset(memory + VALUES, FILL, MAPPED - VALUES);
	return arg;
}

static void check_list(const char *what, const struct ostor_list *arg, __u32 count, __u32 done)
{
	const char *values = memory + VALUES;
	const char *entries = memory + ENTRIES;

	check(what, "count", arg->count, count);
	check(what, "done", arg->done, done);
	check(what, "entries", arg->entries, address(entries));
	check(what, "values", arg->values, address(values));
	check(what, "nothing is written behind the values",
	      is_filled(values + count * VALUE_SIZE, entries), true);
	check(what, "nothing is written behind the entries",
	      is_filled(entries + count * sizeof(struct ostor_entry), memory + MAPPED), true);
}

/* An element that a list must have. */
struct listed {
	const char *name;
	__u64 owner_id;
	__u64 seq;
	__u32 kind;
	bool seen;
};

/* Checks that a list has each element that it must have, once. */
static void check_entries(__u32 count, struct listed *listed, size_t wanted)
{
	__u32 i;

	for (i = 0; i < count; i++) {
		const char *value = memory + VALUES + i * VALUE_SIZE;
		struct ostor_entry entry;
		size_t j;

		memcpy(&entry, memory + ENTRIES + i * sizeof(entry), sizeof(entry));
		for (j = 0; j < wanted; j++) {
			if (!listed[j].seen && listed[j].owner_id == entry.owner_id &&
			    listed[j].kind == entry.owner_kind)
				break;
		}
		check("list", "the owner is one that has an element", j < wanted, true);
		if (j == wanted)
			continue;
		listed[j].seen = true;
		check(listed[j].name, "listed seq", entry.seq, listed[j].seq);
		check(listed[j].name, "listed reserved", entry.reserved, 0);
		check(listed[j].name, "listed value", memcmp(value, first, VALUE_SIZE), 0);
	}
}

static void lists(int map, struct listed *listed, size_t wanted)
{
	struct ostor_list arg = list_arg(wanted - 1);
	__u64 pos, seq;

	succeeds("list of a part", map, OSTOR_IOC_LIST, &arg);
	check_list("list of a part", &arg, wanted - 1, 0);
	check_entries(wanted - 1, listed, wanted);
	memset(memory + VALUES, FILL, MAPPED - VALUES);
	arg.capacity = OSTOR_LIST_MAX;
	arg.count = UNSET_32;
	arg.done = UNSET_32;
	succeeds("list of the rest", map, OSTOR_IOC_LIST, &arg);
	check_list("list of the rest", &arg, 1, 1);
	check_entries(1, listed, wanted);
	check("list of the rest", "pos", arg.pos && arg.pos < BIT_32, true);
	check("list of the rest", "seq", arg.seq, 0);

	arg = list_arg(wanted + 1);
	arg.values = 0;
	arg.value_size = 0;
	succeeds("list without values", map, OSTOR_IOC_LIST, &arg);
	arg.values = address(memory + VALUES);
	check("list without values", "writes none", is_filled(memory + VALUES, memory + ENTRIES),
	      true);
	check("list without values", "count", arg.count, wanted);
	check("list without values", "done", arg.done, 1);

	arg = list_arg(wanted + 1);
	arg.pos = BIT_32;
	succeeds("list from bit 32 on", map, OSTOR_IOC_LIST, &arg);
	check_list("list from bit 32 on", &arg, 0, 1);
	check("list from bit 32 on", "pos", arg.pos, BIT_32);

	arg = list_arg(1);
	succeeds("list of one", map, OSTOR_IOC_LIST, &arg);
	pos = arg.pos;
	seq = arg.seq;
	/* The elements of the bucket below the cursor: none if bit 32 is lost. */
	arg = list_arg(1);
	arg.pos = pos;
	arg.seq = BIT_32 | 1;
	succeeds("list from a seq with bit 32 on", map, OSTOR_IOC_LIST, &arg);
	check_list("list from a seq with bit 32 on", &arg, 1, 0);
	check("list from a seq with bit 32 on", "pos", arg.pos, pos);
	check("list from a seq with bit 32 on", "seq", arg.seq, seq);
}

static void wrong_lists(int map)
{
	struct ostor_list right = list_arg(8);
	struct ostor_list arg = right;

	arg.reserved = BIT_32;
	fails("a reserved field, bit 32", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg = right;
	arg.capacity = 0;
	fails("no capacity", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg.capacity = OSTOR_LIST_MAX + 1;
	fails("too much capacity", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg = right;
	arg.value_size++;
	fails("another value size", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg = right;
	arg.values = 0;
	fails("a size and no values", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg = right;
	arg.value_size = 0;
	arg.values = BIT_32;
	fails("values at bit 32 and no size", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg = right;
	arg.entries = 0;
	fails("no entries", map, OSTOR_IOC_LIST, &arg, EINVAL);
	arg.entries = right.entries | BIT_32;
	fails("entries' address and bit 32", map, OSTOR_IOC_LIST, &arg, EFAULT);
	arg.entries = right.entries | SIGN;
	fails("entries' address widened by sign", map, OSTOR_IOC_LIST, &arg, EFAULT);
	arg.entries = UINT_MAX - 4;
	fails("entries across 4 GiB", map, OSTOR_IOC_LIST, &arg, EFAULT);
	check("entries at wrong addresses", "writes nothing",
	      is_filled(memory + VALUES, memory + MAPPED), true);
	arg = right;
	arg.values = right.values | BIT_32;
	fails("values' address and bit 32", map, OSTOR_IOC_LIST, &arg, EFAULT);
	arg.values = right.values | SIGN;
	fails("values' address widened by sign", map, OSTOR_IOC_LIST, &arg, EFAULT);
	check("values at wrong addresses", "writes none",
	      is_filled(memory + VALUES, memory + ENTRIES), true);
}

static struct ostor_list_owner owner_list_arg(struct ostor_owner owner, __u32 capacity)
{
	struct ostor_list_owner arg = {
		.owner = owner,
		.entries = address(memory + ENTRIES),
		.capacity = capacity,
		.count = UNSET_32,
		.done = UNSET_32,
	};

	memset(memory + ENTRIES, FILL, MAPPED - ENTRIES);
	return arg;
}

static void check_owned(const char *what, const struct ostor_list_owner *arg,
			const struct ostor_owned *wanted, __u32 done)
{
	const char *entries = memory + ENTRIES;

	check(what, "count", arg->count, 1);
	check(what, "done", arg->done, done);
	check(what, "after", arg->after, wanted->map_id);
	check(what, "entry", memcmp(entries, wanted, sizeof(*wanted)), 0);
	check(what, "nothing is written behind the entry",
	      is_filled(entries + sizeof(*wanted), memory + MAPPED), true);
}

/* The owner has elements in two maps. */
static void owner_list(int fd, struct ostor_owner owner, const struct ostor_owned *one,
		       const struct ostor_owned *two)
{
	struct ostor_list_owner right = owner_list_arg(owner, 1);
	struct ostor_list_owner arg = right;

	succeeds("list of one", fd, OSTOR_IOC_LIST_OWNER, &arg);
	check_owned("list of one", &arg, one, 0);
	memset(memory + ENTRIES, FILL, MAPPED - ENTRIES);
	arg.capacity = OSTOR_LIST_MAX;
	arg.count = UNSET_32;
	arg.done = UNSET_32;
	succeeds("list of the other", fd, OSTOR_IOC_LIST_OWNER, &arg);
	check_owned("list of the other", &arg, two, 1);

	arg = owner_list_arg(owner, 1);
	arg.after = BIT_32;
	succeeds("list from bit 32 on", fd, OSTOR_IOC_LIST_OWNER, &arg);
	check("list from bit 32 on", "count", arg.count, 0);
	check("list from bit 32 on", "done", arg.done, 1);
	check("list from bit 32 on", "after", arg.after, BIT_32);

	arg = right;
	arg.entries |= BIT_32;
	fails("entries' address and bit 32", fd, OSTOR_IOC_LIST_OWNER, &arg, EFAULT);
	arg.entries |= SIGN;
	fails("entries' address widened by sign", fd, OSTOR_IOC_LIST_OWNER, &arg, EFAULT);
	check("entries at wrong addresses", "writes nothing",
	      is_filled(memory + ENTRIES, memory + MAPPED), true);
	arg.entries = 0;
	fails("no entries", fd, OSTOR_IOC_LIST_OWNER, &arg, EINVAL);
	arg = right;
	arg.reserved = 1;
	fails("a reserved field", fd, OSTOR_IOC_LIST_OWNER, &arg, EINVAL);
	arg = right;
	arg.capacity = 0;
	fails("no capacity", fd, OSTOR_IOC_LIST_OWNER, &arg, EINVAL);
	arg.capacity = OSTOR_LIST_MAX + 1;
	fails("too much capacity", fd, OSTOR_IOC_LIST_OWNER, &arg, EINVAL);
	arg = right;
	arg.owner.by = OSTOR_BY_PIDFD;
	arg.owner.fd = -1;
	fails("a negative pidfd", fd, OSTOR_IOC_LIST_OWNER, &arg, EBADF);
	arg.owner.by = OSTOR_BY_SOCKET;
	arg.owner.fd = INT_MIN;
	fails("a negative socket", fd, OSTOR_IOC_LIST_OWNER, &arg, EBADF);
}

static int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	need(fd >= 0, DEVICE);
	return fd;
}

static void maps(int fd, const struct ostor_map_create *right)
{
	struct ostor_map_create arg = *right;
	struct ostor_elem lookup = elem((struct ostor_owner){}, address(place(NULL)));
	struct ostor_list list = list_arg(1);
	struct ostor_map_info info;

	memset(&info, 0xff, sizeof(info));
	fails("info of no map", fd, OSTOR_IOC_MAP_INFO, &info, EINVAL);
	fails("list of no map", fd, OSTOR_IOC_LIST, &list, EINVAL);
	elems_fail("no map", fd, lookup, EINVAL);
	arg.value_size = 0;
	fails("map create, no size", fd, OSTOR_IOC_MAP_CREATE, &arg, EINVAL);
	arg.value_size = OSTOR_VALUE_SIZE_MAX + 1;
	fails("map create, too large a value", fd, OSTOR_IOC_MAP_CREATE, &arg, E2BIG);
	arg.value_size = UINT_MAX;
	fails("map create, the largest size", fd, OSTOR_IOC_MAP_CREATE, &arg, E2BIG);
	arg = *right;
	arg.flags = 1U << 31;
	fails("map create, an unknown flag", fd, OSTOR_IOC_MAP_CREATE, &arg, EINVAL);
	arg = *right;
	arg.reserved = BIT_32;
	fails("map create, a reserved field, bit 32", fd, OSTOR_IOC_MAP_CREATE, &arg, EINVAL);
	arg = *right;
	memset(arg.name, 'a', sizeof(arg.name));
	fails("map create, a name without an end", fd, OSTOR_IOC_MAP_CREATE, &arg, EINVAL);
	arg = *right;
	succeeds("map create", fd, OSTOR_IOC_MAP_CREATE, &arg);
	fails("second map create", fd, OSTOR_IOC_MAP_CREATE, &arg, EBUSY);
}

/* Checks that no command has another size, direction or number. */
static void wrong_commands(int map)
{
	static const char arg[512];
	size_t i;

	for (i = 0; i < COUNT(all_commands); i++) {
		unsigned int cmd = all_commands[i].cmd;
		unsigned int size = _IOC_SIZE(cmd);
		unsigned int nr = _IOC_NR(cmd);

		subject = all_commands[i].name;
		fails("4 bytes less", map, _IOC(_IOC_DIR(cmd), OSTOR_IOC_MAGIC, nr, size - 4), arg,
		      ENOTTY);
		fails("4 bytes more", map, _IOC(_IOC_DIR(cmd), OSTOR_IOC_MAGIC, nr, size + 4), arg,
		      ENOTTY);
		fails("no direction", map, _IOC(_IOC_NONE, OSTOR_IOC_MAGIC, nr, size), arg, ENOTTY);
	}
	subject = "device";
	fails("an unknown number", map, _IOWR(OSTOR_IOC_MAGIC, 0x7f, struct ostor_elem), arg,
	      ENOTTY);
}

/* Checks commands that cannot read or write their argument. */
static void faults(const char *what, int map, void *arg, bool written_only)
{
	size_t i;

	for (i = 0; i < COUNT(all_commands); i++) {
		unsigned int cmd = all_commands[i].cmd;

		if (written_only && !(_IOC_DIR(cmd) & _IOC_READ))
			continue;
		subject = all_commands[i].name;
		check(what, "errno", ioctl(map, cmd, arg) ? errno : 0, EFAULT);
	}
	subject = "device";
}

static char *map_memory(void *at)
{
	char *mapped = mmap(at, MAPPED, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	need(mapped == at, "mmap");
	return mapped;
}

static void wrong_arguments(int map)
{
	char *read_only = map_memory((char *)ABOVE_2GIB + MAPPED);

	wrong_commands(map);
	faults("no argument", map, NULL, false);
	faults("an argument that is not mapped", map, read_only + MAPPED, false);
	faults("an argument across the end of what is mapped", map, read_only + MAPPED - 8, false);
	faults("an argument across 4 GiB", map, (void *)(UINT_MAX - 3), false);
	need(!mprotect(read_only, MAPPED, PROT_READ), "mprotect");
	faults("an argument that cannot be written", map, read_only, true);
	need(!munmap(read_only, MAPPED), "munmap");
}

/* Checks addresses below 2 GiB; all others lie above. */
static void below_2gib(int map, __u64 seq)
{
	struct ostor_owner self = { .by = OSTOR_BY_SELF };
	char *above = memory;

	memory = map_memory(BELOW_2GIB);
	subject = "below 2 GiB";
	returns("lookup", map, OSTOR_IOC_LOOKUP, self, first, seq);
	need(!munmap(memory, MAPPED), "munmap");
	memory = above;
}

static pid_t start_child(void)
{
	pid_t child = fork();

	need(child >= 0, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return child;
}

static void reap(pid_t child)
{
	need(!kill(child, SIGKILL), "kill");
	need(waitpid(child, NULL, 0) == child, "waitpid");
}

static int open_pidfd(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	need(fd >= 0, "pidfd_open");
	return fd;
}

static __u64 cookie(int socket)
{
	__u64 cookie;
	socklen_t length = sizeof(cookie);

	need(!getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length), "SO_COOKIE");
	return cookie;
}

/* Open files of the device: one that is not a map, and two maps. */
struct files {
	int plain;
	int map;
	int large;
};

/* Each owner has an element in the map; the first also has one in the large map. */
static void whole_maps(const struct files *files, const struct ostor_owner *owners,
		       struct listed *listed, size_t count)
{
	struct ostor_map_info info[2];
	struct ostor_owned owned[2];
	size_t i;

	subject = "map";
	check_info("info", files->map, VALUE_SIZE, 0, count, 6 * count, 2 * count, 3 * count,
		   &info[0]);
	check_info("info of the large map", files->large, OSTOR_VALUE_SIZE_MAX, OSTOR_MAP_CLONE, 1,
		   1, 0, 0, &info[1]);
	check("info of the large map", "id", info[1].id, info[0].id + 1);
	lists(files->map, listed, count);
	for (i = 0; i < count; i++)
		check(listed[i].name, "is listed", listed[i].seen, true);
	subject = "list";
	wrong_lists(files->map);

	subject = "list owner";
	for (i = 0; i < COUNT(owned); i++) {
		owned[i].map_id = info[i].id;
		owned[i].seq = 1;
		owned[i].value_size = info[i].value_size;
		owned[i].flags = info[i].flags;
	}
	owned[0].seq = listed[0].seq;
	owner_list(files->plain, owners[0], &owned[0], &owned[1]);
	for (i = 1; i < count; i++) {
		struct ostor_list_owner arg = owner_list_arg(owners[i], 2);

		owned[0].seq = listed[i].seq;
		succeeds(listed[i].name, files->plain, OSTOR_IOC_LIST_OWNER, &arg);
		check_owned(listed[i].name, &arg, &owned[0], 1);
	}
}

static void all(const struct files *files, pid_t child)
{
	struct ostor_map_create create = { .value_size = VALUE_SIZE };
	int pidfd = open_pidfd(child);
	int own_pidfd = open_pidfd(getpid());
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct ostor_owner owners[] = {
		{ .by = OSTOR_BY_SELF },
		{ .by = OSTOR_BY_PIDFD, .fd = pidfd },
		{ .by = OSTOR_BY_SOCKET, .fd = udp },
	};
	struct ostor_owner own = { .by = OSTOR_BY_PIDFD, .fd = own_pidfd };
	struct listed listed[] = {
		{ .name = "calling thread", .kind = OSTOR_KIND_TASK, .owner_id = getpid() },
		{ .name = "pidfd", .kind = OSTOR_KIND_TASK, .owner_id = child },
		{ .name = "socket", .kind = OSTOR_KIND_SOCKET, .owner_id = cookie(udp) },
	};
	struct ostor_stats before = stats("statistics before", files->plain), during, after;
	struct ostor_map_info info;
	size_t i;

	maps(files->map, &create);
	check_info("info of an empty map", files->map, VALUE_SIZE, 0, 0, 0, 0, 0, &info);
	create.value_size = OSTOR_VALUE_SIZE_MAX;
	create.flags = OSTOR_MAP_CLONE;
	succeeds("map create with a flag", files->large, OSTOR_IOC_MAP_CREATE, &create);

	for (i = 0; i < COUNT(owners); i++) {
		subject = listed[i].name;
		listed[i].seq = 3 * i + 3;
		one_owner(files->map, owners[i], 3 * i);
	}
	subject = "calling thread";
	elem_succeeds("create in the large map", files->large, OSTOR_IOC_GET_OR_CREATE,
		      elem(owners[0], 0), 1, true);
	subject = "pidfd of the caller";
	returns("lookup", files->map, OSTOR_IOC_LOOKUP, own, first, listed[0].seq);
	whole_maps(files, owners, listed, COUNT(owners));

	subject = "device";
	during = stats("statistics", files->plain);
	check("statistics", "maps more", during.maps - before.maps, 2);
	check("statistics", "elements ever more", during.allocated - before.allocated,
	      6 * COUNT(owners) + 1);
	check("statistics", "storages are the owners' at least", during.storages >= COUNT(owners),
	      true);
	check("statistics", "charged more", during.charged > before.charged, true);

	subject = "wrong owner";
	wrong_owners(files->map, pidfd, udp);
	if (during.kinds & 1U << OSTOR_KIND_CGROUP)
		cgroup_ids(files->map);
	wrong_elems(files->map, listed[0].seq);
	wrong_arguments(files->map);
	below_2gib(files->map, listed[0].seq);

	reap(child);
	elems_fail("reaped process", files->map, elem(owners[1], address(place(first))), ESRCH);

	subject = "device";
	need(!close(files->map) && !close(files->large), "close");
	after = stats("statistics after", files->plain);
	check("statistics after", "maps", after.maps, before.maps);
}

int main(void)
{
	struct files files;
	pid_t child;

	printf("KTAP version 1\n");
	fflush(stdout);
	child = start_child();
	memory = map_memory(ABOVE_2GIB);
	files.plain = open_device();
	files.map = open_device();
	files.large = open_device();
	all(&files, child);
	printf("1..%u\n", checks);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
