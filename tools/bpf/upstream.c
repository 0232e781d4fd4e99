// SPDX-License-Identifier: GPL-2.0
/*
 * Upstream's selftests of local storage, by the programs of upstream.bpf.c: first on maps
 * of BPF's own types, then on maps of this module. Runs in a guest with the module loaded,
 * and prints KTAP and a table of the figures.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <bpf/bpf.h>

#include "loader.h"
#include "upstream.h"
#include "upstream.skel.h"

/* Whose maps a test runs on. */
static enum side { BPFS, OURS, SIDES } side;

/* What a figure must be. */
struct expected {
	enum { NUMBER, NOT_ZERO, ANY, NONE } how;
	long number;
};

#define IS(expected_number) ((struct expected){ .how = NUMBER, .number = (expected_number) })
/* Shows that something happened. */
#define SOME ((struct expected){ .how = NOT_ZERO })
/* Depends on chance. */
#define WHATEVER ((struct expected){ .how = ANY })
/* There is no such figure. */
#define NO_FIGURE ((struct expected){ .how = NONE })

struct figure {
	const char *what;
	struct expected upstream;
	struct expected wanted[SIDES];
	long found[SIDES];
	/* Why ours differs, or NULL. */
	const char *why;
};

#define FIGURES_MAX 12

struct test {
	/* Upstream's name, if upstream has the test. */
	const char *name;
	void (*run)(void);
	/* Returns why the test cannot run here, or NULL. */
	const char *(*why_not)(void);
	struct figure figures[FIGURES_MAX];
	unsigned int count;
	const char *skipped;
	bool failed;
};

/* The test that runs, and its figures up to now on this side. */
static struct test *test;
static unsigned int figure_count;

/* Reports a figure. Each side reports the same figures in the same order. */
static void figure(const char *what, struct expected upstream, struct expected bpfs,
		   struct expected ours, long found, const char *why)
{
	struct figure *figure = &test->figures[figure_count++];

	if (figure_count > FIGURES_MAX)
		die("too many figures");
	figure->what = what;
	figure->upstream = upstream;
	figure->wanted[BPFS] = bpfs;
	figure->wanted[OURS] = ours;
	figure->found[side] = found;
	figure->why = why;
}

/* A figure that upstream checks, and that must be so on both sides. */
static void upstreams(const char *what, struct expected all, long found)
{
	figure(what, all, all, all, found, NULL);
}

/* One that upstream does not check. */
static void also(const char *what, struct expected both, long found)
{
	figure(what, NO_FIGURE, both, both, found, NULL);
}

static bool is_right(const struct figure *figure, enum side side)
{
	const struct expected *wanted = &figure->wanted[side];

	return wanted->how == NUMBER ? figure->found[side] == wanted->number :
	       wanted->how == NOT_ZERO ? figure->found[side] != 0 : true;
}

/* An errno value by its name. */
static const char *text(long number)
{
	static char texts[4][24];
	static unsigned int next;
	char *text = texts[next++ % 4];

	if (number < 0)
		snprintf(text, sizeof(texts[0]), "%s", strerrorname_np(-number) ?: "?");
	else
		snprintf(text, sizeof(texts[0]), "%ld", number);
	return text;
}

static const char *expected_text(const struct expected *expected)
{
	switch (expected->how) {
	case NUMBER:
		return text(expected->number);
	case NOT_ZERO:
		return "not 0";
	case ANY:
		return "any";
	default:
		return "-";
	}
}

static const char *found_text(const struct figure *figure, enum side side)
{
	return figure->wanted[side].how == NONE ? "-" : text(figure->found[side]);
}

/* The programs of the running test, and this module's maps. */

static struct upstream *skel;
static int maps[2];

static void open_programs(void)
{
	skel = upstream__open();
	if (!skel)
		die("programs");
	skel->rodata->ours = side == OURS;
}

static void want(struct bpf_program *prog)
{
	bpf_program__set_autoload(prog, true);
}

/* Loads the programs that are wanted. Returns a negative errno value. */
static int load(void)
{
	int err, i;

	if (side == BPFS)
		want(skel->progs.bpf_updated);
	err = upstream__load(skel);
	if (err)
		return err;
	for (i = 0; i < 2; i++)
		maps[i] = new_map(8);
	skel->bss->ids.a = info(maps[0]).id;
	skel->bss->ids.b = info(maps[1]).id;
	skel->bss->process = getpid();
	return 0;
}

static void start(void)
{
	if (load())
		die("load");
	if (upstream__attach(skel))
		die("attach");
}

/* Ends the programs and all maps. */
static void finish(void)
{
	int i;

	upstream__destroy(skel);
	for (i = 0; i < 2; i++)
		close(maps[i]);
}

/* The result of a load that may be refused. */
static int try_load(struct bpf_program *prog)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int err;

	want(prog);
	err = load();
	libbpf_set_print(print);
	if (err)
		upstream__destroy(skel);
	else
		finish();
	return err;
}

/* How often a program was not run since it ran already. */
static long recursion_misses(struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &size))
		die(bpf_program__name(prog));
	return info.recursion_misses;
}

static long refused_in_all(void)
{
	struct refusals *refusals = &skel->bss->refusals;

	return refusals->races + refusals->locks + refusals->others;
}

/* The loader's own access to a value, by the descriptor of its owner. */

struct storage {
	struct bpf_map *bpfs;
	int ours;
	__u32 by;
};

#define TASK_A ((struct storage){ skel->maps.task_a, maps[0], OSTOR_BY_PIDFD })
#define TASK_B ((struct storage){ skel->maps.task_b, maps[1], OSTOR_BY_PIDFD })
#define CGROUP_A ((struct storage){ skel->maps.cgroup_a, maps[0], OSTOR_BY_CGROUP_FD })
#define CGROUP_B ((struct storage){ skel->maps.cgroup_b, maps[1], OSTOR_BY_CGROUP_FD })
#define SOCK_A ((struct storage){ skel->maps.sock_a, maps[0], OSTOR_BY_SOCKET })

static long value_of(struct storage storage, int fd)
{
	__u64 value;

	if (side == OURS)
		return stored(storage.ours, storage.by, fd);
	return bpf_map_lookup_elem(bpf_map__fd(storage.bpfs), &fd, &value) ?: (long)value;
}

static int set_value(struct storage storage, int fd, __u64 value)
{
	if (side == OURS)
		return elem_command(storage.ours, OSTOR_IOC_UPDATE, storage.by, fd, &value);
	return bpf_map_update_elem(bpf_map__fd(storage.bpfs), &fd, &value, BPF_ANY);
}

static int delete_value(struct storage storage, int fd)
{
	if (side == OURS)
		return elem_command(storage.ours, OSTOR_IOC_DELETE, storage.by, fd, NULL);
	return bpf_map_delete_elem(bpf_map__fd(storage.bpfs), &fd);
}

static int pidfd_of(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		die("pidfd_open");
	return fd;
}

/* Makes a system call in which the programs count this thread's events. */
static void trigger(long number)
{
	skel->bss->thread = gettid();
	syscall(number, 0);
	skel->bss->thread = 0;
}

/* Tasks. */

static void test_sys_enter_exit(void)
{
	open_programs();
	want(skel->progs.task_enter);
	want(skel->progs.task_exit);
	start();
	skel->bss->thread = gettid();
	syscall(SYS_gettid);
	syscall(SYS_gettid);
	skel->bss->thread = 0;
	upstreams("values set at sys_enter", IS(2), skel->bss->enters);
	upstreams("values read at sys_exit", IS(2), skel->bss->exits);
	upstreams("values that differ", IS(0), skel->bss->mismatches);
	upstreams("update errors", IS(0), refused_in_all());
	finish();
}

static void wait_for_dead(void)
{
	int i;

	for (i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	/* The last reference to a task goes after a grace period. */
	for (i = 0; i < 1000 && skel->bss->dead_created + skel->bss->dead_refused < 100; i++)
		sleep_ms(10);
}

#define UNTRUSTED "kfuncs take no pointer that the verifier does not trust"
#define LAST_SEEN "ours refuses a reaped task; BPF's, one that has lost its last reference"

static void test_exit_creds(void)
{
	int err = 0;

	open_programs();
	if (side == OURS) {
		err = try_load(skel->progs.at_exit_creds);
		open_programs();
	} else {
		want(skel->progs.at_exit_creds);
		start();
		wait_for_dead();
	}
	figure("load at exit_creds()", IS(0), IS(0), IS(-EINVAL), err, UNTRUSTED);
	figure("  created there", IS(0), IS(0), NO_FIGURE, skel->bss->dead_created, NULL);
	figure("  refused there", SOME, SOME, NO_FIGURE, skel->bss->dead_refused, NULL);
	if (side == BPFS) {
		finish();
		open_programs();
	}
	want(skel->progs.at_process_free);
	start();
	wait_for_dead();
	figure("created at sched_process_free", NO_FIGURE, SOME, IS(0),
	       skel->bss->dead_created, LAST_SEEN);
	figure("refused at sched_process_free", NO_FIGURE, IS(0), SOME,
	       skel->bss->dead_refused, NULL);
	finish();
}

#define ALSO_AT_DELETE "the module's tracepoint is also at the start of a delete"

static void test_task_recursion(void)
{
	struct bpf_program *inner;
	int self = pidfd_of(getpid());

	open_programs();
	inner = side == OURS ? skel->progs.task_in_our_operation :
			       skel->progs.task_in_bpf_update;
	want(skel->progs.task_outer);
	want(inner);
	start();
	trigger(SYS_gettid);
	upstreams("value in map a", IS(200), value_of(TASK_A, self));
	upstreams("value in map b", IS(1), value_of(TASK_B, self));
	upstreams("delete errors", IS(0), skel->bss->delete_errors);
	upstreams("outer program not run", IS(0), recursion_misses(skel->progs.task_outer));
	figure("inner program not run", IS(2), IS(2), IS(3), recursion_misses(inner),
	       ALSO_AT_DELETE);
	also("inner program run", IS(1), skel->bss->inner_runs);
	also("create errors", IS(0), refused_in_all());
	finish();
	close(self);
}

#define NEVER_FAILS "a delete cannot fail for a lock: the reaper unlinks the value later"
#define GONE_AT_ONCE "the value is gone as soon as a delete has begun"

/*
 * Upstream has no such test. Where in a create BPF's hook is called, and whether with a
 * lock held, depends on whether the task has a storage still that an earlier test has left.
 */
static void test_locked(void)
{
	int pidfds[OTHERS], left = 0, i;
	struct locked *locked;

	open_programs();
	want(skel->progs.locked_outer);
	want(side == OURS ? skel->progs.in_our_lock : skel->progs.in_bpf_lock);
	start();
	locked = &skel->bss->locked;
	for (i = 0; i < OTHERS; i++) {
		pid_t pid = fork();

		if (!pid) {
			pause();
			_exit(0);
		}
		skel->bss->others[i] = pid;
		pidfds[i] = pidfd_of(pid);
		if (set_value(TASK_A, pidfds[i], 1))
			die("a value of another task");
	}
	trigger(SYS_gettid);
	for (i = 0; i < OTHERS; i++) {
		left += value_of(TASK_A, pidfds[i]) >= 0;
		close(pidfds[i]);
		kill(skel->bss->others[i], SIGKILL);
		waitpid(skel->bss->others[i], NULL, 0);
	}
	also("the outer create", IS(0), locked->outer_create);
	figure("in it: other tasks' values deleted", NO_FIGURE, WHATEVER, IS(OTHERS),
	       locked->others_deleted, NEVER_FAILS);
	figure("  refused with EDEADLK", NO_FIGURE, WHATEVER, IS(0), locked->others_deadlocks,
	       NULL);
	figure("  left", NO_FIGURE, WHATEVER, IS(0), left, NULL);
	also("the outer delete", IS(0), locked->outer_delete);
	figure("in it: get of the value", NO_FIGURE, WHATEVER, IS(-ENOENT), locked->get,
	       GONE_AT_ONCE);
	figure("  delete of it", NO_FIGURE, WHATEVER, IS(-ENOENT), locked->delete, NULL);
	figure("  create in map b", NO_FIGURE, WHATEVER, IS(-EDEADLK), locked->create, NULL);
	figure("runs in the delete", NO_FIGURE, WHATEVER, IS(1), locked->runs, NULL);
	finish();
}

static const char *no_lsm(void)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int id = libbpf_find_vmlinux_btf_id("socket_post_create", BPF_LSM_MAC);

	libbpf_set_print(print);
	return id < 0 ? "this kernel has no BPF LSM" : NULL;
}

/* Threads. */

#define NODEADLOCK_THREADS 32

static bool stop;

static void *make_sockets(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		close(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	return arg;
}

static void test_nodeadlock(void)
{
	pthread_t threads[NODEADLOCK_THREADS];
	cpu_set_t all, first;
	int i;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_getaffinity(0, sizeof(all), &all) ||
	    sched_setaffinity(0, sizeof(first), &first))
		die("affinity");
	open_programs();
	want(skel->progs.churn);
	start();
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	for (i = 0; i < NODEADLOCK_THREADS; i++)
		pthread_create(&threads[i], NULL, make_sockets, NULL);
	sleep(1);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < NODEADLOCK_THREADS; i++)
		pthread_join(threads[i], NULL);
	upstreams("get errors", IS(0), skel->bss->get_errors);
	upstreams("delete errors", IS(0), skel->bss->delete_errors);
	upstreams("program not run", IS(0), recursion_misses(skel->progs.churn));
	also("program run", SOME, skel->bss->churns);
	finish();
	sched_setaffinity(0, sizeof(all), &all);
}

/* Cgroups: the process is in a cgroup of its own, of version 2 or 1. */

#define CGROUP2 "/sys/fs/cgroup"
#define CGROUP1 "/tmp/cgroup1"

static char cgroup_path[64];
static int cgroup_fd, hierarchy;
static unsigned long cgroup_id;

static void join(const char *directory)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	file = fopen(path, "w");
	if (!file || fprintf(file, "%d\n", getpid()) < 0 || fclose(file))
		die(path);
}

/* The number of the hierarchy without controllers that is mounted below. */
static int hierarchy1(void)
{
	FILE *file = fopen("/proc/self/cgroup", "r");
	int number = 0, found;
	char line[128];

	if (!file)
		die("/proc/self/cgroup");
	while (fgets(line, sizeof(line), file))
		if (strstr(line, ":name=upstream:") && sscanf(line, "%d:", &found) == 1)
			number = found;
	fclose(file);
	return number;
}

static void enter_cgroup(bool version1)
{
	struct stat stat;

	if (version1) {
		mkdir(CGROUP1, 0755);
		if (mount("cgroup", CGROUP1, "cgroup", 0, "none,name=upstream"))
			die(CGROUP1);
	}
	snprintf(cgroup_path, sizeof(cgroup_path), "%s/upstream", version1 ? CGROUP1 : CGROUP2);
	if (mkdir(cgroup_path, 0755))
		die(cgroup_path);
	cgroup_fd = open(cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup_fd < 0 || fstat(cgroup_fd, &stat))
		die(cgroup_path);
	cgroup_id = stat.st_ino;
	join(cgroup_path);
	hierarchy = version1 ? hierarchy1() : 0;
}

static void leave_cgroup(void)
{
	close(cgroup_fd);
	join(hierarchy ? CGROUP1 : CGROUP2);
	if (rmdir(cgroup_path))
		die(cgroup_path);
	if (hierarchy && umount(CGROUP1))
		die(CGROUP1);
}

static void open_cgroup_programs(bool version1)
{
	enter_cgroup(version1);
	open_programs();
	skel->bss->hierarchy = hierarchy;
}

static void finish_cgroup(void)
{
	finish();
	leave_cgroup();
}

static void tp_btf(bool version1)
{
	struct bpf_link *links[2];
	long err, value;

	open_cgroup_programs(version1);
	want(skel->progs.cgroup_enter);
	want(skel->progs.cgroup_exit);
	if (load())
		die("load");
	err = set_value(CGROUP_B, cgroup_fd, 1);
	value = value_of(CGROUP_B, cgroup_fd);
	err = err ?: delete_value(CGROUP_B, cgroup_fd);
	upstreams("set and delete by descriptor", IS(0), err);
	upstreams("value between these", IS(1), value);
	skel->bss->thread = gettid();
	links[0] = attach(skel->progs.cgroup_enter);
	links[1] = attach(skel->progs.cgroup_exit);
	syscall(SYS_gettid);
	syscall(SYS_gettid);
	skel->bss->thread = 0;
	/* One for the system call that attaches the second program. */
	upstreams("values set at sys_enter", IS(3), skel->bss->enters);
	upstreams("values read at sys_exit", IS(3), skel->bss->exits);
	upstreams("values that differ", IS(0), skel->bss->mismatches);
	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	finish_cgroup();
}

static void test_tp_btf(void)
{
	tp_btf(false);
}

static void test_cgroup1_tp_btf(void)
{
	tp_btf(true);
}

/* Connects over the loopback device. Returns the connecting socket's port. */
static int connect_and_close(void)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int sock = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(address);

	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length) ||
	    connect(sock, (struct sockaddr *)&address, length) ||
	    getsockname(sock, (struct sockaddr *)&address, &length))
		die("connection");
	close(sock);
	close(listener);
	return ntohs(address.sin6_port);
}

static void test_attach_cgroup(void)
{
	struct bpf_link *links[3];
	long value, port;
	unsigned int i;

	open_cgroup_programs(false);
	want(skel->progs.begin_cookie);
	want(skel->progs.add_port);
	want(skel->progs.end_cookie);
	if (load())
		die("load");
	links[0] = bpf_program__attach_cgroup(skel->progs.begin_cookie, cgroup_fd);
	links[1] = bpf_program__attach_cgroup(skel->progs.add_port, cgroup_fd);
	links[2] = attach(skel->progs.end_cookie);
	if (!links[0] || !links[1])
		die("attach");
	port = connect_and_close();
	value = value_of(CGROUP_A, cgroup_fd);
	upstreams("port in the value is right", IS(1), value >> 8 == port);
	upstreams("bits of the first and the third program", IS(0xff), value & 0xff);
	for (i = 0; i < ARRAY_SIZE(links); i++)
		bpf_link__destroy(links[i]);
	finish_cgroup();
}

#define FOUND "a create finds the value that was created inside it"

static void cgroup_recursion(bool version1)
{
	open_cgroup_programs(version1);
	want(skel->progs.cgroup_outer);
	want(side == OURS ? skel->progs.cgroup_in_our_operation :
			    skel->progs.cgroup_in_bpf_update);
	start();
	trigger(SYS_gettid);
	/* Upstream's test ends here, and is to end at all. */
	also("inner program run", IS(1), skel->bss->inner_runs);
	also("value in map a", IS(1), value_of(CGROUP_A, cgroup_fd));
	also("value in map b", IS(1), value_of(CGROUP_B, cgroup_fd));
	figure("creates refused (EEXIST)", NO_FIGURE, IS(1), IS(0),
	       skel->bss->refusals.races, FOUND);
	also("creates refused otherwise", IS(0),
	     skel->bss->refusals.locks + skel->bss->refusals.others);
	finish_cgroup();
}

static void test_cgroup_recursion(void)
{
	cgroup_recursion(false);
}

static void test_cgroup1_recursion(void)
{
	cgroup_recursion(true);
}

static void test_negative(void)
{
	open_programs();
	figure("load of a task as cgroup", SOME, IS(-EACCES), IS(-EINVAL),
	       try_load(skel->progs.task_as_cgroup), NULL);
}

static void iter_sleepable(bool version1)
{
	LIBBPF_OPTS(bpf_iter_attach_opts, opts);
	union bpf_iter_link_info which = {};
	struct bpf_link *link;
	char buffer[16];
	int iter;

	open_cgroup_programs(version1);
	want(skel->progs.visit_cgroup);
	if (load())
		die("load");
	which.cgroup.cgroup_fd = cgroup_fd;
	which.cgroup.order = BPF_CGROUP_ITER_SELF_ONLY;
	opts.link_info = &which;
	opts.link_info_len = sizeof(which);
	link = bpf_program__attach_iter(skel->progs.visit_cgroup, &opts);
	if (!link)
		die("attach");
	iter = bpf_iter_create(bpf_link__fd(link));
	if (iter < 0 || read(iter, buffer, sizeof(buffer)) < 0)
		die("iterator");
	close(iter);
	upstreams("update errors", IS(0), refused_in_all());
	upstreams("id that was found is right", IS(1), skel->bss->cgroup_id == cgroup_id);
	also("value", IS(0), value_of(CGROUP_A, cgroup_fd));
	bpf_link__destroy(link);
	finish_cgroup();
}

static void test_iter_sleepable(void)
{
	iter_sleepable(false);
}

static void test_cgroup1_iter_sleepable(void)
{
	iter_sleepable(true);
}

static void yes_rcu_lock(bool version1)
{
	open_cgroup_programs(version1);
	want(skel->progs.with_rcu_lock);
	start();
	trigger(SYS_getpgid);
	upstreams("id that was found is right", IS(1), skel->bss->cgroup_id == cgroup_id);
	finish_cgroup();
}

static void test_yes_rcu_lock(void)
{
	yes_rcu_lock(false);
}

static void test_cgroup1_yes_rcu_lock(void)
{
	yes_rcu_lock(true);
}

static void test_no_rcu_lock(void)
{
	open_programs();
	figure("load without the lock", SOME, IS(-EACCES), IS(-EACCES),
	       try_load(skel->progs.without_rcu_lock), NULL);
}

#define WANTS_RCU "kfuncs want an RCU read section, with a reference too"

static void test_cgroup1_no_rcu_lock(void)
{
	open_programs();
	figure("load with a reference only", IS(0), IS(0), IS(-EACCES),
	       try_load(skel->progs.reference_without_rcu_lock), WANTS_RCU);
}

/* Sockets. */

static void test_omem_uncharge(void)
{
	int sock = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), err;
	socklen_t length = sizeof(__u64);
	__u64 cookie;

	open_programs();
	want(skel->progs.sock_destroyed);
	want(skel->progs.sock_storage_freed);
	start();
	if (getsockopt(sock, SOL_SOCKET, SO_COOKIE, &cookie, &length))
		die("SO_COOKIE");
	err = set_value(SOCK_A, sock, 0);
	err = err ?: set_value(SOCK_A, sock, SOCKET_VALUE);
	skel->bss->cookie = cookie;
	close(sock);
	upstreams("update errors", IS(0), err);
	upstreams("socket found when destroyed and freed", IS(2), skel->bss->cookie_found);
	upstreams("option memory when freed", IS(0), skel->bss->omem_after);
	also("option memory before", SOME, skel->bss->omem_before);
	finish();
}

#define FREE_THREADS 4
#define FREE_SOCKETS 4096

static pthread_barrier_t barrier;

static void *fill_and_empty(void *arg)
{
	int *sockets = arg;
	int i;

	for (i = 0; i < FREE_SOCKETS; i++)
		sockets[i] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < FREE_SOCKETS; i++)
		close(sockets[i]);
	return NULL;
}

/* The maps end while threads close all sockets. */
static void test_stress_free(void)
{
	static int sockets[FREE_THREADS][FREE_SOCKETS];
	pthread_t threads[FREE_THREADS];
	__u64 before = stats().elements;
	int i;

	open_programs();
	want(skel->progs.socket_created);
	start();
	pthread_barrier_init(&barrier, NULL, FREE_THREADS + 1);
	for (i = 0; i < FREE_THREADS; i++)
		pthread_create(&threads[i], NULL, fill_and_empty, sockets[i]);
	pthread_barrier_wait(&barrier);
	upstreams("update errors", IS(0), skel->bss->create_errors);
	also("values", IS(FREE_THREADS * FREE_SOCKETS), skel->bss->creates);
	finish();
	for (i = 0; i < FREE_THREADS; i++)
		pthread_join(threads[i], NULL);
	figure("values left", NO_FIGURE, NO_FIGURE, IS(0), stats().elements - before, NULL);
}

static int changed_socket;

static void *change_socket(void *arg)
{
	int option = *(int *)arg, value;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		socklen_t length = sizeof(value);

		getsockopt(changed_socket, SOL_SOCKET, option, &value, &length);
	}
	return NULL;
}

#define GETS_OR_CREATES "a get-or-create that races gets the other's value"

static void test_stress_change(void)
{
	static int options[] = { SO_TYPE, SO_TYPE, SO_DOMAIN, SO_DOMAIN };
	pthread_t threads[ARRAY_SIZE(options)];
	unsigned int i;

	changed_socket = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	open_programs();
	want(skel->progs.socket_changed);
	start();
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		pthread_create(&threads[i], NULL, change_socket, &options[i]);
	sleep(5);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		pthread_join(threads[i], NULL);
	figure("creates refused for a race (EAGAIN, EEXIST)", WHATEVER, WHATEVER, IS(0),
	       skel->bss->refusals.races, GETS_OR_CREATES);
	upstreams("creates refused otherwise", IS(0),
		  skel->bss->refusals.locks + skel->bss->refusals.others);
	upstreams("delete errors but ENOENT", IS(0), skel->bss->delete_errors);
	also("creates and gets", SOME, skel->bss->creates);
	also("deletes", SOME, skel->bss->deletes);
	finish();
	close(changed_socket);
}

static struct test tests[] = {
	{ "task_local_storage/sys_enter_exit", test_sys_enter_exit },
	{ "task_local_storage/exit_creds", test_exit_creds },
	{ "task_local_storage/recursion", test_task_recursion },
	{ "recursion with a lock held", test_locked },
	{ "task_local_storage/nodeadlock", test_nodeadlock, no_lsm },
	{ "cgrp_local_storage/tp_btf", test_tp_btf },
	{ "cgrp_local_storage/attach_cgroup", test_attach_cgroup },
	{ "cgrp_local_storage/recursion", test_cgroup_recursion },
	{ "cgrp_local_storage/negative", test_negative },
	{ "cgrp_local_storage/cgroup_iter_sleepable", test_iter_sleepable },
	{ "cgrp_local_storage/yes_rcu_lock", test_yes_rcu_lock },
	{ "cgrp_local_storage/no_rcu_lock", test_no_rcu_lock },
	{ "cgrp_local_storage/cgrp1_tp_btf", test_cgroup1_tp_btf },
	{ "cgrp_local_storage/cgrp1_recursion", test_cgroup1_recursion },
	{ "cgrp_local_storage/cgrp1_iter_sleepable", test_cgroup1_iter_sleepable },
	{ "cgrp_local_storage/cgrp1_yes_rcu_lock", test_cgroup1_yes_rcu_lock },
	{ "cgrp_local_storage/cgrp1_no_rcu_lock", test_cgroup1_no_rcu_lock },
	{ "sk_storage_omem_uncharge", test_omem_uncharge },
	{ "sk_storage_map/stress_free", test_stress_free, no_lsm },
	{ "sk_storage_map/stress_change", test_stress_change, no_lsm },
};

/* Runs the test on both sides, and compares its figures with what they must be. */
static void run_test(void)
{
	static const char *const names[] = { [BPFS] = "BPF's own", [OURS] = "ours" };
	unsigned int i;

	test->skipped = test->why_not ? test->why_not() : NULL;
	if (test->skipped)
		return;
	for (side = BPFS; side < SIDES; side++) {
		figure_count = 0;
		test->run();
		for (i = 0; i < figure_count; i++) {
			if (is_right(&test->figures[i], side))
				continue;
			test->failed = true;
			printf("# %s: %s: %s, and not %s\n", names[side], test->figures[i].what,
			       text(test->figures[i].found[side]),
			       expected_text(&test->figures[i].wanted[side]));
		}
	}
	test->count = figure_count;
}

static void print_row(const char *what, const char *upstream, const char *bpfs, const char *ours)
{
	printf("# %-45s %10s %10s %9s\n", what, upstream, bpfs, ours);
}

static void print_table(void)
{
	unsigned int i;

	print_row("test and its figures", "upstream", "BPF's own", "ours");
	for (test = tests; test < tests + ARRAY_SIZE(tests); test++) {
		printf("# %s%s%s\n", test->name, test->skipped ? ": not run, " : "",
		       test->skipped ?: test->failed ? ": FAILED" : "");
		for (i = 0; i < test->count; i++) {
			struct figure *figure = &test->figures[i];
			char what[64];

			snprintf(what, sizeof(what), "  %s", figure->what);
			print_row(what, expected_text(&figure->upstream),
				  found_text(figure, BPFS), found_text(figure, OURS));
			if (figure->why)
				printf("#     | %s\n", figure->why);
		}
	}
}

int main(void)
{
	struct rlimit files = { .rlim_cur = 65536, .rlim_max = 65536 };
	int bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (setrlimit(RLIMIT_NOFILE, &files))
		die("RLIMIT_NOFILE");
	printf("KTAP version 1\n1..%zu\n", ARRAY_SIZE(tests));
	for (test = tests; test < tests + ARRAY_SIZE(tests); test++) {
		run_test();
		printf("%s %zd %s%s%s\n", test->failed ? "not ok" : "ok", test - tests + 1,
		       test->name, test->skipped ? " # SKIP " : "", test->skipped ?: "");
		bad += test->failed;
	}
	print_table();
	return bad > 0;
}
