// SPDX-License-Identifier: GPL-2.0
/*
 * NMIs as a source: IPIs on x86, whose emulated CPUs have no PMU, and overflows of the
 * PMU on arm64, where no NMI can be sent.
 */
#include <linux/delay.h>
#include <linux/perf_event.h>

#include "sources.h"

#ifdef OSTOR_HAS_NMI
#ifdef CONFIG_X86_LOCAL_APIC
#include <asm/apic.h>
#include <asm/nmi.h>

/* Set while a handler is registered; handlers get no argument of their own. */
static struct ostor_source *ostor_nmi_source;

static int ostor_nmi_handler(unsigned int type, struct pt_regs *regs)
{
	struct ostor_ticker *ticker = this_cpu_ptr(READ_ONCE(ostor_nmi_source)->tickers);

	if (!ostor_tick_claim(ticker))
		return NMI_DONE;
	ostor_tick_call(ticker);
	return NMI_HANDLED;
}

static int ostor_nmi_attach(struct ostor_source *source)
{
	WRITE_ONCE(ostor_nmi_source, source);
	return register_nmi_handler(NMI_LOCAL, ostor_nmi_handler, 0, "owner_storage");
}

/* An NMI that was sent to a CPU which has gone offline since never comes. */
static void ostor_nmi_detach(struct ostor_source *source)
{
	for (int ms = 0; ms < 1000 && !ostor_source_settled(source); ms++)
		fsleep(1000);
	unregister_nmi_handler(NMI_LOCAL, "owner_storage");
}

static void ostor_nmi_tick(struct ostor_ticker *ticker)
{
	__apic_send_IPI_mask(cpumask_of(ticker->cpu), NMI_VECTOR);
}

const struct ostor_source_kind ostor_nmi = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.remote = true,
	.tick = ostor_nmi_tick,
	.attach = ostor_nmi_attach,
	.detach = ostor_nmi_detach,
};
#else
static void ostor_nmi_overflow(struct perf_event *event, struct perf_sample_data *sample,
			       struct pt_regs *regs)
{
	struct ostor_ticker *ticker = event->overflow_handler_context;

	/* Without a period, only ostor_source_raise() makes a tick due. */
	if (ticker->source->period)
		atomic_set(&ticker->state, OSTOR_TICK_DUE);
	if (ostor_tick_claim(ticker))
		ostor_tick_call(ticker);
}

static void ostor_nmi_detach(struct ostor_source *source)
{
	int cpu;

	for_each_cpu(cpu, &source->cpus) {
		struct ostor_ticker *ticker = per_cpu_ptr(source->tickers, cpu);

		if (ticker->event)
			perf_event_release_kernel(ticker->event);
		ticker->event = NULL;
	}
}

/* Cycles from one overflow to the next for ostor_source_raise(). */
#define OSTOR_NMI_CYCLES	100000

/* The period in cycles of a clock of 1 GHz. */
static int ostor_nmi_attach(struct ostor_source *source)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.size = sizeof(attr),
		.pinned = 1,
		.sample_period = ktime_to_ns(source->period) ?: OSTOR_NMI_CYCLES,
	};
	int cpu;

	for_each_cpu(cpu, &source->cpus) {
		struct ostor_ticker *ticker = per_cpu_ptr(source->tickers, cpu);
		struct perf_event *event;

		event = perf_event_create_kernel_counter(&attr, cpu, NULL, ostor_nmi_overflow,
							 ticker);
		if (IS_ERR(event)) {
			ostor_nmi_detach(source);
			return PTR_ERR(event) == -ENOENT ? -EOPNOTSUPP : PTR_ERR(event);
		}
		ticker->event = event;
	}
	return 0;
}

const struct ostor_source_kind ostor_nmi = {
	.attach = ostor_nmi_attach,
	.detach = ostor_nmi_detach,
};
#endif
#endif
