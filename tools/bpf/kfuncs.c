// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the kfuncs, by BPF programs that call them. Runs in a guest with the module
 * loaded, and prints KTAP. With the argument "costs" measures the kfuncs instead, in a
 * guest whose clock counts instructions.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <bpf/bpf.h>

#include "kfuncs.h"
#include "kfuncs.skel.h"
#include "loader.h"
#include "refused.skel.h"

/* Whether the running test has failed. */
static bool failed;

static void complain(int line, const char *what, long is, long wanted)
{
	printf("# line %d: %s is %ld, and not %ld\n", line, what, is, wanted);
	failed = true;
}

#define EXPECT(what, wanted) do {						\
	long is_ = (what), wanted_ = (wanted);					\
										\
	if (is_ != wanted_)							\
		complain(__LINE__, #what, is_, wanted_);			\
} while (0)

/* The verifier's log of a load that is to fail. */
static char load_log[1 << 16];

static struct kfuncs *skel;

/* Waits until @what is @wanted, for ten seconds at most. */
#define EXPECT_SOON(what, wanted) do {						\
	long is_, wanted_ = (wanted);						\
	int tries_ = 1000;							\
										\
	while ((is_ = (what)) != wanted_ && tries_--)				\
		sleep_ms(10);							\
	if (is_ != wanted_)							\
		complain(__LINE__, #what, is_, wanted_);			\
} while (0)

/* Programs. */

static void run(struct bpf_program *prog, struct call *call)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = call, .ctx_size_in = sizeof(*call));

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		die(bpf_program__name(prog));
	call->result = opts.retval ? (int)opts.retval : call->result;
}

/* Makes a call by program @prog, and returns the kfunc's result. */
static int call_by(struct bpf_program *prog, __u64 map, __u64 owner, __u32 op, __u64 flags,
		   __u64 *value)
{
	struct call call = {
		.map = map,
		.owner = owner,
		.op = op,
		.flags = flags,
		.value = *value,
	};

	run(prog, &call);
	*value = call.value;
	return call.result;
}

/* All operations, in a row, on an owner without a value. */
static const struct step {
	__u32 op;
	__u64 flags;
	__u64 value;
	int result;
	__u64 value_after;
} steps[] = {
	{ OP_GET, 0, 99, -ENOENT, 99 },
	{ OP_PEEK, 0, 99, -ENOENT, 99 },
	{ OP_DELETE, 0, 99, -ENOENT, 99 },
	{ OP_UPDATE, BPF_EXIST, 1, -ENOENT, 1 },
	{ OP_UPDATE, BPF_NOEXIST, 2, 0, 2 },
	{ OP_UPDATE, BPF_NOEXIST, 3, -EEXIST, 3 },
	{ OP_GET, 0, 99, 0, 2 },
	{ OP_UPDATE, BPF_ANY, 4, 0, 4 },
	{ OP_PEEK, 0, 99, 0, 4 },
	{ OP_GET_OR_CREATE, 0, 5, 0, 4 },
	{ OP_UPDATE, BPF_EXIST, 6, 0, 6 },
	{ OP_GET, 0, 99, 0, 6 },
	{ OP_DELETE, 0, 99, 0, 99 },
	{ OP_GET, 0, 99, -ENOENT, 99 },
	{ OP_GET_OR_CREATE, 0, 7, 1, 7 },
};

static_assert(ARRAY_SIZE(steps) <= CALLS_MAX, "a tracing program makes all calls");

static void expect_steps_by(struct bpf_program *prog, __u64 map, __u64 owner)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		__u64 value = steps[i].value;
		int result = call_by(prog, map, owner, steps[i].op, steps[i].flags, &value);

		if (result != steps[i].result || value != steps[i].value_after)
			printf("# step %u:\n", i);
		EXPECT(result, steps[i].result);
		EXPECT(value, steps[i].value_after);
	}
}

/* Lets the tracing programs make these calls. */
static void prepare_steps(int map)
{
	unsigned int i;

	memset(skel->bss->calls, 0, sizeof(skel->bss->calls));
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		skel->bss->calls[i].op = steps[i].op;
		skel->bss->calls[i].flags = steps[i].flags;
		skel->bss->calls[i].value = steps[i].value;
		skel->bss->calls[i].result = NO_OWNER;
	}
	skel->bss->call_count = ARRAY_SIZE(steps);
	skel->bss->map_id = info(map).id;
}

static void expect_steps(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		struct call *call = &skel->bss->calls[i];

		if (call->result != steps[i].result || call->value != steps[i].value_after)
			printf("# step %u:\n", i);
		EXPECT(call->result, steps[i].result);
		EXPECT(call->value, steps[i].value_after);
	}
}

/* The tests. */

static void test_usable(void)
{
	EXPECT(stats().bpf, 1);
}

static void test_task(void)
{
	int map = new_map(8);

	expect_steps_by(skel->progs.task_call, info(map).id, getpid());
	EXPECT(stored(map, OSTOR_BY_SELF, 0), 7);
	close(map);
}

static void test_arguments(void)
{
	struct bpf_program *prog = skel->progs.task_call;
	int map = new_map(8);
	__u64 id = info(map).id, value = 1;

	EXPECT(call_by(prog, id, getpid(), OP_UPDATE, 3, &value), -EINVAL);
	EXPECT(call_by(prog, id, getpid(), OP_UPDATE, 1ULL << 32, &value), -EINVAL);
	EXPECT(call_by(prog, id, getpid(), OP_UPDATE_SHORT, BPF_ANY, &value), -EINVAL);
	EXPECT(call_by(prog, id, getpid(), OP_CREATE_SHORT, 0, &value), -EINVAL);
	EXPECT(stored(map, OSTOR_BY_SELF, 0), -ENOENT);
	EXPECT(call_by(prog, id, getpid(), OP_UPDATE, BPF_ANY, &value), 0);
	EXPECT(call_by(prog, id, getpid(), OP_GET_SHORT, 0, &value), -EINVAL);
	EXPECT(call_by(prog, id, getpid(), OP_PEEK_LONG, 0, &value), -ENOENT);
	EXPECT(call_by(prog, id + 1000000, getpid(), OP_GET, 0, &value), NO_MAP);
	EXPECT(call_by(prog, 0, getpid(), OP_GET, 0, &value), NO_MAP);
	close(map);
	EXPECT(call_by(prog, id, getpid(), OP_GET, 0, &value), NO_MAP);
}

static void test_large(void)
{
	int map = new_map(LARGE);
	struct call call = { .map = info(map).id };

	run(skel->progs.task_large, &call);
	EXPECT(call.result, 0);
	close(map);
}

static void test_cgroup(void)
{
	const char *path = "/sys/fs/cgroup/kfuncs";
	struct bpf_link *link = attach(skel->progs.cgroup_calls);
	int map = new_map(8), dir;
	struct stat stat;

	prepare_steps(map);
	if (mkdir(path, 0755))
		die(path);
	bpf_link__destroy(link);
	expect_steps();
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT(stored(map, OSTOR_BY_CGROUP_FD, dir), 7);
	if (fstat(dir, &stat))
		die(path);
	close(dir);
	close(map);
	map = new_map(8);
	expect_steps_by(skel->progs.cgroup_call, info(map).id, stat.st_ino);
	if (rmdir(path))
		die(path);
	EXPECT_SOON(info(map).owner_deaths, 1);
	close(map);
}

/* A connection over the loopback device. Returns the connecting socket. */
static int make_connection(int *listener)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(*listener, (struct sockaddr *)&address, length) || listen(*listener, 1) ||
	    getsockname(*listener, (struct sockaddr *)&address, &length) ||
	    connect(sock, (struct sockaddr *)&address, length))
		die("connection");
	return sock;
}

static void test_socket(void)
{
	struct bpf_link *link = attach(skel->progs.socket_calls);
	int map = new_map(8), listener, sock;

	prepare_steps(map);
	sock = make_connection(&listener);
	bpf_link__destroy(link);
	expect_steps();
	EXPECT(stored(map, OSTOR_BY_SOCKET, sock), 7);
	close(sock);
	close(listener);
	EXPECT_SOON(info(map).owner_deaths, 1);
	EXPECT(stats().omem_left, 0);
	close(map);
}

static void test_child(void)
{
	struct bpf_link *links[] = {
		attach(skel->progs.child_calls),
		attach(skel->progs.dead_calls),
	};
	int map = new_map(8), pidfd;
	pid_t pid;

	skel->bss->dead_update = 1;
	skel->bss->dead_get = 1;
	prepare_steps(map);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	bpf_link__destroy(links[0]);
	expect_steps();
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	EXPECT(stored(map, OSTOR_BY_PIDFD, pidfd), 7);
	close(pidfd);
	skel->bss->dead_pid = pid;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_SOON(skel->bss->dead_update, -ESRCH);
	EXPECT(skel->bss->dead_get, -ENOENT);
	EXPECT_SOON(info(map).owner_deaths, 1);
	bpf_link__destroy(links[1]);
	close(map);
}

static void test_file_without_reference(void)
{
	__u64 before = stats().maps, value = 1;
	int map = new_map(8);
	__u64 id = info(map).id;

	EXPECT(call_by(skel->progs.task_call, id, getpid(), OP_UPDATE, BPF_ANY, &value), 0);
	EXPECT(stats().maps, before + 1);
	close(map);
	/* The close has waited for the grace period, and for the value. */
	EXPECT(stats().maps, before);
	EXPECT(call_by(skel->progs.task_call, id, getpid(), OP_GET, 0, &value), NO_MAP);
}

static void test_reference(void)
{
	__u64 before = stats().maps, value = 11;
	int map = new_map(8);
	__u64 id = info(map).id;
	struct call call = { .map = id };

	run(skel->progs.slot_fill, &call);
	EXPECT(call.result, 1);
	close(map);
	EXPECT(stats().maps, before + 1);
	EXPECT(call_by(skel->progs.task_call, id, getpid(), OP_UPDATE, BPF_ANY, &value), 0);
	EXPECT(call_by(skel->progs.task_call, id, getpid(), OP_GET, 0, &value), 0);
	run(skel->progs.slot_empty, &call);
	EXPECT(call.result, 1);
	EXPECT(call_by(skel->progs.task_call, id, getpid(), OP_GET, 0, &value), NO_MAP);
	EXPECT_SOON(stats().maps, before);
}

/* A reference that is left in a BPF map goes with that. */
static void test_reference_left(void)
{
	struct kfuncs *other = kfuncs__open_and_load();
	__u64 before = stats().maps;
	int map = new_map(8);
	struct call call = { .map = info(map).id };

	if (!other)
		die("programs");
	run(other->progs.slot_fill, &call);
	EXPECT(call.result, 1);
	close(map);
	EXPECT(stats().maps, before + 1);
	kfuncs__destroy(other);
	EXPECT_SOON(stats().maps, before);
}

static void test_acquired(void)
{
	static const char name[16] = "in user space";
	int map = new_map(8);
	__u64 id = info(map).id, value = 12;

	EXPECT(call_by(skel->progs.task_call, id, getpid(), OP_UPDATE, BPF_ANY, &value), 0);
	value = 0;
	EXPECT(call_by(skel->progs.acquired_call, id, 0, 0, (unsigned long)name, &value), 0);
	EXPECT(value, 12);
	close(map);
}

/* Maps are closed while programs use them. */

static bool stop;
static __u64 newest;

static void *use_newest(void *used)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__u64 id = __atomic_load_n(&newest, __ATOMIC_RELAXED), value = 1;

		if (!call_by(skel->progs.task_call, id, getpid(), OP_UPDATE, BPF_ANY, &value))
			++*(long *)used;
	}
	return NULL;
}

static void test_closed_while_used(void)
{
	struct ostor_stats before = stats();
	long used[2] = {};
	pthread_t threads[2];
	int i;

	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, use_newest, &used[i]);
	for (i = 0; i < 200; i++) {
		int map = new_map(8);

		__atomic_store_n(&newest, info(map).id, __ATOMIC_RELAXED);
		/* Some are closed before a program has found them. */
		if (i % 2)
			sleep_ms(2);
		close(map);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT(used[0] + used[1] > 0, true);
	EXPECT_SOON(stats().maps, before.maps);
	EXPECT_SOON(stats().elements, before.elements);
}

static void test_recursion(void)
{
	struct bpf_link *links[] = {
		attach(skel->progs.nest_in_storage),
		attach(skel->progs.outer),
	};
	struct nested *nested = &skel->bss->in_storage;
	int map = new_map(8);

	/* The outer create has the storage's lock, and has linked nothing yet. */
	skel->bss->map_id = info(map).id;
	skel->bss->outer_armed = 1;
	getppid();
	EXPECT(skel->bss->outer_result, 0);
	EXPECT(nested->runs > 0, true);
	EXPECT(nested->update, -EDEADLK);
	EXPECT(nested->get, -ENOENT);
	EXPECT(nested->delete, -ENOENT);

	/* The outer update has it, and replaces that value. */
	memset(nested, 0, sizeof(*nested));
	skel->bss->outer_armed = 1;
	getppid();
	EXPECT(skel->bss->outer_result, 0);
	EXPECT(nested->runs > 0, true);
	EXPECT(nested->update, -EDEADLK);
	EXPECT(nested->get, 0);
	EXPECT(nested->delete, 0);
	EXPECT(stored(map, OSTOR_BY_SELF, 0), 7);
	EXPECT(info(map).deadlocks > 0, true);
	bpf_link__destroy(links[0]);
	links[0] = attach(skel->progs.nest_in_bucket);

	nested = &skel->bss->in_bucket;
	skel->bss->outer_armed = 1;
	getppid();
	EXPECT(skel->bss->outer_result, 0);
	EXPECT(nested->runs > 0, true);
	EXPECT(nested->update, 0);
	EXPECT(nested->get, 0);
	EXPECT(nested->delete, 0);
	bpf_link__destroy(links[0]);
	bpf_link__destroy(links[1]);
	close(map);
}

static void test_nmi(void)
{
	struct bpf_link *link = attach(skel->progs.nmi_calls);
	struct in_nmi *in_nmi = &skel->bss->in_nmi;
	int map = new_map(8), status;
	__u64 good;

	skel->bss->map_id = info(map).id;
	status = system("ostor-torture contexts --owner task >/dev/null");
	bpf_link__destroy(link);
	EXPECT(status, 0);
	good = in_nmi->runs - in_nmi->refused;
	printf("# in NMI: %llu runs, %llu of tasks that end\n", in_nmi->runs, in_nmi->refused);
	EXPECT(good > 0, true);
	EXPECT(in_nmi->created, good);
	EXPECT(in_nmi->replaced, good);
	EXPECT(in_nmi->read, good);
	EXPECT(in_nmi->deleted, good);
	EXPECT(in_nmi->wrong, 0);
	EXPECT(info(map).elements, 0);
	close(map);
}

/* Closes the socket when a program is inside an update of it. */
static void *close_late(void *sock)
{
	while (!__atomic_load_n(&skel->bss->late_waits, __ATOMIC_ACQUIRE))
		;
	close(*(int *)sock);
	__atomic_store_n(&skel->bss->late_closed, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void test_last_reference(void)
{
	struct bpf_link *links[] = {
		attach(skel->progs.late_free),
		attach(skel->progs.late_wait),
		attach(skel->progs.late_receive),
	};
	struct sockaddr_in address = { .sin_family = AF_INET };
	int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(address);
	int map = new_map(8);
	pthread_t thread;
	unsigned int i;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(receiver, (struct sockaddr *)&address, length) ||
	    getsockname(receiver, (struct sockaddr *)&address, &length))
		die("receiver");
	skel->bss->map_id = info(map).id;
	skel->bss->late_armed = 1;
	pthread_create(&thread, NULL, close_late, &receiver);
	if (sendto(sender, "", 1, 0, (struct sockaddr *)&address, length) != 1)
		die("sendto");
	pthread_join(thread, NULL);
	EXPECT(skel->data->late_update, 0);
	EXPECT_SOON(info(map).owner_deaths, 1);
	EXPECT(skel->bss->late_frees, 1);
	EXPECT(skel->bss->late_frees_by_kworker, 1);
	for (i = 0; i < ARRAY_SIZE(links); i++)
		bpf_link__destroy(links[i]);
	close(sender);
	close(map);
}

static void *do_nothing(void *arg)
{
	return arg;
}

static void test_kprobe(void)
{
	struct bpf_link *link = attach(skel->progs.kprobe_call);
	int map = new_map(8);
	pthread_t thread;

	skel->bss->map_id = info(map).id;
	pthread_create(&thread, NULL, do_nothing, NULL);
	pthread_join(thread, NULL);
	EXPECT_SOON(skel->bss->kprobe_runs, 1);
	EXPECT_SOON(info(map).owner_deaths, 1);
	bpf_link__destroy(link);
	close(map);
}

static void test_cgroup_skb(void)
{
	int root = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpf_link *link = bpf_program__attach_cgroup(skel->progs.cgroup_skb_call, root);
	int map = new_map(8), listener, sock;

	if (!link)
		die("cgroup_skb");
	skel->bss->map_id = info(map).id;
	sock = make_connection(&listener);
	bpf_link__destroy(link);
	EXPECT(skel->bss->cgroup_runs > 0, true);
	EXPECT(stored(map, OSTOR_BY_SOCKET, sock), 1);
	close(sock);
	close(listener);
	close(map);
	close(root);
}

/* The programs of refused.bpf.c, with the errno value and a word of the verifier's log. */
static const struct refusal {
	const char *prog;
	int err;
	const char *word;
} refusals[] = {
	{ "unreleased", -EINVAL, "would lead to reference leak" },
	{ "no_null_check", -EACCES, "Possibly NULL pointer passed to trusted" },
	{ "released_twice", -EINVAL, "expects referenced PTR_TO_BTF_ID" },
	{ "borrowed_released", -EINVAL, "expects referenced PTR_TO_BTF_ID" },
	{ "used_after_release", -EACCES, "R1 type=scalar expected=" },
	{ "borrowed_after_unlock", -EINVAL, "must be a rcu pointer" },
	{ "borrowed_without_rcu", -EACCES, "requires RCU critical section protection" },
	{ "used_without_rcu", -EACCES, "requires RCU critical section protection" },
	{ "short_buffer", -EINVAL, "memory, len pair leads to invalid memory access" },
	{ "walked_task", -EINVAL, "must be a rcu pointer" },
	{ "peeked_not_checked", -EACCES, "invalid mem access 'rdonly_rcu_mem_or_null'" },
	{ "peeked_written", -EACCES, "cannot write into rdonly_rcu_mem" },
	{ "peeked_beyond", -EACCES, "invalid access to memory" },
	{ "peeked_stored", -EACCES, "cannot write into rdonly_rcu_mem" },
	{ "no_owner", -EACCES, "is not allowed" },
};

static void expect_refusal(const struct refusal *refusal)
{
	struct refused *refused = refused__open();
	struct bpf_program *prog;
	int err;

	if (!refused)
		die("refused programs");
	prog = bpf_object__find_program_by_name(refused->obj, refusal->prog);
	if (!prog)
		die(refusal->prog);
	load_log[0] = 0;
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, load_log, sizeof(load_log));
	err = refused__load(refused);
	refused__destroy(refused);
	if (err != refusal->err || !strstr(load_log, refusal->word)) {
		printf("# %s: %d, and not %d with: %s\n", refusal->prog, err, refusal->err,
		       refusal->word);
		printf("# the end of the log: %.500s\n",
		       strlen(load_log) > 500 ? load_log + strlen(load_log) - 500 : load_log);
		failed = true;
	}
}

static void test_refusals(void)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		expect_refusal(&refusals[i]);
	libbpf_set_print(print);
}

static int shell(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define MODULE "/modules/owner_storage.ko"

/* The sample, beside the kernel's own count. */
static void test_sample(void)
{
	FILE *pipe = popen("oncpu sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'", "r");
	unsigned long long ours = 0, kernels = 0, lost = 1;
	double difference;
	char line[128];

	if (!pipe)
		die("oncpu");
	while (fgets(line, sizeof(line), pipe))
		sscanf(line, "sh: %llu ns, by the kernel's count %llu ns, %llu switches lost",
		       &ours, &kernels, &lost);
	EXPECT(pclose(pipe), 0);
	printf("# %.3f ms, by the kernel's count %.3f ms\n", ours / 1e6, kernels / 1e6);
	EXPECT(kernels > 10000000, true);
	EXPECT(lost, 0);
	difference = (double)ours - kernels;
	EXPECT(difference < kernels * 0.05 && -difference < kernels * 0.05, true);
}

/* The last tests: these unload the module. */
static void test_module_is_held(void)
{
	EXPECT(shell("rmmod owner_storage_torture"), 0);
	EXPECT(shell("rmmod owner_storage 2>/dev/null") != 0, true);
	kfuncs__destroy(skel);
	skel = NULL;
	/* A program is freed some time after its descriptor was closed. */
	EXPECT_SOON(shell("rmmod owner_storage 2>/dev/null"), 0);
}

static void test_no_btf(void)
{
	libbpf_print_fn_t print;

	EXPECT(shell("insmod /share/owner_storage_without_btf.ko"), 0);
	EXPECT(stats().bpf, 0);
	EXPECT(shell("ostor stats | grep -q '^bpf  *no '"), 0);
	print = libbpf_set_print(NULL);
	skel = kfuncs__open_and_load();
	libbpf_set_print(print);
	EXPECT(!skel, true);
	EXPECT(shell("rmmod owner_storage"), 0);
	EXPECT(shell("insmod " MODULE), 0);
	EXPECT(shell("ostor stats | grep -q '^bpf  *yes '"), 0);
}

static const char *no_nmi(void)
{
#ifdef __aarch64__
	return "Debian's kernel for arm64 has no NMI";
#else
	return NULL;
#endif
}

static const char *no_schedstat(void)
{
	return access("/proc/self/schedstat", R_OK) ? "this kernel does not count it" : NULL;
}

static const struct test {
	const char *name;
	void (*run)(void);
	/* Returns why the test cannot run here, or NULL. */
	const char *(*why_not)(void);
} tests[] = {
	{ "the statistics tell that programs can use maps", test_usable },
	{ "all operations on a task", test_task },
	{ "arguments that the kfuncs refuse", test_arguments },
	{ "a value that is copied by memcpy()", test_large },
	{ "all operations on a cgroup", test_cgroup },
	{ "all operations on a socket", test_socket },
	{ "a child's values, from its fork to its death", test_child },
	{ "a map that was borrowed ends when its file is closed", test_file_without_reference },
	{ "a map outlives its file by a reference", test_reference },
	{ "a reference that is left goes with the BPF map", test_reference_left },
	{ "a program that sleeps with a reference", test_acquired },
	{ "maps are closed while programs use them", test_closed_while_used },
	{ "operations inside an update", test_recursion },
	{ "all operations in NMI", test_nmi, no_nmi },
	{ "an update has the last reference to a socket", test_last_reference },
	{ "a kprobe program", test_kprobe },
	{ "a cgroup_skb program", test_cgroup_skb },
	{ "programs that the verifier refuses", test_refusals },
	{ "the sample counts what the kernel counts", test_sample, no_schedstat },
	{ "programs hold the module", test_module_is_held },
	{ "a module without BTF", test_no_btf },
};

static int run_tests(void)
{
	int bad = 0;
	unsigned int i;

	printf("KTAP version 1\n1..%zu\n", ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		const char *why_not = tests[i].why_not ? tests[i].why_not() : NULL;

		failed = false;
		if (!why_not)
			tests[i].run();
		printf("%s %u %s%s%s\n", failed ? "not ok" : "ok", i + 1, tests[i].name,
		       why_not ? " # SKIP " : "", why_not ?: "");
		fflush(stdout);
		bad += failed;
	}
	return bad > 0;
}

/* The costs, and the most that each may be; 0 where there is no limit. */
static const struct limit {
	const char *what;
	double most;
} limits[COSTS] = {
	[COST_GET] = { "get, hit", 60 },
	[COST_GET_MISS] = { "get, miss", 0 },
	[COST_PEEK] = { "peek, hit", 45 },
	[COST_BORROW] = { "borrow", 0 },
	[COST_ACQUIRE] = { "acquire and release", 0 },
	[COST_UPDATE] = { "update that replaces", 0 },
	[COST_CREATE_DELETE] = { "get_or_create and delete", 0 },
	[COST_BPF_GET] = { "BPF task storage: get, hit", 0 },
	[COST_BPF_GET_MISS] = { "BPF task storage: get, miss", 0 },
	[COST_BPF_CREATE_DELETE] = { "BPF task storage: create and delete", 0 },
};

static int print_costs(void)
{
	int maps[] = { new_map(8), new_map(8) }, bad = 0, i;
	struct call call = {};

	skel->bss->map_id = info(maps[0]).id;
	skel->bss->empty_map_id = info(maps[1]).id;
	run(skel->progs.measure, &call);
	if (call.result || skel->bss->cost_errors)
		die("an operation failed that is measured");
	printf("KTAP version 1\n1..%d\n", COSTS - 1);
	for (i = 1; i < COSTS; i++) {
		double cost = (double)(skel->bss->costs[i] - skel->bss->costs[COST_LOOP]) / 1000;
		bool over = limits[i].most && cost > limits[i].most;

		printf("# %s: %.1f instructions\n", limits[i].what, cost);
		printf("%s %d %s\n", over ? "not ok" : "ok", i, limits[i].what);
		bad += over;
	}
	return bad > 0;
}

int main(int argc, char **argv)
{
	bool is_costs = argc == 2 && !strcmp(argv[1], "costs");

	setvbuf(stdout, NULL, _IOLBF, 0);
	skel = kfuncs__open_and_load();
	if (!skel)
		die("programs");
	skel->bss->process = getpid();
	return is_costs ? print_costs() : run_tests();
}
