// SPDX-License-Identifier: GPL-2.0
/*
 * A template in C: a module outside of owner_storage's tree that keeps a value for each
 * task. Documentation/c-api.rst builds it step by step.
 *
 * /sys/kernel/debug/template_c/reads tells a task how often it has read that file. A
 * task's count goes with the task, and all counts go with the module.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/owner_storage.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

struct reads {
	atomic64_t count;
};

static struct ostor_map *map;
static struct dentry *dir;

/* Counts a read of the calling task. */
static int reads_get(void *data, u64 *count)
{
	struct reads *mine;

	/* The value can be used until the end of this section. */
	guard(rcu)();
	mine = owner_storage_task_get_or_create(map, current, NULL, NULL);
	if (IS_ERR(mine))
		return PTR_ERR(mine);
	*count = atomic64_inc_return(&mine->count);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(reads_fops, reads_get, NULL, "%llu\n");

static int __init template_init(void)
{
	map = owner_storage_map_create(sizeof(struct reads), NULL);
	if (IS_ERR(map))
		return PTR_ERR(map);
	dir = debugfs_create_dir("template_c", NULL);
	debugfs_create_file_unsafe("reads", 0400, dir, NULL, &reads_fops);
	return 0;
}

static void __exit template_exit(void)
{
	debugfs_remove(dir);
	owner_storage_map_destroy(map);
}

module_init(template_init);
module_exit(template_exit);

MODULE_AUTHOR("You");
MODULE_DESCRIPTION("A value for each task");
MODULE_LICENSE("GPL");
