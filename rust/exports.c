// SPDX-License-Identifier: GPL-2.0
/*
 * The symbols that other modules' crates refer to, in the namespace OWNER_STORAGE. Only
 * rustc knows their types.
 */
#include <linux/export.h>

#include "exports_generated.h"
