/* SPDX-License-Identifier: GPL-2.0 */
/* How often a task creates and deletes its value when it is asked to. */
#define SELF_AGAIN 256
