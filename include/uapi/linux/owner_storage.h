/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Owner-attached storage: the interface of /dev/owner_storage.
 *
 * An open file of the device is nothing in particular until
 * OSTOR_IOC_MAP_CREATE turns it into a map. From then on it is that map, and
 * closing its last descriptor frees the map with all its elements; the close
 * returns when every value is gone.
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
 * - OSTOR_IOC_RECURSE, _BENCH, _FAULT, _CONTEXT, _CYCLE, _CROWD and _AGES write
 *   all that is (out) when they have run, and can fail with EFAULT then.
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

/* Flags of OSTOR_IOC_MAP_CREATE. */
#define OSTOR_MAP_CLONE		1	/* accepted TCP sockets get copies */
#define OSTOR_MAP_BUSY		2	/* for comparison: the guard of old, see below */

/* Flags of OSTOR_IOC_UPDATE. */
#define OSTOR_ANY		0	/* create the element or replace it */
#define OSTOR_NOEXIST		1	/* create it, or fail with EEXIST */
#define OSTOR_EXIST		2	/* replace it, or fail with ENOENT */

/* Largest value in bytes, on every architecture and in every context. */
#define OSTOR_VALUE_SIZE_MAX	8064

/* Most elements that one OSTOR_IOC_LIST or _LIST_OWNER returns. */
#define OSTOR_LIST_MAX		1024

/* Most iterations of one OSTOR_IOC_BENCH. */
#define OSTOR_BENCH_MAX		10000000

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
 * @reserved:	must be zero
 *
 * OSTOR_MAP_BUSY is taken by the module's test flavour only. It puts the guard
 * that BPF task storage had before it had rqspinlock around the operations on
 * the map: one counter per CPU for all such maps, taken with migration off and
 * preemption on by whoever creates, updates or deletes an element. Where it is
 * taken already, that fails with EBUSY, whoever took it: a task that was
 * preempted meanwhile, or code that this CPU interrupted. A lookup, and a
 * get-or-create that finds the element, take nothing and never fail so.
 * OSTOR_IOC_MAP_INFO tells of the flag, OSTOR_IOC_LIST_OWNER does not.
 *
 * Errors: EINVAL (size 0, flags that are unknown or of the test flavour only,
 * reserved), E2BIG (a value too large to be
 * allocated in every context), EBUSY (the file is a map already), ENOMEM,
 * EOPNOTSUPP (OSTOR_MAP_CLONE on a kernel without the hooks it needs).
 */
struct ostor_map_create {
	__u32 value_size;
	__u32 flags;
	__u64 reserved[3];
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
 * lock already: recursion), ETIMEDOUT (the lock's holder is stuck), and in a map
 * with OSTOR_MAP_BUSY also EBUSY.
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
 *			created, those included that OSTOR_IOC_RECURSE, _BENCH,
 *			_CYCLE and _CROWD make for themselves. A
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
	__u64 reserved[3];
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
 * @pad:	zero
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
 *		wait, and drivers' operations get ENOMEM
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
	__u32 pad;
	__u64 uncharged;
	__u64 shared;
	__u8 refused[8];
	__u64 pending;
	__u64 pending_bytes;
};

/* Operations that the drivers below run. */
#define OSTOR_OP_LOOKUP		1
#define OSTOR_OP_GET_OR_CREATE	2
#define OSTOR_OP_UPDATE		3
#define OSTOR_OP_DELETE		4

/* The contexts that the drivers run operations in. */
#define OSTOR_CONTEXT_TASK	0	/* a kernel thread */
#define OSTOR_CONTEXT_SOFTIRQ	1	/* the softirq of a timer */
#define OSTOR_CONTEXT_TIMER	2	/* the interrupt of a timer */
#define OSTOR_CONTEXT_IRQ_WORK	3	/* a hard irq_work */
#define OSTOR_CONTEXT_IPI	4	/* an interrupt that another CPU sends */
#define OSTOR_CONTEXT_NMI	5	/* an NMI */
#define OSTOR_CONTEXT_KPROBE	6	/* a kprobe where the module gives a lock back */
#define OSTOR_CONTEXT_RUN_QUEUE	7	/* the tracepoint sched_switch */
#define OSTOR_CONTEXT_ALLOC	8	/* inside the slab allocator */

/* Where OSTOR_IOC_RECURSE runs the inner operation. */
#define OSTOR_POINT_NONE	0	/* the outer one holds no lock yet */
#define OSTOR_POINT_STORAGE	1	/* it holds its storage's lock */
#define OSTOR_POINT_BUCKET	2	/* it holds its bucket's lock */
#define OSTOR_POINT_BOTH	3	/* this CPU holds both */
#define OSTOR_POINT_ALLOC	4	/* it is inside the slab allocator */
#define OSTOR_POINT_DROP	5	/* a value that it has ended is being dropped */

/**
 * struct ostor_op - one operation for the drivers
 * @owner:	the owner
 * @op:		one of OSTOR_OP_*
 * @flags:	as for OSTOR_IOC_UPDATE; else 0
 * @map_fd:	descriptor of the map, or -1 for the file of the command
 * @result:	(out) 0 or a negative errno value
 * @seed:	stored in the value's first bytes by a create or update
 */
struct ostor_op {
	struct ostor_owner owner;
	__u32 op;
	__u32 flags;
	__s32 map_fd;
	__s32 result;
	__u64 seed;
};

/**
 * struct ostor_recurse - argument of OSTOR_IOC_RECURSE
 * @outer:	the outer operation, run by the calling thread
 * @inner:	the inner operation, run by a probe inside the outer
 * @point:	one of OSTOR_POINT_*, where the probe fires
 * @fired:	(out) how often the inner operation ran: 1, or 0 if the outer
 *		one never came past the point, or @context cannot come there
 * @context:	one of OSTOR_CONTEXT_*: TASK runs the inner operation in the
 *		probe itself, SOFTIRQ, TIMER, IRQ_WORK and NMI in an interrupt of
 *		the probe, IPI on another CPU while this one stands in the probe
 *		for a moment. No other is possible
 * @pad:	must be zero
 * @reserved:	must be zero
 *
 * The outer operation has to come past the point: for NONE it must be a create,
 * update or delete that has something to do, for STORAGE it must link or unlink
 * an element, for BUCKET unlink one (a delete or replacing update of an element
 * that exists), for ALLOC be a create or update that has something to do. For
 * BOTH it must come past STORAGE, and @inner.owner and @inner.map_fd name the
 * bucket: inside the storage's lock the driver makes that bucket's lock held as
 * well, by deleting an element of its own, and runs the inner operation within.
 * For DROP the outer operation is an update without flags or a delete in a map
 * of the driver's own, in which its owner has a value; @inner.map_fd -1 is that
 * map, too; and the inner one runs in the drop of that value. The command
 * succeeds when the outer operation was run; what both returned is in @result.
 * Errors: EINVAL, EBADF, ESRCH, ENOMEM, EFAULT, EOPNOTSUPP (this kernel has no
 * such context or hook), EBUSY (somebody else is using the context).
 */
struct ostor_recurse {
	struct ostor_op outer;
	struct ostor_op inner;
	__u32 point;
	__u32 fired;
	__u32 context;
	__u32 pad;
	__u64 reserved;
};

/* What OSTOR_IOC_BENCH repeats. */
#define OSTOR_BENCH_GET_HIT		1	/* get of an element that exists */
#define OSTOR_BENCH_GET_MISS		2	/* get of one that does not */
#define OSTOR_BENCH_CREATE_FIRST	3	/* create + delete, owner's only one */
#define OSTOR_BENCH_CREATE_LATER	4	/* create + delete of a second one */
#define OSTOR_BENCH_LOCK		5	/* rqspinlock lock + unlock */
#define OSTOR_BENCH_ALLOC		6	/* nolock allocation + free, 128 bytes */

/**
 * struct ostor_bench - argument of OSTOR_IOC_BENCH
 * @owner:	the owner that elements are created for
 * @bench:	one of OSTOR_BENCH_*
 * @maps:	1 to 64: the owner has elements in this many maps, at least 2 for
 *		OSTOR_BENCH_CREATE_LATER; the map of this file is the one that is
 *		used. OSTOR_BENCH_LOCK and _ALLOC use none
 * @iterations:	1 to OSTOR_BENCH_MAX
 * @ns:		(out) nanoseconds for all iterations
 * @empty_ns:	(out) nanoseconds for as many iterations of the empty loop
 * @reap_ns:	(out) nanoseconds that the reaper then spent freeing what they
 *		deleted, which @ns does not have in it
 * @reserved:	must be zero
 *
 * The owner must have no element in the map. Errors: EINVAL, those of struct
 * ostor_owner, EEXIST, ENOMEM, EINTR.
 */
struct ostor_bench {
	struct ostor_owner owner;
	__u32 bench;
	__u32 maps;
	__u64 iterations;
	__u64 ns;
	__u64 empty_ns;
	__u64 reap_ns;
	__u64 reserved;
};

/**
 * struct ostor_fault - argument of OSTOR_IOC_FAULT
 * @point:	number of the fault point, from 0 on
 * @set:	1 to set what follows up to @delay_us and count anew, 0 to leave it as
 *		it is
 * @probability:	(in, out) chance of a failure in percent; 0 is off
 * @interval:	(in, out) of all that pass, one in so many may fail; at least 1
 * @space:	(in, out) how many still pass before the first may fail: n - 1 to
 *		have the nth fail
 * @times:	(in, out) how many failures are left; negative for any number
 * @delay_us:	(in, out) microseconds that all who pass spend there, 1000 at most
 * @pad:	must be zero
 * @passed:	(out) how many came by while there was a chance or a delay
 * @failed:	(out) how many of them failed
 * @name:	(out) the point's name, as in debugfs
 * @reserved:	must be zero
 *
 * Makes locks, allocations and notices of death fail, or stand still, in the
 * module's test flavour. Some points can only stand still: a @probability for
 * one of them is EINVAL. The file need not be a map. Errors: ENOTTY (not the
 * test flavour), EINVAL (no such point, a field out of range), EFAULT.
 */
struct ostor_fault {
	__u32 point;
	__u32 set;
	__u32 probability;
	__u32 interval;
	__u32 space;
	__s32 times;
	__u32 delay_us;
	__u32 pad;
	__u64 passed;
	__u64 failed;
	__u8 name[24];
	__u64 reserved[2];
};

/* Most owners of one OSTOR_IOC_CROWD. */
#define OSTOR_CROWD_MAX		4000000

/**
 * struct ostor_crowd - argument of OSTOR_IOC_CROWD
 * @count:	1 to OSTOR_CROWD_MAX owners, about 300 bytes of memory for each
 * @create_ns:	(out) nanoseconds in which all elements were created
 * @death_ns:	(out) nanoseconds in which all owners died
 * @end_ns:	(out) nanoseconds that the end of the map took
 * @deaths:	(out) owners that died before the end of the map had come to them
 * @dropped:	(out) values that were dropped once; all must be
 * @charged:	(out) bytes that owners are still charged; must be 0
 * @reserved:	must be zero
 *
 * Makes owners of its own with an element each in one map, then lets them die in
 * a kworker while the calling thread ends the map, in the module's test flavour.
 * A signal ends the creation. The file need not be a map. Errors: ENOTTY (not
 * the test flavour), EINVAL, ENOMEM, EINTR, EFAULT.
 */
struct ostor_crowd {
	__u64 count;
	__u64 create_ns;
	__u64 death_ns;
	__u64 end_ns;
	__u64 deaths;
	__u64 dropped;
	__u64 charged;
	__u64 reserved[2];
};

/* Number of ages that OSTOR_IOC_AGES counts. */
#define OSTOR_AGES		4

/* Most objects that one OSTOR_IOC_AGES looks at, half of them elements. */
#define OSTOR_AGES_HELD_MAX	64

/* Longest stay of one OSTOR_IOC_AGES in its read section. */
#define OSTOR_AGES_HOLD_MAX_US	100000

/**
 * struct ostor_ages - argument of OSTOR_IOC_AGES
 * @owner:	the owner with whose buckets it begins
 * @hold_us:	microseconds that the read section stays, busy, 0 to
 *		OSTOR_AGES_HOLD_MAX_US
 * @pad:	must be zero
 * @ages:	(out) how many objects had been unlinked for so many grace periods
 *		at the end of the section; the last one also has those above
 * @reused:	(out) how many had been freed, and their memory used again
 * @reserved:	must be zero
 *
 * Looks at elements of the map of this file and at storages in the index of owners,
 * live and dead, bucket by bucket, in one RCU read section, in the module's test
 * flavour. Age 0 is what is linked, and age 1 what waits for the
 * grace period that this section holds up. There must be nothing in @reused and
 * above age 1 in @ages: it was freed under a reader. Errors: ENOTTY (not the test
 * flavour), EINVAL, those of struct ostor_owner, EFAULT.
 */
struct ostor_ages {
	struct ostor_owner owner;
	__u32 hold_us;
	__u32 pad;
	__u64 ages[OSTOR_AGES];
	__u64 reused;
	__u64 reserved[2];
};

/* Flags of OSTOR_IOC_CONTEXT. */
#define OSTOR_CONTEXT_BELOW	1	/* a thread on each CPU runs them as well */

/* Most operations of one OSTOR_IOC_CONTEXT. */
#define OSTOR_CONTEXT_OPS_MAX	16

/* Number of buckets of a histogram. */
#define OSTOR_HISTOGRAM		32

/**
 * struct ostor_tally - how operations went
 * @ok:		those that succeeded
 * @enoent:	those that found nothing
 * @eexist:	those that failed with EEXIST, and so on
 * @esrch:	likewise
 * @enomem:	likewise
 * @edeadlk:	likewise
 * @etimedout:	likewise
 * @other:	those that failed with anything else
 * @max_ns:	nanoseconds that the longest one took
 * @histogram:	how many took from 1 << i up to 1 << (i + 1) nanoseconds; the
 *		first and last also have what is below and above
 */
struct ostor_tally {
	__u64 ok;
	__u64 enoent;
	__u64 eexist;
	__u64 esrch;
	__u64 enomem;
	__u64 edeadlk;
	__u64 etimedout;
	__u64 other;
	__u64 max_ns;
	__u64 histogram[OSTOR_HISTOGRAM];
};

/**
 * struct ostor_context_cpu - how operations went on one CPU
 * @cpu:	its number
 * @pad:	zero
 * @runs:	how often the batch was run in the wanted context
 * @elsewhere:	how often the occasion came in another context, in which it was
 *		not run: an IPI to an idle CPU may be handled without an interrupt,
 *		and where an architecture has no NMI, its source is an interrupt
 * @inside:	what came out in the wanted context
 * @below:	what came out in the thread, for OSTOR_CONTEXT_BELOW
 */
struct ostor_context_cpu {
	__u32 cpu;
	__u32 pad;
	__u64 runs;
	__u64 elsewhere;
	struct ostor_tally inside;
	struct ostor_tally below;
};

/**
 * struct ostor_context - argument of OSTOR_IOC_CONTEXT
 * @ops:	address of @ops_count struct ostor_op, run in turn as one batch;
 *		their @result is not used
 * @results:	address of a struct ostor_context_cpu for each bit of @cpus, by
 *		rising number (out)
 * @cpus:	bit 1 << n for each CPU n to run them on, all at once
 * @context:	one of OSTOR_CONTEXT_*
 * @flags:	0 or OSTOR_CONTEXT_BELOW, which is not for OSTOR_CONTEXT_TASK
 * @ops_count:	1 to OSTOR_CONTEXT_OPS_MAX
 * @period_us:	microseconds from batch to batch, 100 to 1000000
 * @duration_ms:	milliseconds that all this goes on, 1 to 60000
 * @pad:	must be zero
 * @reserved:	must be zero
 *
 * KPROBE, RUN_QUEUE and ALLOC do not come by themselves: when the period has
 * passed, the next one who comes past on that CPU runs the batch. A thread on
 * each CPU sleeps from period to period, so that tasks are switched; with
 * OSTOR_CONTEXT_BELOW it runs the batch over and over, which allocates and
 * takes locks, and is what the other contexts interrupt. A signal ends it all
 * early, as if the time had passed.
 *
 * Errors: EINVAL (also a CPU that is not online), EFAULT, those of struct
 * ostor_owner, ENOMEM, EOPNOTSUPP (this kernel has no such context), EBUSY
 * (somebody else is running operations in it).
 */
struct ostor_context {
	__u64 ops;
	__u64 results;
	__u64 cpus;
	__u32 context;
	__u32 flags;
	__u32 ops_count;
	__u32 period_us;
	__u32 duration_ms;
	__u32 pad;
	__u64 reserved[2];
};

/* What OSTOR_IOC_CYCLE makes. */
#define OSTOR_CYCLE_RING	0	/* each holds a lock and wants the next one's */
#define OSTOR_CYCLE_STALL	1	/* the first holds a lock, all others want it */

/* Most CPUs of one OSTOR_IOC_CYCLE. */
#define OSTOR_CYCLE_CPUS_MAX	4

/* Longest stall. */
#define OSTOR_CYCLE_STALL_MAX_MS	3000

/**
 * struct ostor_cycle_cpu - how one CPU fared
 * @cpu:	its number
 * @result:	of the update that wanted the other lock: 0 or a negative errno
 *		value
 * @ns:		nanoseconds that the update took
 */
struct ostor_cycle_cpu {
	__u32 cpu;
	__s32 result;
	__u64 ns;
};

/**
 * struct ostor_cycle - argument of OSTOR_IOC_CYCLE
 * @cpus:	bit 1 << n for each CPU n that takes part, 2 to
 *		OSTOR_CYCLE_CPUS_MAX of them
 * @kind:	one of OSTOR_CYCLE_*
 * @stall_ms:	milliseconds that the first CPU holds the lock at the most for
 *		OSTOR_CYCLE_STALL, 1 to OSTOR_CYCLE_STALL_MAX_MS: it lets go when
 *		all others have given up; else 0
 * @others_ok:	(out) updates of an owner that has nothing to do with it, by the
 *		calling thread meanwhile, that succeeded
 * @others_failed:	(out) such updates that failed
 * @seen:	(out) how the CPUs fared, by rising number; 0 for the one that
 *		stalls
 * @reserved:	must be zero
 *
 * A thread on each CPU updates an element of an owner of the driver's own and,
 * inside the section of its storage's lock, updates another one's: each the next
 * one's, and the last one the first one's, all at once. Interrupts are off
 * meanwhile, for as long as the lock's time-out. Errors: EINVAL (also a CPU that
 * is not online), EFAULT, ENOMEM, EBUSY (somebody else is making a cycle), EAGAIN
 * (the CPUs did not come together within 3 seconds, so there was no cycle).
 */
struct ostor_cycle {
	__u64 cpus;
	__u32 kind;
	__u32 stall_ms;
	__u64 others_ok;
	__u64 others_failed;
	struct ostor_cycle_cpu seen[OSTOR_CYCLE_CPUS_MAX];
	__u64 reserved[2];
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
#define OSTOR_IOC_RECURSE	_IOWR(OSTOR_IOC_MAGIC, 0x09, struct ostor_recurse)
#define OSTOR_IOC_BENCH		_IOWR(OSTOR_IOC_MAGIC, 0x0a, struct ostor_bench)
#define OSTOR_IOC_LIST_OWNER	_IOWR(OSTOR_IOC_MAGIC, 0x0b, struct ostor_list_owner)
#define OSTOR_IOC_FAULT		_IOWR(OSTOR_IOC_MAGIC, 0x0c, struct ostor_fault)
#define OSTOR_IOC_CONTEXT	_IOW(OSTOR_IOC_MAGIC, 0x0d, struct ostor_context)
#define OSTOR_IOC_CYCLE		_IOWR(OSTOR_IOC_MAGIC, 0x0e, struct ostor_cycle)
#define OSTOR_IOC_CROWD		_IOWR(OSTOR_IOC_MAGIC, 0x0f, struct ostor_crowd)
#define OSTOR_IOC_AGES		_IOWR(OSTOR_IOC_MAGIC, 0x10, struct ostor_ages)

#endif /* _UAPI_LINUX_OWNER_STORAGE_H */
