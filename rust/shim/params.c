// SPDX-License-Identifier: GPL-2.0
/*
 * The parameters of the module. The kernel crate's module! macro is not used: it
 * sets perm to 0 and has no get(), so that sysfs does not show its parameters, and
 * it checks types and no ranges.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/sysfs.h>

#include "shim.h"

struct ostor_param {
	u32 value;
	u32 least;
	u32 most;
};

/* The kernel's own message names the parameter and the value, and no range. */
static int ostor_param_set(const char *text, const struct kernel_param *kp)
{
	struct ostor_param *param = kp->arg;
	u32 value;

	if (kstrtou32(text, 0, &value) || value < param->least || value > param->most) {
		pr_err("parameter %s=%s is no number from %u to %u\n", kp->name, text,
		       param->least, param->most);
		return -EINVAL;
	}
	param->value = value;
	return 0;
}

static int ostor_param_get(char *buffer, const struct kernel_param *kp)
{
	const struct ostor_param *param = kp->arg;

	return sysfs_emit(buffer, "%u\n", param->value);
}

static const struct kernel_param_ops ostor_param_ops = {
	.set = ostor_param_set,
	.get = ostor_param_get,
};

/* A parameter that Rust reads with ostor_param_NAME(). */
#define OSTOR_PARAM(name, initial, first, last)					\
	static struct ostor_param ostor_##name = {				\
		.value = (initial), .least = (first), .most = (last),		\
	};									\
	u32 ostor_param_##name(void)						\
	{									\
		return ostor_##name.value;					\
	}									\
	module_param_cb(name, &ostor_param_ops, &ostor_##name, 0444)

OSTOR_PARAM(map_bits, 10, 4, 20);
MODULE_PARM_DESC(map_bits, "Binary logarithm of the buckets of a map (4 to 20)");

OSTOR_PARAM(index_bits, 12, 4, 20);
MODULE_PARM_DESC(index_bits, "Binary logarithm of the buckets of the owner index (4 to 20)");

OSTOR_PARAM(pending_hurry, 0, 0, U32_MAX);
MODULE_PARM_DESC(pending_hurry,
		 "KiB of dead elements above which grace periods are expedited (0: a 1024th of memory)");

OSTOR_PARAM(pending_limit, 0, 0, U32_MAX);
MODULE_PARM_DESC(pending_limit,
		 "KiB of dead elements above which creates wait or fail with ENOMEM (0: a 128th of memory)");

#ifdef OSTOR_TEST
/* Each bit is 1 << OSTOR_KIND_*. */
#define OSTOR_ALL_KINDS 31

OSTOR_PARAM(mute_deaths, 0, 0, OSTOR_ALL_KINDS);
MODULE_PARM_DESC(mute_deaths,
		 "Kinds whose notices of death are lost: the sum of 1 << OSTOR_KIND_*");

OSTOR_PARAM(mute_startup, 0, 0, OSTOR_ALL_KINDS);
MODULE_PARM_DESC(mute_startup,
		 "Kinds whose notices of death are lost during the startup test, likewise");
#endif
