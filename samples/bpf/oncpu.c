// SPDX-License-Identifier: GPL-2.0
/*
 * oncpu COMMAND [ARGUMENT...]
 *
 * Runs COMMAND, and prints the time that each task was on a CPU meanwhile. The last line
 * has COMMAND's time, and what the kernel has counted for it. Needs root, and the module
 * owner_storage.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/owner_storage.h>

#include "oncpu.skel.h"

#define ENTRIES 64

static void die(const char *what)
{
	fprintf(stderr, "oncpu: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* A map of 64-bit numbers. It ends when the descriptor is closed. */
static int create_map(__u64 *id)
{
	struct ostor_map_create create = {
		.value_size = sizeof(__u64),
		.name = "oncpu",
	};
	struct ostor_map_info info;
	int map = open("/dev/owner_storage", O_RDWR | O_CLOEXEC);

	if (map < 0 || ioctl(map, OSTOR_IOC_MAP_CREATE, &create) ||
	    ioctl(map, OSTOR_IOC_MAP_INFO, &info))
		die("/dev/owner_storage");
	*id = info.id;
	return map;
}

static struct oncpu *attach_program(__u64 map_id)
{
	struct oncpu *programs = oncpu__open_and_load();

	if (!programs)
		die("load the program");
	programs->bss->map_id = map_id;
	if (oncpu__attach(programs))
		die("attach the program");
	return programs;
}

/* The value of the task of @pidfd. */
static __u64 time_of(int map, int pidfd)
{
	__u64 time = 0;
	struct ostor_elem elem = {
		.owner = { .by = OSTOR_BY_PIDFD, .fd = pidfd },
		.value = (unsigned long)&time,
		.value_size = sizeof(time),
	};

	if (ioctl(map, OSTOR_IOC_LOOKUP, &elem) && errno != ENOENT)
		die("OSTOR_IOC_LOOKUP");
	return time;
}

/* What the scheduler has counted for a task. */
static __u64 kernels_time_of(pid_t pid)
{
	unsigned long long time;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &time) != 1)
		die(path);
	fclose(file);
	return time;
}

static void print_task(__u64 pid, __u64 time)
{
	char path[64], comm[32] = "?";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%llu/comm", (unsigned long long)pid);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%31[^\n]", comm) != 1)
			comm[0] = 0;
		fclose(file);
	}
	printf("%8llu %-31s %12.3f ms\n", (unsigned long long)pid, comm, time / 1e6);
}

static void print_all(int map)
{
	struct ostor_entry entries[ENTRIES];
	__u64 times[ENTRIES];
	struct ostor_list list = {
		.entries = (unsigned long)entries,
		.values = (unsigned long)times,
		.value_size = sizeof(times[0]),
		.capacity = ENTRIES,
	};
	__u32 i;

	do {
		if (ioctl(map, OSTOR_IOC_LIST, &list))
			die("OSTOR_IOC_LIST");
		for (i = 0; i < list.count; i++)
			print_task(entries[i].owner_id, times[i]);
	} while (!list.done);
}

static pid_t start(char **command)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	execvp(command[0], command);
	die(command[0]);
	return -1;
}

int main(int argc, char **argv)
{
	struct oncpu *programs;
	siginfo_t siginfo;
	int map, pidfd;
	__u64 map_id;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: oncpu COMMAND [ARGUMENT...]\n");
		return 2;
	}
	map = create_map(&map_id);
	programs = attach_program(map_id);
	pid = start(argv + 1);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	/* The values of a zombie stay until it is reaped. */
	if (pidfd < 0 || waitid(P_PID, pid, &siginfo, WEXITED | WNOWAIT))
		die("waitid");
	print_all(map);
	printf("%s: %llu ns, by the kernel's count %llu ns, %llu switches lost\n", argv[1],
	       (unsigned long long)time_of(map, pidfd),
	       (unsigned long long)kernels_time_of(pid),
	       (unsigned long long)programs->bss->lost);
	waitid(P_PID, pid, &siginfo, WEXITED);
	oncpu__destroy(programs);
	close(map);
	return 0;
}
