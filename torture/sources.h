/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the kinds of sources, see sources.c. */
#ifndef OSTOR_SOURCES_H
#define OSTOR_SOURCES_H

#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/smp.h>
#include <linux/tracepoint-defs.h>

#include "contexts.h"

struct ostor_source;
struct perf_event;

/*
 * The states of a ticker. Only an idle one takes the next tick.
 *
 * IDLE -> DUE	by the ticker's timer, or by ostor_source_raise()
 * DUE -> RUNS	by the code that calls the function, on the ticker's CPU
 * RUNS -> IDLE	when the function has returned
 * DUE -> IDLE	by the code that made it due, if no call followed
 */
enum ostor_tick {
	OSTOR_TICK_IDLE,
	OSTOR_TICK_DUE,
	OSTOR_TICK_RUNS,
};

/* One CPU of a source. The function is called on @cpu, @calls times so far. */
struct ostor_ticker {
	struct ostor_source *source;
	unsigned int cpu;
	atomic_t state;
	unsigned int calls;
	struct hrtimer timer;
	struct irq_work work;
	call_single_data_t csd;
	struct perf_event *event;
};

/*
 * struct ostor_source_kind - how a tick becomes a call
 * @mode:	of the tickers' timers
 * @remote:	the timer is on another CPU than the call
 * @tick:	what the timer does; none if there is no timer
 * @attach:	called before the first tick
 * @detach:	called after the last one; no call is under way when it returns
 */
struct ostor_source_kind {
	enum hrtimer_mode mode;
	bool remote;
	void (*tick)(struct ostor_ticker *ticker);
	int (*attach)(struct ostor_source *source);
	void (*detach)(struct ostor_source *source);
};

struct ostor_source {
	const struct ostor_source_kind *kind;
	u32 number;
	void (*fn)(void *data);
	void *data;
	ktime_t period;
	struct cpumask cpus;
	struct ostor_ticker __percpu *tickers;
	struct tracepoint *tracepoint;
#ifdef CONFIG_KPROBES
	struct kprobe probe;
#endif
	void *hook;
};

/* A tracepoint of the kernel itself, exported or not; NULL if there is none. */
struct tracepoint *ostor_kernel_tracepoint(const char *name);

/* Takes a tick that is due, and calls the function for one that was taken. */
bool ostor_tick_claim(struct ostor_ticker *ticker);
void ostor_tick_call(struct ostor_ticker *ticker);

/* Calls the function if a tick is due on this CPU. */
void ostor_source_pass(struct ostor_source *source);

/* Whether no tick is due and no function runs. */
bool ostor_source_settled(struct ostor_source *source);

#if defined(CONFIG_X86_LOCAL_APIC) || (defined(CONFIG_ARM64) && defined(CONFIG_PERF_EVENTS))
#define OSTOR_HAS_NMI
extern const struct ostor_source_kind ostor_nmi;
#endif

#endif /* OSTOR_SOURCES_H */
