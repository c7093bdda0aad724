// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memfd is sealed for write although its page is pinned, and changes afterwards: see
 * Documentation/upstream/sealed-pinned.rst.
 *
 *   sealed_pinned [SECONDS [PINS]]
 *
 * A page of a huge page is registered with io_uring as a buffer, or several pages, each as a buffer.
 * Another process maps one page more than that for reading, and zaps them, without rest. F_ADD_SEALS is
 * tried until it succeeds or the time is up (60 s). Then io_uring writes to the sealed file.
 *
 * Exit status: 0 the fault was seen, 1 it was not, 4 it cannot be tried here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

enum { SEEN = 0, NOT_SEEN = 1, CANNOT_TRY = 4 };

/* What one read fault maps at most: fault_around_bytes, as it is by default. */
#define FAULT_BYTES	(64 * 1024)

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

/* Maps @len bytes of @fd at a multiple of @align. */
static char *map_aligned(int fd, size_t len, size_t align, int prot, int flags)
{
	char *room = mmap(NULL, len + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at;

	if (room == MAP_FAILED)
		cannot("mmap");
	at = room + (align - (uintptr_t)room % align) % align;
	if (mmap(at, len, prot, flags | MAP_FIXED, fd, 0) == MAP_FAILED)
		cannot("mmap");
	return at;
}

/* A memfd that is one huge page, and its shared mapping. */
static int make_huge(size_t size, char **map)
{
	int fd = memfd_create("sealed_pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int tries;

	if (fd < 0 || ftruncate(fd, size))
		cannot("memfd_create");
	*map = map_aligned(fd, size, size, PROT_READ | PROT_WRITE, MAP_SHARED);
	memset(*map, 'a', size);
	/* EAGAIN: a page has an extra reference for a moment. */
	for (tries = 0; madvise(*map, size, MADV_COLLAPSE); tries++) {
		if (errno != EAGAIN || tries == 1000)
			cannot("MADV_COLLAPSE");
		usleep(10000);
	}
	return fd;
}

/* The reader: each round is one fault, which maps all @len bytes, and one zap. */
static pid_t start_reader(int fd, size_t len)
{
	pid_t parent = getpid(), pid = fork();
	volatile char *map;

	if (pid < 0)
		cannot("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	map = map_aligned(fd, len, FAULT_BYTES, PROT_READ, MAP_PRIVATE);
	for (;;) {
		(void)map[0];
		madvise((char *)map, len, MADV_DONTNEED);
	}
}

/* A ring that needs no mapping but those of its queues. */
struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void *map_ring(int fd, size_t len, off_t at)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);

	if (p == MAP_FAILED)
		cannot("mmap of io_uring");
	return p;
}

static void open_ring(struct ring *r)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	r->fd = syscall(SYS_io_uring_setup, 1, &p);
	if (r->fd < 0)
		cannot("io_uring_setup");
	sq = map_ring(r->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned int), IORING_OFF_SQ_RING);
	cq = map_ring(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		      IORING_OFF_CQ_RING);
	r->sqes = map_ring(r->fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	r->sq_tail = (void *)(sq + p.sq_off.tail);
	r->sq_mask = (void *)(sq + p.sq_off.ring_mask);
	r->sq_array = (void *)(sq + p.sq_off.array);
	r->cq_head = (void *)(cq + p.cq_off.head);
	r->cq_tail = (void *)(cq + p.cq_off.tail);
	r->cq_mask = (void *)(cq + p.cq_off.ring_mask);
	r->cqes = (void *)(cq + p.cq_off.cqes);
}

/* Reads @len bytes of @fd into registered buffer 0, which is at @to: their number, or -errno. */
static int read_fixed(struct ring *r, int fd, const char *to, unsigned int len)
{
	unsigned int tail = *r->sq_tail, head = *r->cq_head;

	r->sqes[tail & *r->sq_mask] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED,
		.fd = fd,
		.addr = (uintptr_t)to,
		.len = len,
	};
	r->sq_array[tail & *r->sq_mask] = tail & *r->sq_mask;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	if (__atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) == head)
		return -EIO;
	return r->cqes[head & *r->cq_mask].res;
}

static size_t huge_page_size(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	size_t size = 0;

	if (!f || fscanf(f, "%zu", &size) != 1)
		cannot("hpage_pmd_size");
	fclose(f);
	return size;
}

int main(int argc, char **argv)
{
	double limit = argc > 1 ? atof(argv[1]) : 60, began;
	size_t page = sysconf(_SC_PAGESIZE), huge = huge_page_size();
	unsigned int pins = argc > 2 ? atoi(argv[2]) : 1, tries = 0, i;
	struct iovec buffers[FAULT_BYTES / 4096];
	char *map, before, after, text[64];
	struct ring ring;
	int fd, source, ret;
	pid_t reader;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!pins || (pins + 1) * page > FAULT_BYTES) {
		printf("at least 1 pin, and at most %zu\n", FAULT_BYTES / page - 1);
		return CANNOT_TRY;
	}
	fd = make_huge(huge, &map);
	open_ring(&ring);
	for (i = 0; i < pins; i++)
		buffers[i] = (struct iovec){ map + i * page, page };
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, buffers, pins))
		cannot("IORING_REGISTER_BUFFERS");
	munmap(map, huge);
	source = memfd_create("source", MFD_CLOEXEC);
	memset(text, 'b', sizeof(text));
	if (source < 0 || write(source, text, sizeof(text)) != sizeof(text))
		cannot("memfd_create");

	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 || errno != EBUSY)
		cannot("without a reader, F_ADD_SEALS should say EBUSY");
	printf("%u pins of a huge page: F_ADD_SEALS says EBUSY, as it should\n", pins);

	reader = start_reader(fd, (pins + 1) * page);
	began = seconds();
	do {
		ret = fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
		tries++;
	} while (ret && errno == EBUSY && seconds() - began < limit);
	kill(reader, SIGKILL);
	if (ret) {
		printf("with a reader, %u tries in %.0f s: %s\n", tries, seconds() - began,
		       strerror(errno));
		return NOT_SEEN;
	}
	printf("with a reader, try %u after %.1f s: sealed, seals 0x%x\n", tries, seconds() - began,
	       fcntl(fd, F_GET_SEALS));

	if (pread(fd, &before, 1, 0) != 1)
		cannot("pread");
	ret = read_fixed(&ring, source, map, sizeof(text));
	if (pread(fd, &after, 1, 0) != 1)
		cannot("pread");
	printf("io_uring read %d bytes into the sealed file: byte 0 was '%c', is '%c'\n", ret, before,
	       after);
	return before != after ? SEEN : NOT_SEEN;
}
