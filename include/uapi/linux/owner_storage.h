/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Owner-attached storage: the interface of /dev/owner_storage.
 *
 * An open file of the device is nothing in particular until
 * OSTOR_IOC_MAP_CREATE turns it into a map. From then on it is that map, and
 * closing its last descriptor frees the map with all its elements; the close
 * returns when every value is gone. A map to which a BPF program has a reference
 * ends with that instead, see Documentation/bpf.rst.
 *
 * Every command returns 0, or -1 with errno set. A command on an element or a
 * map that fails has changed nothing. Fields marked (out) are written on success
 * only and ignored on input; reserved fields must be zero. All commands need
 * CAP_SYS_ADMIN in the initial user namespace when the device is opened.
 *
 * Memory that a command is to write is found writable before the command takes
 * effect, else it fails with EFAULT. If another thread takes write access away
 * after that:
 *
 * - OSTOR_IOC_TAKE writes its outputs before it deletes the element, and fails
 *   with EFAULT if it cannot.
 * - OSTOR_IOC_UPDATE, _DELETE, and a _GET_OR_CREATE that creates write @seq and
 *   @created after they took effect. They succeed without them.
 * - All others change nothing but the memory of the caller. A list that fails
 *   with EFAULT may have written some of its entries and values.
 */
#ifndef _UAPI_LINUX_OWNER_STORAGE_H
#define _UAPI_LINUX_OWNER_STORAGE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* How struct ostor_owner names an owner. */
#define OSTOR_BY_SELF		0	/* the calling thread */
#define OSTOR_BY_PIDFD		1	/* the task of a pidfd */
#define OSTOR_BY_CGROUP_FD	2	/* the cgroup whose directory is open, v1 or v2 */
#define OSTOR_BY_CGROUP_ID	3	/* the cgroup v2 with this id */
#define OSTOR_BY_SOCKET		4	/* the socket of a socket's descriptor */
#define OSTOR_BY_NETNS		5	/* the network namespace of /proc/PID/ns/net */

/* What kind of object an owner is, as listed. */
#define OSTOR_KIND_TASK		1
#define OSTOR_KIND_CGROUP	2
#define OSTOR_KIND_SOCKET	3
#define OSTOR_KIND_NETNS	4
#define OSTOR_KIND_OBJECT	5	/* of a kernel module; @owner_id is a serial number */

/* Flags of OSTOR_IOC_MAP_CREATE. */
#define OSTOR_MAP_CLONE		1	/* accepted TCP sockets get copies */

/* Flags of OSTOR_IOC_UPDATE. */
#define OSTOR_ANY		0	/* create the element or replace it */
#define OSTOR_NOEXIST		1	/* create it, or fail with EEXIST */
#define OSTOR_EXIST		2	/* replace it, or fail with ENOENT */

/* Largest value in bytes, on every architecture and in every context. */
#define OSTOR_VALUE_SIZE_MAX	8064

/* Most entries that one OSTOR_IOC_LIST, _LIST_OWNER or _MAP_LIST returns. */
#define OSTOR_LIST_MAX		1024

/* Bytes of a map's name, its final 0 included, and of a command's (TASK_COMM_LEN). */
#define OSTOR_NAME_SIZE		16

/**
 * struct ostor_owner - names the object that a value is attached to
 * @by:	one of OSTOR_BY_*
 * @fd:	the descriptor, where @by names a kind of descriptors, else 0
 * @id:	the cgroup's id for OSTOR_BY_CGROUP_ID, else 0
 *
 * Errors of the commands that take one: EINVAL (@by, or a field that must be
 * 0), EBADF (no such descriptor, or of another kind), ENOTSOCK (no socket's),
 * ESRCH (the owner is dead: a task that has been reaped, which a zombie has
 * not; a cgroup that has been released; no such id), EOPNOTSUPP (this kernel
 * does not tell of the end of such owners, see @kinds in struct ostor_stats).
 */
struct ostor_owner {
	__u32 by;
	__s32 fd;
	__u64 id;
};

/**
 * struct ostor_map_create - argument of OSTOR_IOC_MAP_CREATE
 * @value_size:	bytes per value, 1 to OSTOR_VALUE_SIZE_MAX
 * @flags:	0 or OSTOR_MAP_CLONE: a TCP socket that is made for an accepted
 *		connection is born with a copy of its listener's value
 * @name:	what the map is called in listings, or all zeroes: up to 15 letters,
 *		digits, '_' and '.', filled up with zeroes. Several maps can have
 *		one name
 * @reserved:	must be zero
 *
 * Errors: EINVAL (size 0, unknown flags, another character in @name or something
 * behind its end, reserved), E2BIG (a value too large to be allocated in every
 * context), EBUSY (the file is a map already), ENOMEM, EOPNOTSUPP (OSTOR_MAP_CLONE
 * on a kernel without the hooks it needs).
 */
struct ostor_map_create {
	__u32 value_size;
	__u32 flags;
	__u8 name[OSTOR_NAME_SIZE];
	__u64 reserved;
};

/**
 * struct ostor_elem - argument of the commands on one element
 * @owner:	the owner
 * @value:	address of @value_size bytes; may be 0 where said below
 * @value_size:	must be the map's value size, or 0 if @value is 0
 * @flags:	for OSTOR_IOC_UPDATE one of OSTOR_ANY, _NOEXIST, _EXIST; else 0
 * @seq:	(out) number of the element: its turn among all that were ever
 *		created in this map, from 1. An update that replaces an element
 *		keeps its number. One whose element is deleted meanwhile creates,
 *		and its element gets a number of its own; until that update
 *		returns, others may see the new element by the deleted one's
 *		number, and a listing that began before may miss it
 * @created:	(out) 1 if the command created the element, else 0
 * @reserved:	must be zero
 *
 * OSTOR_IOC_LOOKUP copies the value to @value.
 * OSTOR_IOC_GET_OR_CREATE creates the element from @value (zeroes if @value is
 * 0) unless there is one, and copies the value that is stored to @value (if
 * not 0). When several callers race, all of them get the same element.
 * OSTOR_IOC_UPDATE stores @value.
 * OSTOR_IOC_DELETE deletes the element; @value and @value_size must be 0.
 * OSTOR_IOC_TAKE deletes the element and copies what was stored to @value.
 *
 * An owner that is still there but about to go can be looked up and deleted
 * from; a create or update fails with ESRCH: a dying cgroup's, for instance.
 *
 * An element is charged to its owner: to a socket's option memory, which
 * net.core.optmem_max limits; for tasks and cgroups to their memory cgroup. An
 * update that replaces a socket's element passes the charge on.
 *
 * Errors: EINVAL (flags, reserved, sizes, no map in this file), those of struct
 * ostor_owner, ENOENT (no element), EEXIST, ENOMEM (no memory without waiting,
 * which on PREEMPT_RT is always so in hard interrupts and NMI, and without SMP in
 * NMI; or the owner's limit is reached), EFAULT, EDEADLK (this CPU holds the owner's
 * lock already: recursion), ETIMEDOUT (the lock's holder is stuck).
 */
struct ostor_elem {
	struct ostor_owner owner;
	__u64 value;
	__u32 value_size;
	__u32 flags;
	__u64 seq;
	__u32 created;
	__u32 reserved;
};

/**
 * struct ostor_entry - one element of a listing
 * @owner_id:	a task's thread id in the initial pid namespace, a cgroup's id,
 *		a socket's cookie (SO_COOKIE), a network namespace's cookie
 *		(SO_NETNS_COOKIE)
 * @seq:	the element's number, see struct ostor_elem
 * @owner_kind:	one of OSTOR_KIND_*
 * @reserved:	zero
 */
struct ostor_entry {
	__u64 owner_id;
	__u64 seq;
	__u32 owner_kind;
	__u32 reserved;
};

/**
 * struct ostor_list - argument of OSTOR_IOC_LIST
 * @pos:	(in, out) cursor, 0 at first, then as the last call left it
 * @seq:	(in, out) cursor, likewise. Any other cursor is harmless: it begins
 *		somewhere, or at the end
 * @entries:	address of @capacity struct ostor_entry
 * @values:	address of @capacity values of @value_size bytes, or 0
 * @value_size:	the map's value size, or 0 if @values is 0
 * @capacity:	1 to OSTOR_LIST_MAX
 * @count:	(out) how many entries were written
 * @done:	(out) 1 if this call reached the end
 * @reserved:	must be zero
 *
 * Elements that live from the first call to the last are listed exactly once,
 * whatever is created and deleted meanwhile. Errors: EINVAL, EFAULT, ENOMEM.
 */
struct ostor_list {
	__u64 pos;
	__u64 seq;
	__u64 entries;
	__u64 values;
	__u32 value_size;
	__u32 capacity;
	__u32 count;
	__u32 done;
	__u64 reserved;
};

/**
 * struct ostor_owned - one element of a listing of an owner's elements
 * @map_id:	the map's number, see struct ostor_map_info
 * @seq:	the element's number in its map, see struct ostor_elem
 * @value_size:	bytes of the value
 * @flags:	the map's flags, OSTOR_MAP_*
 */
struct ostor_owned {
	__u64 map_id;
	__u64 seq;
	__u32 value_size;
	__u32 flags;
};

/**
 * struct ostor_list_owner - argument of OSTOR_IOC_LIST_OWNER
 * @owner:	the owner
 * @after:	(in, out) cursor, 0 at first, then as the last call left it
 * @entries:	address of @capacity struct ostor_owned
 * @capacity:	1 to OSTOR_LIST_MAX
 * @count:	(out) how many entries were written
 * @done:	(out) 1 if this call reached the end
 * @reserved:	must be zero
 *
 * Lists the owner's elements in all maps, by rising number of the map. Elements
 * that live from the first call to the last are listed exactly once. The file
 * need not be a map. Errors: EINVAL, those of struct ostor_owner, EFAULT.
 */
struct ostor_list_owner {
	struct ostor_owner owner;
	__u64 after;
	__u64 entries;
	__u32 capacity;
	__u32 count;
	__u32 done;
	__u32 reserved;
};

/**
 * struct ostor_map_info - result of OSTOR_IOC_MAP_INFO
 * @value_size:		bytes per value
 * @element_size:	bytes that one element takes, value included
 * @buckets:		buckets of the map's table
 * @flags:		as it was created, OSTOR_MAP_*
 * @id:			the map's number: its turn among all that were ever
 *			created, those of kernel modules included. An
 *			OSTOR_IOC_MAP_CREATE that fails takes no number
 * @elements:		live elements
 * @pending:		elements deleted but not yet freed, of @element_size bytes
 *			each
 * @bytes:		the map, its table, its counters of each CPU, and all elements,
 *			pending ones too
 * @created:		elements ever created, those that replaced one too
 * @deleted:		elements deleted by a command
 * @replaced:		elements replaced by an update
 * @owner_deaths:	elements that died with their owner
 * @deadlocks:		commands that failed with EDEADLK
 * @timeouts:		commands that failed with ETIMEDOUT
 * @nomem:		commands that failed with ENOMEM
 * @deferred:		elements whose unlinking could not finish at once, by a
 *			failed lock or because the context must not wait
 * @clones:		copies made for accepted TCP sockets
 * @clone_failures:	such copies that could not be made, for want of memory
 *			or of a lock; the connection was accepted without
 * @name:		as in struct ostor_map_create
 * @reserved:		zero
 */
struct ostor_map_info {
	__u32 value_size;
	__u32 element_size;
	__u32 buckets;
	__u32 flags;
	__u64 id;
	__u64 elements;
	__u64 pending;
	__u64 bytes;
	__u64 created;
	__u64 deleted;
	__u64 replaced;
	__u64 owner_deaths;
	__u64 deadlocks;
	__u64 timeouts;
	__u64 nomem;
	__u64 deferred;
	__u64 clones;
	__u64 clone_failures;
	__u8 name[OSTOR_NAME_SIZE];
	__u64 reserved;
};

/**
 * struct ostor_listed_map - one map of a listing
 * @id:			the map's number, see struct ostor_map_info
 * @elements:		live elements
 * @pending:		elements deleted but not yet freed
 * @bytes:		of the map and all elements, as in struct ostor_map_info
 * @value_size:		bytes per value
 * @element_size:	bytes that one element takes
 * @buckets:		buckets of the map's table
 * @flags:		as it was created, OSTOR_MAP_*
 * @name:		its name, see struct ostor_map_create
 * @comm:		the command of the thread that created it, at that time
 * @pid:		process id of that thread in the initial pid namespace, at
 *			that time: the process may be gone, and the map held by
 *			another one
 * @reserved:		zero
 */
struct ostor_listed_map {
	__u64 id;
	__u64 elements;
	__u64 pending;
	__u64 bytes;
	__u32 value_size;
	__u32 element_size;
	__u32 buckets;
	__u32 flags;
	__u8 name[OSTOR_NAME_SIZE];
	__u8 comm[OSTOR_NAME_SIZE];
	__u32 pid;
	__u32 reserved;
};

/**
 * struct ostor_map_list - argument of OSTOR_IOC_MAP_LIST
 * @after:	(in, out) cursor, 0 at first, then as the last call left it
 * @entries:	address of @capacity struct ostor_listed_map
 * @capacity:	1 to OSTOR_LIST_MAX
 * @count:	(out) how many entries were written
 * @done:	(out) 1 if this call reached the end
 * @reserved:	must be zero
 *
 * Lists all maps that were created through this device and have not ended, by
 * rising number. Maps that live from the first call to the last are listed exactly
 * once. The file need not be a map. Errors: EINVAL, EFAULT, ENOMEM.
 */
struct ostor_map_list {
	__u64 after;
	__u64 entries;
	__u32 capacity;
	__u32 count;
	__u32 done;
	__u32 reserved;
};

/**
 * struct ostor_stats - result of OSTOR_IOC_STATS, for the whole module
 * @maps:	live maps
 * @elements:	elements allocated and not yet freed
 * @storages:	owners' storages allocated and not yet freed
 * @bytes:	bytes of those maps, elements and storages
 * @allocated:	elements ever allocated
 * @dropped:	values ever dropped
 * @freed:	elements ever freed
 * @owner_deaths:	owners that died while they had storage
 * @late_free:	owners found with live storage after their death notice was
 *		missed; not 0 means a fault in this module or its hooks, or a
 *		socket's notice that ftrace dropped, see @shared
 * @deferred:	elements and storages handed to the reaper still linked
 * @finished:	those of them that the reaper has unlinked
 * @stale:	owners whose death was missed by every notice, seen when another
 *		owner at the same address stored something; not 0 means a fault
 * @charged:	bytes that are charged to sockets' option memory now
 * @omem_left:	bytes of option memory that sockets still had when they were
 *		freed, after this module's charge was returned; not counted for
 *		sockets that have BPF storage, which is returned later. Not 0
 *		means a fault, here or in the kernel
 * @kinds:	bit 1 << OSTOR_KIND_* for each kind of owners this kernel can serve
 * @bpf:	1 if BPF programs can use the maps, see Documentation/bpf.rst; 0 if the
 *		kernel has no type information (BTF) of this module
 * @uncharged:	elements and storages of owners in a memory cgroup that were
 *		charged to no cgroup, since they were allocated in a context where
 *		the charge could spin on a lock or wake a task: ever
 * @shared:	notices of sockets' deaths that came while another ftrace_ops
 *		covered the hooked function. As long as this rises, ftrace can lose
 *		a notice that is nested in another ops' callback
 * @refused:	by OSTOR_KIND_*: 0 for a kind that is served, else the errno value
 *		that says why not. EOPNOTSUPP: this kernel lacks what tells of
 *		the end of such owners; ENODATA: it did not tell of one that was
 *		made and ended when the module was loaded
 * @pending:	elements and storages that are dead and wait for a grace period.
 *		From the module parameter pending_hurry on (in bytes) grace periods
 *		are hurried; from pending_limit on commands that create something
 *		wait, and operations of kernel modules get ENOMEM
 * @pending_bytes: bytes of those
 *
 * OSTOR_IOC_STATS with the size that this had before @pending fills in as much.
 */
struct ostor_stats {
	__u64 maps;
	__u64 elements;
	__u64 storages;
	__u64 bytes;
	__u64 allocated;
	__u64 dropped;
	__u64 freed;
	__u64 owner_deaths;
	__u64 late_free;
	__u64 deferred;
	__u64 finished;
	__u64 stale;
	__u64 charged;
	__u64 omem_left;
	__u32 kinds;
	__u32 bpf;
	__u64 uncharged;
	__u64 shared;
	__u8 refused[8];
	__u64 pending;
	__u64 pending_bytes;
};

#define OSTOR_IOC_MAGIC		0xD5

#define OSTOR_IOC_MAP_CREATE	_IOW(OSTOR_IOC_MAGIC, 0x00, struct ostor_map_create)
#define OSTOR_IOC_MAP_INFO	_IOR(OSTOR_IOC_MAGIC, 0x01, struct ostor_map_info)
#define OSTOR_IOC_LOOKUP	_IOWR(OSTOR_IOC_MAGIC, 0x02, struct ostor_elem)
#define OSTOR_IOC_GET_OR_CREATE	_IOWR(OSTOR_IOC_MAGIC, 0x03, struct ostor_elem)
#define OSTOR_IOC_UPDATE	_IOWR(OSTOR_IOC_MAGIC, 0x04, struct ostor_elem)
#define OSTOR_IOC_DELETE	_IOWR(OSTOR_IOC_MAGIC, 0x05, struct ostor_elem)
#define OSTOR_IOC_TAKE		_IOWR(OSTOR_IOC_MAGIC, 0x06, struct ostor_elem)
#define OSTOR_IOC_LIST		_IOWR(OSTOR_IOC_MAGIC, 0x07, struct ostor_list)
#define OSTOR_IOC_STATS		_IOR(OSTOR_IOC_MAGIC, 0x08, struct ostor_stats)
#define OSTOR_IOC_LIST_OWNER	_IOWR(OSTOR_IOC_MAGIC, 0x0b, struct ostor_list_owner)
#define OSTOR_IOC_MAP_LIST	_IOWR(OSTOR_IOC_MAGIC, 0x11, struct ostor_map_list)

#endif /* _UAPI_LINUX_OWNER_STORAGE_H */
