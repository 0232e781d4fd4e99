/* SPDX-License-Identifier: GPL-2.0 */
/* What the loaders of the test programs share: the device, and waiting. */
#ifndef LOADER_H
#define LOADER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/owner_storage.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define DEVICE "/dev/owner_storage"

/* Ends the program: no test can go on without this. */
static inline void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int command(int fd, unsigned long number, void *arg)
{
	return ioctl(fd, number, arg) ? -errno : 0;
}

static inline int new_map(unsigned int value_size)
{
	struct ostor_map_create create = { .value_size = value_size, .name = "programs" };
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || command(fd, OSTOR_IOC_MAP_CREATE, &create))
		die(DEVICE);
	return fd;
}

static inline struct ostor_map_info info(int fd)
{
	struct ostor_map_info info;

	if (command(fd, OSTOR_IOC_MAP_INFO, &info))
		die("OSTOR_IOC_MAP_INFO");
	return info;
}

static inline struct ostor_stats stats(void)
{
	struct ostor_stats stats;
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || command(fd, OSTOR_IOC_STATS, &stats))
		die("OSTOR_IOC_STATS");
	close(fd);
	return stats;
}

/* Performs command @number on the owner's value of 8 bytes. */
static inline int elem_command(int map, unsigned long number, __u32 by, int fd, __u64 *value)
{
	struct ostor_elem elem = {
		.owner = { .by = by, .fd = fd },
		.value = (unsigned long)value,
		.value_size = value ? sizeof(*value) : 0,
	};

	return command(map, number, &elem);
}

/* The value of an owner, or a negative errno value. */
static inline long stored(int map, __u32 by, int fd)
{
	__u64 value = 0;

	return elem_command(map, OSTOR_IOC_LOOKUP, by, fd, &value) ?: (long)value;
}

static inline void sleep_ms(long ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static inline struct bpf_link *attach(struct bpf_program *prog)
{
	struct bpf_link *link = bpf_program__attach(prog);

	if (!link)
		die(bpf_program__name(prog));
	return link;
}

#endif /* LOADER_H */
