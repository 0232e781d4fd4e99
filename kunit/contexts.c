// SPDX-License-Identifier: GPL-2.0
/* What the torture module runs code in contexts with, for the suites. */
#include "../torture/alloc_hook.c"
#include "../torture/events.c"
#include "../torture/nmi.c"
#include "../torture/sources.c"
