/* SPDX-License-Identifier: GPL-2.0 */
/* How many times a task creates and deletes its value in one system call. */
#define SELF_AGAIN 256
