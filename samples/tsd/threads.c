// SPDX-License-Identifier: GPL-2.0
/*
 * Uses thread-specific data, and counts on its own what becomes of it.
 *
 * /sys/kernel/debug/tsd/value has a number for each thread that writes one. by_pid shows
 * what a table that is keyed by pid has for the same thread. A number that is written to
 * run is that of threads which set a pointer for each of some keys; the write fails unless
 * each pointer was given to its destructor once, and at the right time.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "tsd.h"

#define KEYS		8
#define ROUNDS		100
#define MAX_THREADS	1000

static bool forget;
module_param(forget, bool, 0444);
MODULE_PARM_DESC(forget, "leave the key of \"value\" to owner_storage at unloading");

static struct tsd_key value_key;
static atomic_t made, destroyed;
static struct dentry *dir;

/* What modules do instead of thread-specific data, and what goes wrong with it. */
static DEFINE_XARRAY(by_pid);

static void value_destroy(void *number)
{
	kfree(number);
	atomic_inc(&destroyed);
	/* The values of a forgotten key are destroyed after tsd_exit(). */
	if (forget && !dir && atomic_read(&destroyed) == atomic_read(&made))
		pr_info("all %d values of the forgotten key are destroyed\n", atomic_read(&made));
}

static int value_set(void *data, u64 number)
{
	u64 *old = tsd_get(&value_key), *new;
	int ret;

	if (number > LONG_MAX)
		return -EINVAL;
	ret = xa_err(xa_store(&by_pid, current->pid, xa_mk_value(number), GFP_KERNEL));
	if (ret)
		return ret;
	if (old) {
		*old = number;
		return 0;
	}
	new = kmalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	*new = number;
	ret = tsd_set(&value_key, new);
	if (ret)
		kfree(new);
	else
		atomic_inc(&made);
	return ret;
}

static int value_get(void *data, u64 *number)
{
	const u64 *value = tsd_get(&value_key);

	*number = value ? *value : 0;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(value_fops, value_get, value_set, "%llu\n");

static int by_pid_get(void *data, u64 *number)
{
	void *value = xa_load(&by_pid, current->pid);

	*number = value ? xa_to_value(value) : 0;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(by_pid_fops, by_pid_get, NULL, "%llu\n");

static int values_get(void *data, u64 *number)
{
	*number = atomic_read(&made) - atomic_read(&destroyed);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(values_fops, values_get, NULL, "%llu\n");

struct run;

/* A thread, with a pointer for each key: to one of these counts of its destructor's calls. */
struct worker {
	struct run *run;
	struct task_struct *thread;
	struct pointer {
		struct run *run;
		atomic_t destroyed;
	} pointers[KEYS];
};

struct run {
	struct tsd_key keys[KEYS];
	wait_queue_head_t queue;
	atomic_t busy;
	atomic_t destroyed;
	atomic_t wrong;
	unsigned int threads;
	struct worker workers[];
};

static void pointer_destroy(void *data)
{
	struct pointer *pointer = data;
	struct run *run = pointer->run;

	atomic_inc(&pointer->destroyed);
	atomic_inc(&run->destroyed);
	wake_up(&run->queue);
}

static bool set_and_get(struct tsd_key *key, void *data)
{
	return !tsd_set(key, data) && tsd_get(key) == data;
}

static int work(void *data)
{
	struct worker *worker = data;
	struct run *run = worker->run;
	int turn, key;

	for (key = 0; key < KEYS; key++)
		if (tsd_get(&run->keys[key]))
			atomic_inc(&run->wrong);
	for (turn = 0; turn < ROUNDS * KEYS; turn++) {
		key = turn % KEYS;
		if (!set_and_get(&run->keys[key], NULL) ||
		    !set_and_get(&run->keys[key], &worker->pointers[key]))
			atomic_inc(&run->wrong);
		cond_resched();
	}
	if (atomic_dec_and_test(&run->busy))
		wake_up(&run->queue);
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* Counts the pointers that were not destroyed once, of all threads or of the stopped ones. */
static int count_wrong(const struct run *run, bool all)
{
	int wrong = 0;

	for (int i = 0; i < run->threads; i++)
		for (int key = 0; key < KEYS; key++)
			wrong += atomic_read(&run->workers[i].pointers[key].destroyed) !=
				 (all || i % 2);
	return wrong;
}

static int start_threads(struct run *run, unsigned int threads)
{
	for (; run->threads < threads; run->threads++) {
		struct worker *worker = &run->workers[run->threads];
		struct task_struct *thread;

		worker->run = run;
		for (int key = 0; key < KEYS; key++)
			worker->pointers[key].run = run;
		thread = kthread_create(work, worker, "tsd/%u", run->threads);
		if (IS_ERR(thread))
			return PTR_ERR(thread);
		worker->thread = thread;
		atomic_inc(&run->busy);
		wake_up_process(thread);
	}
	return 0;
}

/* Every second thread ends before its keys are deleted, and the others after that. */
static int run_threads(struct run *run, unsigned int threads)
{
	int keys, wrong, i, ret = 0;

	for (keys = 0; keys < KEYS && !ret; keys++)
		ret = tsd_create(&run->keys[keys], pointer_destroy);
	if (ret)
		keys--;
	else
		ret = start_threads(run, threads);
	wait_event(run->queue, !atomic_read(&run->busy));
	for (i = 1; i < run->threads; i += 2)
		kthread_stop(run->workers[i].thread);
	if (!wait_event_timeout(run->queue,
				atomic_read(&run->destroyed) == run->threads / 2 * KEYS, 30 * HZ))
		pr_err("values of threads that have gone are left\n");
	wrong = count_wrong(run, false);
	while (keys)
		tsd_delete(&run->keys[--keys]);
	wrong += count_wrong(run, true) + atomic_read(&run->wrong);
	for (i = 0; i < run->threads; i += 2)
		kthread_stop(run->workers[i].thread);
	pr_info("%u threads, %d keys: %d pointers destroyed, %d of %d wrong\n", run->threads, KEYS,
		atomic_read(&run->destroyed), wrong, run->threads * KEYS);
	return ret ?: wrong ? -EIO : 0;
}

static int run_set(void *data, u64 threads)
{
	struct run *run;
	int ret;

	if (threads > MAX_THREADS)
		return -EINVAL;
	run = kvzalloc(struct_size(run, workers, threads), GFP_KERNEL);
	if (!run)
		return -ENOMEM;
	init_waitqueue_head(&run->queue);
	ret = run_threads(run, threads);
	kvfree(run);
	return ret;
}

DEFINE_DEBUGFS_ATTRIBUTE(run_fops, NULL, run_set, "%llu\n");

static int __init tsd_module_init(void)
{
	int ret = tsd_create(&value_key, value_destroy);

	if (ret)
		return ret;
	dir = debugfs_create_dir("tsd", NULL);
	debugfs_create_file_unsafe("value", 0600, dir, NULL, &value_fops);
	debugfs_create_file_unsafe("by_pid", 0400, dir, NULL, &by_pid_fops);
	debugfs_create_file_unsafe("values", 0400, dir, NULL, &values_fops);
	debugfs_create_file_unsafe("run", 0200, dir, NULL, &run_fops);
	return 0;
}

static void __exit tsd_module_exit(void)
{
	debugfs_remove(dir);
	dir = NULL;
	xa_destroy(&by_pid);
	if (forget)
		return;
	tsd_delete(&value_key);
	pr_info("%d values were made, and %d destroyed\n", atomic_read(&made),
		atomic_read(&destroyed));
}

module_init(tsd_module_init);
module_exit(tsd_module_exit);

MODULE_AUTHOR("The owner_storage developers");
MODULE_DESCRIPTION("Sample of owner_storage: thread-specific data");
MODULE_LICENSE("GPL");
