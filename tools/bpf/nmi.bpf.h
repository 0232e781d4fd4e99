/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a program runs in NMI. Debian's kernel for arm64 has none. */
#ifndef NMI_BPF_H
#define NMI_BPF_H

#ifdef __TARGET_ARCH_x86
extern const int __preempt_count __ksym;
extern int LINUX_KERNEL_VERSION __kconfig;

static bool is_nmi(void)
{
	/* The lowest bit of the count. Linux 7.3 has inserted eight bits below it. */
	int bit = KERNEL_VERSION(7, 3, 0) > LINUX_KERNEL_VERSION ? 20 : 28;

	return *(int *)bpf_this_cpu_ptr(&__preempt_count) & 1 << bit;
}
#else
static bool is_nmi(void)
{
	return false;
}
#endif

#endif /* NMI_BPF_H */
