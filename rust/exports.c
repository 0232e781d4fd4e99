// SPDX-License-Identifier: GPL-2.0
/*
 * The symbols that other modules refer to, which the build finds.
 *
 * Those of Rust crates are in the namespace OWNER_STORAGE. Only rustc knows their types.
 *
 * Those of C modules are all functions of the header, and in no namespace: it would tell
 * a C module nothing. The names and types of these functions are the whole interface,
 * and do not change with the layouts and the code behind them, as those of Rust do.
 */
#include <linux/export.h>
#include <linux/owner_storage.h>

#include "exports_generated.h"
