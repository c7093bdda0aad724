// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memfd is sealed for write although its page is pinned, because the pin was taken while the page
 * went to swap: see Documentation/upstream/sealed-swapped.rst.
 *
 *   sealed_swapped [SECONDS]
 *
 * MADV_PAGEOUT of the only page races with UDMABUF_CREATE, until both have succeeded for one folio, or
 * the time is up (60 s): the file has the page in swap, and the DMA buffer has it pinned. The file is
 * sealed then, and the DMA buffer written to. It takes root: swap is on a zram device of its own.
 *
 * Exit status: 0 the fault was seen, 1 it was not, 4 it cannot be tried here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

enum { SEEN = 0, NOT_SEEN = 1, CANNOT_TRY = 4 };

#define ZRAM_BYTES	(16 << 20)

static size_t page;
static int udmabuf;

static __attribute__((noreturn, format(printf, 1, 2))) void cannot(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", strerror(error));
	exit(CANNOT_TRY);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Swap on a zram device. */
static int zram = -1;
static char zram_dev[32];

static int write_number(const char *path, long number)
{
	char text[32];
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int len = snprintf(text, sizeof(text), "%ld", number);
	int ret = fd >= 0 && write(fd, text, len) == len ? 0 : -1;

	close(fd);
	return ret;
}

static void end_swap(void)
{
	int tries;

	if (zram < 0)
		return;
	swapoff(zram_dev);
	/* udev may have it open for a moment. */
	for (tries = 0; tries < 100; tries++) {
		if (!write_number("/sys/class/zram-control/hot_remove", zram))
			break;
		usleep(20000);
	}
}

static void begin_swap(void)
{
	FILE *f = fopen("/sys/class/zram-control/hot_add", "re");
	uint32_t info[2] = { 1, ZRAM_BYTES / page - 1 };	/* version, last page */
	char *header = calloc(1, page), path[64];
	int fd;

	if (!f || fscanf(f, "%d", &zram) != 1)
		cannot("zram");
	fclose(f);
	atexit(end_swap);
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", zram);
	if (write_number(path, ZRAM_BYTES))
		cannot("%s", path);
	snprintf(zram_dev, sizeof(zram_dev), "/dev/zram%d", zram);
	fd = open(zram_dev, O_RDWR | O_CLOEXEC);
	memcpy(header + 1024, info, sizeof(info));
	memcpy(header + page - 10, "SWAPSPACE2", 10);
	if (fd < 0 || pwrite(fd, header, page, 0) != (ssize_t)page)
		cannot("%s", zram_dev);
	close(fd);
	free(header);
	if (swapon(zram_dev, 0))
		cannot("swapon %s", zram_dev);
}

/* The racing thread: makes a DMA buffer of @file after @delay, once for each @round. */
static struct {
	unsigned int round, done;
	int file, buffer;
	double delay;
} pin;

static void *pinning_thread(void *unused)
{
	struct udmabuf_create arg = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = page };
	unsigned int round = 0;
	double at;

	for (;;) {
		while (__atomic_load_n(&pin.round, __ATOMIC_ACQUIRE) == round)
			;
		round++;
		at = seconds() + pin.delay;
		while (seconds() < at)
			;
		arg.memfd = pin.file;
		pin.buffer = ioctl(udmabuf, UDMABUF_CREATE, &arg);
		__atomic_store_n(&pin.done, round, __ATOMIC_RELEASE);
	}
	return unused;
}

/* How much of the mapping at @map is in swap, as the file knows it. */
static long swapped_bytes(const char *map)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[256], start[32];
	bool found = false;
	long kib = 0;

	if (!f)
		cannot("/proc/self/smaps");
	snprintf(start, sizeof(start), "%08lx-", (unsigned long)map);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, start, strlen(start)))
			found = true;
		else if (found && sscanf(line, "Swap: %ld", &kib) == 1)
			break;
	}
	fclose(f);
	return kib * 1024;
}

/* The page went to swap, and is pinned. */
static int show(int fd, int tries, double took)
{
	char *buffer, before, after;

	printf("race %d, after %.1f s: the page is in swap, and a DMA buffer has it\n", tries, took);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)) {
		printf("F_ADD_SEALS: %s\n", strerror(errno));
		return NOT_SEEN;
	}
	printf("F_ADD_SEALS succeeds, seals 0x%x\n", fcntl(fd, F_GET_SEALS));
	buffer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, pin.buffer, 0);
	if (buffer == MAP_FAILED || pread(fd, &before, 1, 0) != 1)
		cannot("mmap of the DMA buffer");
	buffer[0] = 'b';
	if (pread(fd, &after, 1, 0) != 1)
		cannot("pread");
	printf("written to the DMA buffer: byte 0 of the sealed file was '%c', is '%c'\n", before,
	       after);
	return before != after ? SEEN : NOT_SEEN;
}

int main(int argc, char **argv)
{
	double limit = argc > 1 ? atof(argv[1]) : 60, began, start, longest = 0;
	int tries = 0, fd;
	pthread_t thread;
	bool met;
	char *map;

	setvbuf(stdout, NULL, _IOLBF, 0);
	page = sysconf(_SC_PAGESIZE);
	udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (udmabuf < 0)
		cannot("/dev/udmabuf");
	begin_swap();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("there is but one CPU\n");
		return CANNOT_TRY;
	}
	if (pthread_create(&thread, NULL, pinning_thread, NULL))
		cannot("pthread_create");
	began = seconds();
	while (seconds() - began < limit) {
		fd = memfd_create("sealed_swapped", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0 || ftruncate(fd, page) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
			cannot("memfd_create");
		map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			cannot("mmap");
		map[0] = 'a';

		pin.file = fd;
		pin.delay = longest * (rand() % 1000) / 1000;
		start = seconds();
		__atomic_add_fetch(&pin.round, 1, __ATOMIC_RELEASE);
		madvise(map, page, MADV_PAGEOUT);
		/* A preempted CPU does not make all later races late. */
		if (seconds() - start > longest && (seconds() - start < 0.005 || !tries))
			longest = seconds() - start;
		while (__atomic_load_n(&pin.done, __ATOMIC_ACQUIRE) != pin.round)
			sched_yield();
		tries++;

		met = pin.buffer >= 0 && swapped_bytes(map);
		munmap(map, page);
		if (met)
			return show(fd, tries, seconds() - began);
		close(pin.buffer);
		close(fd);
	}
	printf("%d races in %.0f s: the page was pinned in the file each time\n", tries, limit);
	return NOT_SEEN;
}
