// SPDX-License-Identifier: GPL-2.0
/*
 * A source calls a function in a context on some CPUs, again and again. Each CPU
 * has a ticker: a timer whose ticks the kind of source turns into calls.
 */
#include <linux/cpu.h>
#include <linux/kprobes.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/stringify.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>

#include "sources.h"

bool ostor_tick_claim(struct ostor_ticker *ticker)
{
	return atomic_read(&ticker->state) == OSTOR_TICK_DUE &&
		atomic_cmpxchg(&ticker->state, OSTOR_TICK_DUE, OSTOR_TICK_RUNS) == OSTOR_TICK_DUE;
}

void ostor_tick_call(struct ostor_ticker *ticker)
{
	struct ostor_source *source = ticker->source;

	source->fn(source->data);
	WRITE_ONCE(ticker->calls, ticker->calls + 1);
	atomic_set_release(&ticker->state, OSTOR_TICK_IDLE);
}

void ostor_source_pass(struct ostor_source *source)
{
	struct ostor_ticker *ticker = this_cpu_ptr(source->tickers);

	if (ostor_tick_claim(ticker))
		ostor_tick_call(ticker);
}

bool ostor_source_settled(struct ostor_source *source)
{
	int cpu;

	for_each_cpu(cpu, &source->cpus)
		if (atomic_read_acquire(&per_cpu_ptr(source->tickers, cpu)->state))
			return false;
	return true;
}

/* The interrupt of a timer, and the softirq that it raises. */

static void ostor_timer_tick(struct ostor_ticker *ticker)
{
	if (ostor_tick_claim(ticker))
		ostor_tick_call(ticker);
}

static const struct ostor_source_kind ostor_softirq = {
	.mode = HRTIMER_MODE_REL_PINNED_SOFT,
	.tick = ostor_timer_tick,
};

static const struct ostor_source_kind ostor_timer = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.tick = ostor_timer_tick,
};

static void ostor_irq_work_run(struct irq_work *work)
{
	ostor_timer_tick(container_of(work, struct ostor_ticker, work));
}

static void ostor_irq_work_tick(struct ostor_ticker *ticker)
{
	irq_work_queue(&ticker->work);
}

static int ostor_irq_work_attach(struct ostor_source *source)
{
	int cpu;

	for_each_cpu(cpu, &source->cpus)
		per_cpu_ptr(source->tickers, cpu)->work = IRQ_WORK_INIT_HARD(ostor_irq_work_run);
	return 0;
}

static void ostor_irq_work_detach(struct ostor_source *source)
{
	int cpu;

	for_each_cpu(cpu, &source->cpus)
		irq_work_sync(&per_cpu_ptr(source->tickers, cpu)->work);
}

static const struct ostor_source_kind ostor_irq_work = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.tick = ostor_irq_work_tick,
	.attach = ostor_irq_work_attach,
	.detach = ostor_irq_work_detach,
};

static void ostor_ipi_run(void *ticker)
{
	ostor_timer_tick(ticker);
}

/* If the CPU goes offline, the tick stays due, and there is no call to count. */
static void ostor_ipi_tick(struct ostor_ticker *ticker)
{
	if (smp_call_function_single_async(ticker->cpu, &ticker->csd))
		atomic_set(&ticker->state, OSTOR_TICK_IDLE);
}

static int ostor_ipi_attach(struct ostor_source *source)
{
	struct ostor_ticker *ticker;
	int cpu;

	if (num_online_cpus() == 1)
		return -EOPNOTSUPP;
	for_each_cpu(cpu, &source->cpus) {
		ticker = per_cpu_ptr(source->tickers, cpu);
		INIT_CSD(&ticker->csd, ostor_ipi_run, ticker);
	}
	return 0;
}

static void ostor_ipi_detach(struct ostor_source *source)
{
	while (!ostor_source_settled(source))
		cond_resched();
}

static const struct ostor_source_kind ostor_ipi = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.remote = true,
	.tick = ostor_ipi_tick,
	.attach = ostor_ipi_attach,
	.detach = ostor_ipi_detach,
};

/* Does nothing: the first hooked code that the CPU passes finds the tick due. */
static void ostor_hook_tick(struct ostor_ticker *ticker)
{
}

#ifdef CONFIG_KPROBES
static int ostor_kprobe_enter(struct kprobe *probe, struct pt_regs *regs)
{
	ostor_source_pass(container_of(probe, struct ostor_source, probe));
	return 0;
}
NOKPROBE_SYMBOL(ostor_kprobe_enter);

/*
 * The one function that owner_storage calls with a lock held. It is called if there is a
 * probe on the tracepoint that the lock's holder passes, so the source has one there.
 */
#ifdef MODULE
#define OSTOR_LOCKED __stringify(OSTOR_SUBSYSTEM) ":ostor_trace_locked"
#else
#define OSTOR_LOCKED "ostor_trace_locked"
#endif

static void ostor_locked_pass(void *data, unsigned long owner)
{
}

static int ostor_kprobe_attach(struct ostor_source *source)
{
	int ret;

	source->probe.symbol_name = OSTOR_LOCKED;
	source->probe.pre_handler = ostor_kprobe_enter;
	ret = register_kprobe(&source->probe);
	if (ret)
		return ret;
	ret = ostor_event_register(OSTOR_EVENT_STORAGE_LOCKED, ostor_locked_pass, source);
	if (ret)
		goto no_storage;
	ret = ostor_event_register(OSTOR_EVENT_BUCKET_LOCKED, ostor_locked_pass, source);
	if (ret)
		goto no_bucket;
	return 0;

no_bucket:
	ostor_event_unregister(OSTOR_EVENT_STORAGE_LOCKED, ostor_locked_pass, source);
	ostor_event_sync();
no_storage:
	unregister_kprobe(&source->probe);
	return ret;
}

static void ostor_kprobe_detach(struct ostor_source *source)
{
	ostor_event_unregister(OSTOR_EVENT_BUCKET_LOCKED, ostor_locked_pass, source);
	ostor_event_unregister(OSTOR_EVENT_STORAGE_LOCKED, ostor_locked_pass, source);
	ostor_event_sync();
	unregister_kprobe(&source->probe);
}

static const struct ostor_source_kind ostor_kprobe = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.tick = ostor_hook_tick,
	.attach = ostor_kprobe_attach,
	.detach = ostor_kprobe_detach,
};
#endif

static void ostor_switch_enter(void *source, bool preempt, struct task_struct *prev,
			       struct task_struct *next, unsigned int prev_state)
{
	ostor_source_pass(source);
}

struct ostor_kernel_tracepoint_query {
	const char *name;
	struct tracepoint *found;
};

static void ostor_kernel_tracepoint_match(struct tracepoint *tp, void *data)
{
	struct ostor_kernel_tracepoint_query *query = data;

	if (!strcmp(tp->name, query->name))
		query->found = tp;
}

struct tracepoint *ostor_kernel_tracepoint(const char *name)
{
	struct ostor_kernel_tracepoint_query query = { .name = name };

	for_each_kernel_tracepoint(ostor_kernel_tracepoint_match, &query);
	return query.found;
}

static int ostor_switch_attach(struct ostor_source *source)
{
	source->tracepoint = ostor_kernel_tracepoint("sched_switch");
	if (!source->tracepoint)
		return -EOPNOTSUPP;
	return tracepoint_probe_register(source->tracepoint, ostor_switch_enter, source);
}

static void ostor_switch_detach(struct ostor_source *source)
{
	tracepoint_probe_unregister(source->tracepoint, ostor_switch_enter, source);
	tracepoint_synchronize_unregister();
}

static const struct ostor_source_kind ostor_switch = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.tick = ostor_hook_tick,
	.attach = ostor_switch_attach,
	.detach = ostor_switch_detach,
};

static void ostor_alloc_enter(void *source)
{
	ostor_source_pass(source);
}

static int ostor_alloc_attach(struct ostor_source *source)
{
	source->hook = ostor_alloc_hook_attach(ostor_alloc_enter, source);
	return PTR_ERR_OR_ZERO(source->hook);
}

static void ostor_alloc_detach(struct ostor_source *source)
{
	ostor_alloc_hook_detach(source->hook);
}

static const struct ostor_source_kind ostor_alloc = {
	.mode = HRTIMER_MODE_REL_PINNED_HARD,
	.tick = ostor_hook_tick,
	.attach = ostor_alloc_attach,
	.detach = ostor_alloc_detach,
};

static const struct ostor_source_kind *const ostor_source_kinds[] = {
	[OSTOR_CONTEXT_SOFTIRQ] = &ostor_softirq,
	[OSTOR_CONTEXT_TIMER] = &ostor_timer,
	[OSTOR_CONTEXT_IRQ_WORK] = &ostor_irq_work,
	[OSTOR_CONTEXT_IPI] = &ostor_ipi,
#ifdef OSTOR_HAS_NMI
	[OSTOR_CONTEXT_NMI] = &ostor_nmi,
#endif
#ifdef CONFIG_KPROBES
	[OSTOR_CONTEXT_KPROBE] = &ostor_kprobe,
#endif
	[OSTOR_CONTEXT_RUN_QUEUE] = &ostor_switch,
	[OSTOR_CONTEXT_ALLOC] = &ostor_alloc,
};

/* The source of each kind that was started: one at most. */
static struct ostor_source *ostor_sources[ARRAY_SIZE(ostor_source_kinds)];

static enum hrtimer_restart ostor_ticker_tick(struct hrtimer *timer)
{
	struct ostor_ticker *ticker = container_of(timer, struct ostor_ticker, timer);
	int idle = OSTOR_TICK_IDLE;

	if (!ticker->source->period) {
		/* ostor_source_raise() has made it due. */
		ticker->source->kind->tick(ticker);
		return HRTIMER_NORESTART;
	}
	if (atomic_try_cmpxchg(&ticker->state, &idle, OSTOR_TICK_DUE))
		ticker->source->kind->tick(ticker);
	hrtimer_forward_now(timer, ticker->source->period);
	return HRTIMER_RESTART;
}

/* Called on the CPU that the timer is for. */
static void ostor_ticker_start(void *data)
{
	struct ostor_ticker *ticker = data;

	hrtimer_start(&ticker->timer, ticker->source->period, ticker->source->kind->mode);
}

static void ostor_tickers_stop(struct ostor_source *source)
{
	int cpu;

	for_each_cpu(cpu, &source->cpus)
		hrtimer_cancel(&per_cpu_ptr(source->tickers, cpu)->timer);
}

/*
 * An interrupt of one CPU that another CPU sends is sent by the timer of that other
 * CPU. So it finds the receiver in any code, and not only at the end of an interrupt
 * of a timer of its own.
 */
static int ostor_tickers_start(struct ostor_source *source)
{
	const struct ostor_source_kind *kind = source->kind;
	int cpu, at, ret;

	for_each_cpu(cpu, &source->cpus) {
		at = kind->remote ? cpumask_next_wrap(cpu, cpu_online_mask) : cpu;
		ret = smp_call_function_single(at, ostor_ticker_start,
					       per_cpu_ptr(source->tickers, cpu), 1);
		if (ret) {
			ostor_tickers_stop(source);
			return ret;
		}
	}
	return 0;
}

static void ostor_source_free(struct ostor_source *source)
{
	free_percpu(source->tickers);
	kfree(source);
}

static void ostor_source_end(struct ostor_source *source)
{
	/* The next source can start from here on. */
	smp_store_release(&ostor_sources[source->number], NULL);
	ostor_source_free(source);
}

/* A source whose tickers do not tick yet, and that is attached to nothing. */
static struct ostor_source *ostor_source_new(const struct ostor_source_kind *kind,
					     u64 cpus, u64 period_ns)
{
	struct ostor_source *source = kzalloc_obj(*source);
	struct ostor_ticker *ticker;
	int cpu;

	if (!source)
		return NULL;
	source->tickers = alloc_percpu(struct ostor_ticker);
	if (!source->tickers) {
		kfree(source);
		return NULL;
	}
	source->kind = kind;
	source->period = ns_to_ktime(period_ns);
	for_each_online_cpu(cpu)
		if (cpu < 64 && cpus & BIT_ULL(cpu))
			cpumask_set_cpu(cpu, &source->cpus);
	for_each_possible_cpu(cpu) {
		ticker = per_cpu_ptr(source->tickers, cpu);
		ticker->source = source;
		ticker->cpu = cpu;
		hrtimer_setup(&ticker->timer, ostor_ticker_tick, CLOCK_MONOTONIC, kind->mode);
	}
	return source;
}

void *ostor_source_start(u32 number, u64 cpus, u64 period_ns,
			 void (*fn)(void *data), void *data)
{
	const struct ostor_source_kind *kind = ostor_source_kinds[number];
	struct ostor_source *source;
	int ret;

	if (!kind)
		return ERR_PTR(-EOPNOTSUPP);
	source = ostor_source_new(kind, cpus, period_ns);
	if (!source)
		return ERR_PTR(-ENOMEM);
	source->fn = fn;
	source->data = data;
	source->number = number;
	if (cmpxchg(&ostor_sources[number], NULL, source)) {
		ostor_source_free(source);
		return ERR_PTR(-EBUSY);
	}
	ret = kind->attach ? kind->attach(source) : 0;
	if (!ret && kind->tick && period_ns) {
		ret = ostor_tickers_start(source);
		if (ret && kind->detach)
			kind->detach(source);
	}
	if (ret) {
		ostor_source_end(source);
		return ERR_PTR(ret);
	}
	return source;
}

void ostor_source_stop(void *data)
{
	struct ostor_source *source = data;

	if (source->kind->tick)
		ostor_tickers_stop(source);
	if (source->kind->detach)
		source->kind->detach(source);
	ostor_source_end(source);
}

/*
 * RAISE: how long a CPU that raises an interrupt waits for it. An emulator whose host
 * is busy delivers it late.
 * NEVER: the same with interrupts off, when it must not come.
 * HOLD: how long this CPU then goes on holding its locks, so that the function that
 * runs on the other CPU finds them held.
 */
#define OSTOR_RAISE_NS	NSEC_PER_SEC
#define OSTOR_NEVER_NS	(100 * NSEC_PER_USEC)
#define OSTOR_HOLD_NS	(300 * NSEC_PER_USEC)

/* No cpu_relax(): an emulated PMU counts instructions that are executed. */
#define OSTOR_SPIN(ns, until)							\
({										\
	u64 ostor_start = ktime_get_mono_fast_ns();				\
	bool ostor_done;							\
										\
	while (!(ostor_done = (until)) &&					\
	       ktime_get_mono_fast_ns() - ostor_start < (ns))			\
		barrier();							\
	ostor_done;								\
})

static bool ostor_raise_here(struct ostor_source *source)
{
	struct ostor_ticker *ticker = this_cpu_ptr(source->tickers);
	bool can_come = source->number == OSTOR_CONTEXT_NMI || !irqs_disabled();
	unsigned int calls = READ_ONCE(ticker->calls);

	atomic_set(&ticker->state, OSTOR_TICK_DUE);
	if (source->number == OSTOR_CONTEXT_SOFTIRQ || source->number == OSTOR_CONTEXT_TIMER)
		hrtimer_start(&ticker->timer, 0, source->kind->mode);
	else if (source->kind->tick)
		source->kind->tick(ticker);
	if (OSTOR_SPIN(can_come ? OSTOR_RAISE_NS : OSTOR_NEVER_NS,
		       READ_ONCE(ticker->calls) != calls))
		return true;
	/* If it comes after this, it does not call the function. */
	atomic_cmpxchg(&ticker->state, OSTOR_TICK_DUE, OSTOR_TICK_IDLE);
	return false;
}

/* The function on the other CPU may wait for a lock that this CPU holds. */
static bool ostor_raise_elsewhere(struct ostor_source *source)
{
	unsigned int cpu = cpumask_next_wrap(smp_processor_id(), cpu_online_mask);
	struct ostor_ticker *ticker = per_cpu_ptr(source->tickers, cpu);
	bool runs;

	if (cpu == smp_processor_id())
		return false;
	atomic_set(&ticker->state, OSTOR_TICK_DUE);
	source->kind->tick(ticker);
	runs = OSTOR_SPIN(OSTOR_RAISE_NS, atomic_read(&ticker->state) != OSTOR_TICK_DUE);
	OSTOR_SPIN(OSTOR_HOLD_NS, false);
	return runs;
}

bool ostor_source_raise(void *data)
{
	struct ostor_source *source = data;
	bool came;

	/* A softirq of PREEMPT_RT is a thread, which has to preempt this task. */
	migrate_disable();
	if (source->number == OSTOR_CONTEXT_IPI)
		came = ostor_raise_elsewhere(source);
	else
		came = ostor_raise_here(source);
	migrate_enable();
	return came;
}

bool ostor_in_task(void)
{
	return in_task();
}

bool ostor_source_is_here(u32 number)
{
	switch (number) {
	case OSTOR_CONTEXT_SOFTIRQ:
		return in_serving_softirq() && !in_hardirq() && !in_nmi();
	case OSTOR_CONTEXT_TIMER:
	case OSTOR_CONTEXT_IRQ_WORK:
	case OSTOR_CONTEXT_IPI:
		return in_hardirq() && !in_nmi();
	case OSTOR_CONTEXT_NMI:
		return in_nmi();
	default:
		return true;
	}
}

u32 ostor_this_cpu(void)
{
	return raw_smp_processor_id();
}

bool ostor_cpu_online(u32 cpu)
{
	return cpu < nr_cpu_ids && cpu_online(cpu);
}
