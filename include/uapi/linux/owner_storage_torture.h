/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Torture of owner-attached storage: the interface of /dev/owner_storage_torture.
 *
 * For tests of owner_storage. This interface may change with every version.
 *
 * A command can raise NMIs and disable interrupts for seconds. So each needs
 * CAP_SYS_ADMIN in the initial user namespace when it is called, not only when the
 * device is opened: EPERM. The commands name maps by descriptors of
 * /dev/owner_storage.
 *
 * Every command returns 0, or -1 with errno set. Fields marked (out) are ignored on
 * input and written when the command has run, which can fail with EFAULT then.
 * Reserved fields must be zero.
 */
#ifndef _UAPI_LINUX_OWNER_STORAGE_TORTURE_H
#define _UAPI_LINUX_OWNER_STORAGE_TORTURE_H

#include <linux/ioctl.h>
#include <linux/owner_storage.h>
#include <linux/types.h>

/* Operations. */
#define OSTOR_OP_LOOKUP		1
#define OSTOR_OP_GET_OR_CREATE	2
#define OSTOR_OP_UPDATE		3
#define OSTOR_OP_DELETE		4

/* The contexts that operations run in. */
#define OSTOR_CONTEXT_TASK	0	/* a kernel thread */
#define OSTOR_CONTEXT_SOFTIRQ	1	/* the softirq of a timer */
#define OSTOR_CONTEXT_TIMER	2	/* the interrupt of a timer */
#define OSTOR_CONTEXT_IRQ_WORK	3	/* a hard irq_work */
#define OSTOR_CONTEXT_IPI	4	/* an interrupt that another CPU sends */
#define OSTOR_CONTEXT_NMI	5	/* an NMI */
#define OSTOR_CONTEXT_KPROBE	6	/* a kprobe where owner_storage has a lock */
#define OSTOR_CONTEXT_RUN_QUEUE	7	/* the tracepoint sched_switch */
#define OSTOR_CONTEXT_ALLOC	8	/* inside the slab allocator */

/* Where OSTOR_TORTURE_IOC_RECURSE runs the inner operation. */
#define OSTOR_POINT_NONE	0	/* the outer one holds no lock yet */
#define OSTOR_POINT_STORAGE	1	/* it holds its storage's lock */
#define OSTOR_POINT_BUCKET	2	/* it holds its bucket's lock */
#define OSTOR_POINT_BOTH	3	/* this CPU holds both */
#define OSTOR_POINT_ALLOC	4	/* it is inside the slab allocator */
#define OSTOR_POINT_DROP	5	/* a value that it has ended is being dropped */

/*
 * Flag of struct ostor_op: the operation runs behind the counter that BPF task
 * storage had before it had rqspinlock. There is one counter per CPU, which a
 * create, update or delete takes with migration disabled and preemption enabled.
 * Where it is taken already, by a task that was preempted inside or by code that
 * this CPU interrupted, the operation fails with EBUSY. A lookup, and a
 * get-or-create that finds the element, do not take it.
 */
#define OSTOR_OP_BUSY_COUNTER	0x100

/**
 * struct ostor_op - one operation
 * @owner:	the owner
 * @op:		one of OSTOR_OP_*
 * @flags:	OSTOR_OP_BUSY_COUNTER or 0, and for OSTOR_OP_UPDATE one of OSTOR_ANY,
 *		_NOEXIST, _EXIST
 * @map_fd:	descriptor of the map
 * @result:	(out) 0 or a negative errno value
 * @seed:	stored in the value's first bytes by a create or update
 *
 * As the argument of OSTOR_TORTURE_IOC_OP: runs the operation once, on the calling
 * thread. The command succeeds when the operation ran. Errors: EINVAL, EBADF (no
 * descriptor of /dev/owner_storage), those of struct ostor_owner, EFAULT.
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
 * struct ostor_recurse - argument of OSTOR_TORTURE_IOC_RECURSE
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
 * bucket: inside the storage's lock the command takes that bucket's lock as well, by
 * deleting an element of its own, and runs the inner operation within.
 * For DROP the outer operation is an update without flags or a delete in a map
 * of the command's own, in which its owner has a value. @outer.map_fd is -1, and an
 * @inner.map_fd of -1 is that map, too. The inner operation runs in the drop of that
 * value. The command succeeds when the outer operation was run; what both returned
 * is in @result. Errors: EINVAL, EBADF, ESRCH, ENOMEM, EFAULT, EOPNOTSUPP (this
 * kernel has no such context or hook), EBUSY (the context is in use).
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

/* Most iterations of one OSTOR_TORTURE_IOC_BENCH. */
#define OSTOR_BENCH_MAX		10000000

/* What OSTOR_TORTURE_IOC_BENCH repeats. */
#define OSTOR_BENCH_GET_HIT		1	/* get of an element that exists */
#define OSTOR_BENCH_GET_MISS		2	/* get of one that does not */
#define OSTOR_BENCH_CREATE_FIRST	3	/* create + delete, owner's only one */
#define OSTOR_BENCH_CREATE_LATER	4	/* create + delete of a second one */
#define OSTOR_BENCH_LOCK		5	/* rqspinlock lock + unlock */
#define OSTOR_BENCH_ALLOC		6	/* nolock allocation + free, 128 bytes */
#define OSTOR_BENCH_SLOT		16	/* flag: the owner is a slot of the driver's */

/**
 * struct ostor_bench - argument of OSTOR_TORTURE_IOC_BENCH
 * @owner:	the owner that elements are created for, without OSTOR_BENCH_SLOT
 * @bench:	one of OSTOR_BENCH_*
 * @maps:	1 to 64: the owner has elements in this many maps, at least 2 for
 *		OSTOR_BENCH_CREATE_LATER; @map_fd is the one that is used.
 *		OSTOR_BENCH_LOCK and _ALLOC use none
 * @iterations:	1 to OSTOR_BENCH_MAX
 * @ns:		(out) nanoseconds for all iterations
 * @empty_ns:	(out) nanoseconds for as many iterations of the empty loop
 * @reap_ns:	(out) nanoseconds that the reaper then spent freeing what they
 *		deleted, which @ns does not include
 * @map_fd:	descriptor of the map
 * @pad:	must be zero
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
	__s32 map_fd;
	__u32 pad;
};

/**
 * struct ostor_fault - argument of OSTOR_TORTURE_IOC_FAULT
 * @site:	number of the fault site, from 0 on
 * @set:	1 to set what follows up to @delay_us and count anew, 0 to leave it as
 *		it is
 * @probability:	(in, out) chance of a failure in percent; 0 is off
 * @interval:	(in, out) one in so many passes may fail; at least 1
 * @space:	(in, out) passes before the first that may fail: n - 1 to have the
 *		nth fail
 * @times:	(in, out) failures that are left; negative for any number
 * @delay_us:	(in, out) microseconds that each pass is delayed, 1000 at most
 * @pad:	must be zero
 * @passed:	(out) passes while there was a chance or a delay
 * @failed:	(out) how many of them failed
 * @name:	(out) the site's name, as in debugfs
 * @reserved:	must be zero
 *
 * Makes locks, allocations and notices of death fail, or delays them, in the test
 * flavour of owner_storage. Some sites can only delay: a @probability for one of
 * them is EINVAL. Errors: ENOTTY (not the test flavour), EINVAL (no such site, a
 * field out of range), EFAULT.
 */
struct ostor_fault {
	__u32 site;
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

/* Most owners of one OSTOR_TORTURE_IOC_MASS_EXIT. */
#define OSTOR_MASS_EXIT_MAX	4000000

/**
 * struct ostor_mass_exit - argument of OSTOR_TORTURE_IOC_MASS_EXIT
 * @count:	1 to OSTOR_MASS_EXIT_MAX owners, about 300 bytes of memory for each
 * @create_ns:	(out) nanoseconds in which all elements were created
 * @death_ns:	(out) nanoseconds in which all owners died
 * @end_ns:	(out) nanoseconds that the end of the map took
 * @deaths:	(out) owners that died before the end of the map reached them
 * @dropped:	(out) values that were dropped once; must be @count
 * @reserved:	must be zero
 *
 * Makes owners of its own with an element each in one map, and then lets them die
 * in a kernel thread while the calling thread ends the map. A signal ends the
 * creation. Errors: EINVAL, ENOMEM, EINTR, EFAULT.
 */
struct ostor_mass_exit {
	__u64 count;
	__u64 create_ns;
	__u64 death_ns;
	__u64 end_ns;
	__u64 deaths;
	__u64 dropped;
	__u64 reserved[3];
};

/* Number of ages that OSTOR_TORTURE_IOC_AGES counts. */
#define OSTOR_AGES		4

/* Most objects that one OSTOR_TORTURE_IOC_AGES looks at, half of them elements. */
#define OSTOR_AGES_HELD_MAX	64

/* Longest stay of one OSTOR_TORTURE_IOC_AGES in its read section. */
#define OSTOR_AGES_HOLD_MAX_US	100000

/**
 * struct ostor_ages - argument of OSTOR_TORTURE_IOC_AGES
 * @owner:	the owner with whose buckets it begins
 * @hold_us:	microseconds that the read section stays, busy, 0 to
 *		OSTOR_AGES_HOLD_MAX_US
 * @map_fd:	descriptor of the map
 * @ages:	(out) how many objects had been unlinked for so many grace periods
 *		at the end of the section; the last one also has those above
 * @reused:	(out) how many had been freed, and their memory used again
 * @reserved:	must be zero
 *
 * Looks at elements of the map and at storages in the index of owners, live and
 * dead, bucket by bucket, in one RCU read section, in the test flavour of
 * owner_storage. Age 0 is linked; age 1 waits for the grace period that this section
 * holds up. @reused and the ages above 1 must be 0: such an object was freed under a
 * reader. Errors: ENOTTY (not the test flavour), EINVAL, EBADF, those of struct
 * ostor_owner, EFAULT.
 */
struct ostor_ages {
	struct ostor_owner owner;
	__u32 hold_us;
	__s32 map_fd;
	__u64 ages[OSTOR_AGES];
	__u64 reused;
	__u64 reserved[2];
};

/* Flags of OSTOR_TORTURE_IOC_CONTEXT. */
#define OSTOR_CONTEXT_BELOW	1	/* a thread on each CPU runs them as well */

/* Most operations of one OSTOR_TORTURE_IOC_CONTEXT. */
#define OSTOR_CONTEXT_OPS_MAX	16

/* Number of buckets of a histogram. */
#define OSTOR_HISTOGRAM		32

/**
 * struct ostor_op_stats - how operations went
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
struct ostor_op_stats {
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
	struct ostor_op_stats inside;
	struct ostor_op_stats below;
};

/**
 * struct ostor_context - argument of OSTOR_TORTURE_IOC_CONTEXT
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
 * passed, the next code that comes past on that CPU runs the batch. A thread on
 * each CPU sleeps from period to period, so that tasks are switched; with
 * OSTOR_CONTEXT_BELOW it runs the batch over and over, which allocates and
 * takes locks, and is what the other contexts interrupt. A signal ends it all
 * early, as if the time had passed.
 *
 * Errors: EINVAL (also a CPU that is not online), EFAULT, those of struct
 * ostor_owner, ENOMEM, EOPNOTSUPP (this kernel has no such context), EBUSY
 * (the context is in use).
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

/* What OSTOR_TORTURE_IOC_CYCLE makes. */
#define OSTOR_CYCLE_RING	0	/* each holds a lock and wants the next one's */
#define OSTOR_CYCLE_STALL	1	/* the first holds a lock, all others want it */

/* Most CPUs of one OSTOR_TORTURE_IOC_CYCLE. */
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
 * struct ostor_cycle - argument of OSTOR_TORTURE_IOC_CYCLE
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
 * A thread on each CPU updates an element of an owner of the command's own and,
 * inside the section of its storage's lock, updates another one's: each the next
 * one's, and the last one the first one's, all at once. Interrupts are off
 * meanwhile, for as long as the lock's time-out. Errors: EINVAL (also a CPU that
 * is not online), EFAULT, ENOMEM, EBUSY (another cycle is being made), EAGAIN
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

#define OSTOR_TORTURE_IOC_MAGIC		0xD6

#define OSTOR_TORTURE_IOC_OP	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x00, struct ostor_op)
#define OSTOR_TORTURE_IOC_RECURSE	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x01, struct ostor_recurse)
#define OSTOR_TORTURE_IOC_BENCH	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x02, struct ostor_bench)
#define OSTOR_TORTURE_IOC_FAULT	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x03, struct ostor_fault)
#define OSTOR_TORTURE_IOC_CONTEXT	_IOW(OSTOR_TORTURE_IOC_MAGIC, 0x04, struct ostor_context)
#define OSTOR_TORTURE_IOC_CYCLE	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x05, struct ostor_cycle)
#define OSTOR_TORTURE_IOC_MASS_EXIT	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x06, struct ostor_mass_exit)
#define OSTOR_TORTURE_IOC_AGES	_IOWR(OSTOR_TORTURE_IOC_MAGIC, 0x07, struct ostor_ages)

#endif /* _UAPI_LINUX_OWNER_STORAGE_TORTURE_H */
