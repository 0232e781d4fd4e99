// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's benchmark of creations, with other contestants besides BPF storage,
 * with samples of whole batches, and with a task that creates and deletes its own
 * value.
 *
 * main(), the options and the loops that create sockets and tasks are the kernel's:
 * this file includes the file with the loops, and replaces functions that it calls.
 * open_contestant() loads the programs, attach_contestant() attaches the contestant,
 * and count_end() counts the end of each socket and task.
 *
 * The kernel's main() takes a sample at each SIGALRM, which comes once a second.
 * Here the producer raises it when a number of sockets or tasks have ended. A sample
 * is therefore the time of that many creations, and no batch is counted in part. -w
 * and -d are numbers of samples.
 *
 * The environment variable CONTESTANT is one of:
 *
 *	none	nothing is attached
 *	program	BPF programs without storage
 *	bpf	the kernel's programs, with BPF storage
 *	hook	the module's hooks without storage
 *	ours	the module's hooks with storage
 *
 * If the variable SELF is set, no socket or task is created: the producer creates and
 * deletes its own value, SELF_AGAIN times in each system call, with interrupts
 * enabled. With "first" it has no other value, with "later" it has one in another map.
 * Then the contestants attach nothing.
 *
 * Prints "sample CREATIONS NANOSECONDS" for each sample after the warm-up, and "events
 * CREATIONS SWITCHES IRQ_WORKS NANOSECONDS" for all samples. The last number is the
 * time of a loop after them, which deferred work makes longer.
 */
#include <argp.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"
#include "testing_helpers.h"
#include "bpf_util.h"
#include "bench_local_storage_create.skel.h"
#include "program.skel.h"
#include "self.h"

static struct bench_local_storage_create *open_contestant(void);
static bool attach_contestant(const struct bpf_program *prog);
static int count_end(int ret);

#define bench_local_storage_create__open_and_load open_contestant
#define bpf_program__attach attach_contestant
#define close(fd) count_end(close(fd))
#define pthread_join(thread, result) count_end(pthread_join(thread, result))
#include "benchs/bench_local_storage_create.c"
#undef bench_local_storage_create__open_and_load
#undef bpf_program__attach
#undef close
#undef pthread_join

#define DRIVER "/sys/kernel/debug/owner_storage_torture/creation"

/* Creations in a sample, a multiple of every batch size. */
#define SOCKETS 2048
#define TASKS 512
#define SELVES (96 * SELF_AGAIN)

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static bool of_sockets(void)
{
	return storage_type == BPF_MAP_TYPE_SK_STORAGE;
}

/* The variable SELF, or NULL. */
static const char *self;

static bool of_first(void)
{
	return !strcmp(self, "first");
}

static long per_sample(void)
{
	if (self)
		return SELVES;
	return of_sockets() ? SOCKETS : TASKS;
}

/* Numbers of sockets or tasks that a contestant has seen, and of failures. */
struct counts {
	long good;
	long bad;
};

struct contestant {
	const char *name;
	bool (*attach)(const struct bpf_program *prog);
	void (*ask)(struct counts *counts);
	/* With SELF: called once instead of attach, and for each system call. */
	void (*self_begin)(void);
	void (*self_again)(void);
};

static const struct contestant *contestant;

/* Sockets or tasks of the producer that have ended. */
static long ended;

static bool attach_none(const struct bpf_program *prog)
{
	return true;
}

static void ask_none(struct counts *counts)
{
	counts->good = ended;
}

static void self_begin_none(void)
{
}

static void self_again_none(void)
{
	getppid();
}

static struct program *program;

static void run_program(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) || opts.retval)
		fail(bpf_program__name(prog));
}

static void self_again_program(void)
{
	run_program(program->progs.self_again);
}

static void self_begin_bpf(void)
{
	program->bss->stores = true;
	if (!of_first())
		run_program(program->progs.self_other);
}

static bool attach_program(const struct bpf_program *prog)
{
	program->bss->process = getpid();
	return bpf_program__attach(of_sockets() ? program->progs.socket_made :
						  program->progs.task_made);
}

static void ask_program(struct counts *counts)
{
	counts->good = program->bss->calls;
	counts->bad = program->bss->failures;
}

static bool attach_bpf(const struct bpf_program *prog)
{
	return of_sockets() ? bpf_program__attach_trace(prog) : bpf_program__attach(prog);
}

static void ask_bpf(struct counts *counts)
{
	if (self) {
		ask_program(counts);
		return;
	}
	counts->good = skel->bss->create_cnts;
	counts->bad = skel->bss->create_errs;
}

/* Keeps the file open, so that a call costs one write(). */
static bool write_driver(const char *what)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(DRIVER, O_WRONLY);
	if (fd < 0)
		fail(DRIVER);
	if (write(fd, what, strlen(what)) < 0)
		fail(what);
	return true;
}

static bool attach_hook(const struct bpf_program *prog)
{
	return write_driver(of_sockets() ? "socket-hook" : "task-hook");
}

static bool attach_ours(const struct bpf_program *prog)
{
	return write_driver(of_sockets() ? "socket" : "task");
}

static void self_begin_hook(void)
{
	write_driver("self-none");
}

static void self_begin_ours(void)
{
	write_driver(of_first() ? "self-first" : "self-later");
}

static void self_again_driver(void)
{
	write_driver("self-again");
}

static void ask_driver(struct counts *counts)
{
	FILE *file = fopen(DRIVER, "r");

	if (!file || fscanf(file, "%ld %ld", &counts->good, &counts->bad) != 2)
		fail(DRIVER);
	fclose(file);
}

static const struct contestant contestants[] = {
	{ "none", attach_none, ask_none, self_begin_none, self_again_none },
	{ "program", attach_program, ask_program, self_begin_none, self_again_program },
	{ "bpf", attach_bpf, ask_bpf, self_begin_bpf, self_again_program },
	{ "hook", attach_hook, ask_driver, self_begin_hook, self_again_driver },
	{ "ours", attach_ours, ask_driver, self_begin_ours, self_again_driver },
};

/*
 * Loads the programs of all contestants, since the cost of a fork depends on the
 * memory of the process.
 *
 * The kernel's program for sockets is attached to the LSM hook socket_post_create,
 * which this kernel does not have. The program only uses the first argument, a struct
 * socket, and sock_alloc_file(), which is called next, has the same one.
 */
static struct bench_local_storage_create *open_contestant(void)
{
	struct bench_local_storage_create *bpf = bench_local_storage_create__open();
	struct bpf_program *prog;

	program = program__open_and_load();
	if (!bpf || !program)
		return NULL;
	prog = bpf->progs.socket_post_create;
	if (bpf_program__set_type(prog, BPF_PROG_TYPE_TRACING) ||
	    bpf_program__set_expected_attach_type(prog, BPF_TRACE_FENTRY) ||
	    bpf_program__set_attach_target(prog, 0, "sock_alloc_file") ||
	    bpf_program__set_flags(prog, bpf_program__flags(prog) & ~BPF_F_SLEEPABLE) ||
	    bench_local_storage_create__load(bpf))
		return NULL;
	return bpf;
}

static bool attach_contestant(const struct bpf_program *prog)
{
	return self || contestant->attach(prog);
}

/* Iterations of a loop of two instructions: a tenth of a second without other work. */
#define ITERATIONS 50000000

static unsigned long time_loop(void)
{
	unsigned long start = get_time_ns();
	long i;

	for (i = ITERATIONS; i; i--)
		asm volatile("" : "+r" (i));
	return get_time_ns() - start;
}

/* Counts of the kernel and the contestant so far. */
struct events {
	struct counts counts;
	unsigned long switches;
	unsigned long irq_works;
};

/* The number after @name in a file of /proc. The machine has one CPU. */
static unsigned long read_number(const char *path, const char *name)
{
	char line[512], *at;
	unsigned long number;
	FILE *file = fopen(path, "r");

	if (!file)
		fail(path);
	while (fgets(line, sizeof(line), file)) {
		at = strstr(line, name);
		if (at && sscanf(at + strlen(name), "%lu", &number) == 1) {
			fclose(file);
			return number;
		}
	}
	errno = ENOENT;
	fail(name);
	return 0;
}

static void read_events(struct events *events)
{
	contestant->ask(&events->counts);
	events->switches = read_number("/proc/stat", "ctxt ");
	events->irq_works = read_number("/proc/interrupts", "IWI:");
}

static struct events at_start, at_end;
static unsigned long loop_ns;
static sem_t started, finished;

/*
 * Replaces setitimer(), which the kernel's main() calls before the measurement. The
 * producer's thread has been created by then, and is not counted.
 */
int __wrap_setitimer(int which, const struct itimerval *new, struct itimerval *old)
{
	read_events(&at_start);
	return sem_post(&started);
}

/* Counts ended sockets or tasks. After the last sample the thread stops. */
static void count_ends(long count)
{
	ended += count;
	if (ended % per_sample())
		return;
	raise(SIGALRM);
	if (ended < per_sample() * (env.warmup_sec + env.duration_sec + 1))
		return;
	read_events(&at_end);
	loop_ns = time_loop();
	sem_post(&finished);
	while (true)
		pause();
}

static int count_end(int ret)
{
	count_ends(1);
	return ret;
}

static void *creation_producer(void *input)
{
	while (sem_wait(&started))
		;
	if (!self)
		return producer(input);
	contestant->self_begin();
	while (true) {
		contestant->self_again();
		count_ends(SELF_AGAIN);
	}
}

static void creation_validate(void)
{
	const char *name = getenv("CONTESTANT");
	int i;

	validate();
	self = getenv("SELF");
	for (i = 0; name && i < ARRAY_SIZE(contestants); i++)
		if (!strcmp(contestants[i].name, name))
			contestant = &contestants[i];
	if (!contestant || env.producer_cnt != 1 || per_sample() % batch_sz) {
		fprintf(stderr, "needs a CONTESTANT, one producer, and batches that divide %ld\n",
			per_sample());
		exit(1);
	}
	if (sem_init(&started, 0, 0) || sem_init(&finished, 0, 0))
		fail("sem_init");
}

static void creation_measure(struct bench_res *res)
{
	res->hits = per_sample();
}

static void creation_progress(int iter, struct bench_res *res, long delta_ns)
{
	res->duration_ns = delta_ns;
}

static void creation_final(struct bench_res res[], int res_cnt)
{
	long good;
	int i;

	while (sem_wait(&finished))
		;
	good = at_end.counts.good - at_start.counts.good;
	if (create_owner_errs || at_end.counts.bad || good != ended) {
		fprintf(stderr, "%ld made, %ld not made, %ld created, %ld not created\n",
			ended, create_owner_errs, good, at_end.counts.bad);
		exit(1);
	}
	for (i = 0; i < res_cnt; i++)
		printf("sample %ld %lu\n", res[i].hits, res[i].duration_ns);
	printf("events %ld %lu %lu %lu\n", ended, at_end.switches - at_start.switches,
	       at_end.irq_works - at_start.irq_works, loop_ns);
}

const struct bench bench_creation_speed = {
	.name = "creation-speed",
	.argp = &bench_local_storage_create_argp,
	.validate = creation_validate,
	.setup = setup,
	.producer_thread = creation_producer,
	.measure = creation_measure,
	.report_progress = creation_progress,
	.report_final = creation_final,
};
