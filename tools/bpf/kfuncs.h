/* SPDX-License-Identifier: GPL-2.0 */
/* What the test programs and their loader share. */
#ifndef KFUNCS_H
#define KFUNCS_H

/* The operations. */
enum op {
	OP_GET,
	OP_PEEK,
	OP_GET_OR_CREATE,
	OP_UPDATE,
	OP_DELETE,
	OP_GET_SHORT,		/* into 4 bytes */
	OP_PEEK_LONG,		/* 16 bytes */
	OP_CREATE_SHORT,	/* from 4 bytes */
	OP_UPDATE_SHORT,
};

/* Results of a call that was not made. */
#define NO_MAP (-10000)
#define NO_OWNER (-10001)

/* One call of a kfunc. */
struct call {
	__u64 map;
	__u64 owner;	/* pid of a task, id of a cgroup; not used for sockets */
	__u64 value;	/* in and out */
	__u64 flags;
	__u32 op;
	__s32 result;	/* of the kfunc; of peek 0 or -ENOENT */
};

/* Most calls that a tracing program makes in a row. */
#define CALLS_MAX 16

/* Size of a value that is copied by memcpy(). */
#define LARGE 100

/* What happens inside an update, at a tracepoint of the module. */
struct nested {
	__s32 update;
	__s32 get;
	__s32 delete;
	__u32 runs;
};

/* What programs counted in NMI. */
struct in_nmi {
	__u64 runs;
	__u64 created;
	__u64 replaced;
	__u64 read;
	__u64 deleted;
	__u64 refused;	/* ESRCH: current is a task that ends */
	__u64 wrong;
};

/* What is measured. */
enum cost {
	COST_LOOP,
	COST_GET,
	COST_GET_MISS,
	COST_PEEK,
	COST_BORROW,
	COST_ACQUIRE,
	COST_UPDATE,
	COST_CREATE_DELETE,
	COST_BPF_GET,
	COST_BPF_GET_MISS,
	COST_BPF_CREATE_DELETE,
	COSTS,
};

#endif /* KFUNCS_H */
