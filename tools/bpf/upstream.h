/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of upstream's selftests and their loader share. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

/* Upstream's values. */
#define MAGIC 0xabcd1234ULL
#define SOCKET_VALUE 0xdeadbeefULL

/* Creates and updates that were refused. */
struct refusals {
	__u64 races;	/* EAGAIN, EEXIST */
	__u64 locks;	/* EDEADLK, ETIMEDOUT */
	__u64 others;
};

/* Tasks whose values are deleted while a lock is held. */
#define OTHERS 16

/* Results of operations while the outer one holds a lock. */
struct locked {
	__s64 outer_create;
	__s64 outer_delete;
	__u64 others_deleted;
	__u64 others_deadlocks;
	__s64 get;
	__s64 create;
	__s64 delete;
	__u64 runs;
};

#endif /* UPSTREAM_H */
