// SPDX-License-Identifier: GPL-2.0-only
/*
 * What io_uring, or a user of udmabuf, has written to a memfd becomes zeros, also after the memfd was
 * sealed: see Documentation/upstream/dropped-pages.rst.
 *
 *   dropped_pages
 *
 * A load maps a page of a memfd that has none yet. io_uring reads into the page, and the memfd is sealed for
 * write. Then reclaim comes (MADV_PAGEOUT). The same with a DMA buffer in place of io_uring.
 *
 * Exit status: 0 the fault was seen with either, 1 with neither, 4 it cannot be tried here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

enum { SEEN = 0, NOT_SEEN = 1, CANNOT_TRY = 4 };

static size_t page;

static int cannot(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return CANNOT_TRY;
}

static void *map(int fd, size_t len, int prot, off_t at)
{
	void *p = mmap(NULL, len, prot, MAP_SHARED, fd, at);

	return p == MAP_FAILED ? NULL : p;
}

/* A memfd of a hole. */
static int open_hole(void)
{
	int fd = memfd_create("dropped_pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, page)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Submits the only request of a ring of one entry, and waits for it: 0, or -1. */
static int read_fixed(int ring, const struct io_uring_params *p, const struct io_uring_sqe *sqe)
{
	char *sq = map(ring, p->sq_off.array + sizeof(unsigned int), PROT_READ | PROT_WRITE,
		       IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqes = map(ring, sizeof(*sqes), PROT_READ | PROT_WRITE, IORING_OFF_SQES);

	if (!sq || !sqes)
		return -1;
	sqes[0] = *sqe;
	*(unsigned int *)(sq + p->sq_off.array) = 0;
	__atomic_store_n((unsigned int *)(sq + p->sq_off.tail), 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1 ? 0 : -1;
}

/* The page is not mapped any more when this returns, nor pinned. */
static int write_by_io_uring(int fd)
{
	int source = memfd_create("source", MFD_CLOEXEC), ring, ret = -1;
	char *text = malloc(page), *p = map(fd, page, PROT_READ | PROT_WRITE, 0);
	struct io_uring_params params = { 0 };

	memset(text, 'b', page);
	ring = syscall(SYS_io_uring_setup, 1, &params);
	if (p && ring >= 0 && write(source, text, page) == (ssize_t)page) {
		struct iovec buffer = { p, page };
		struct io_uring_sqe sqe = {
			.opcode = IORING_OP_READ_FIXED, .fd = source, .addr = (uintptr_t)p, .len = page,
		};

		(void)*(volatile char *)p;
		ret = syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) ?:
		      read_fixed(ring, &params, &sqe);
		munmap(p, page);
		ret = ret ?: (int)syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	}
	close(ring);
	close(source);
	free(text);
	return ret;
}

static int write_by_udmabuf(int fd)
{
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer;
	struct udmabuf_create create = { .memfd = fd, .size = page };
	char *p;

	if (device < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	buffer = ioctl(device, UDMABUF_CREATE, &create);
	close(device);
	p = buffer < 0 ? NULL : map(buffer, page, PROT_READ | PROT_WRITE, 0);
	if (!p)
		return -1;
	memset(p, 'b', page);
	munmap(p, page);
	close(buffer);
	return 0;
}

/* Whether the page changes: an exit status. */
static int try(const char *what, int (*write_to)(int fd))
{
	char before = 0, after = 0, *p;
	int fd = open_hole(), tries = 0;

	if (fd < 0 || write_to(fd))
		return cannot(what);
	/* A page that was just unpinned may have a reference for a moment. */
	while (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)) {
		if (errno != EBUSY || ++tries == 100)
			return cannot("F_ADD_SEALS");
	}
	if (pread(fd, &before, 1, 0) != 1)
		return cannot("pread");
	printf("%s has written to the page, which is sealed: byte 0 is '%c'\n", what, before);
	p = map(fd, page, PROT_READ, 0);
	if (!p)
		return cannot("mmap");
	for (tries = 0; tries < 100 && *(volatile char *)p == before; tries++)
		madvise(p, page, MADV_PAGEOUT);
	munmap(p, page);
	if (pread(fd, &after, 1, 0) != 1)
		return cannot("pread");
	printf("after reclaim: %#x, seals %#x\n", after, fcntl(fd, F_GET_SEALS));
	close(fd);
	return after == before ? NOT_SEEN : SEEN;
}

int main(void)
{
	int by_ring, by_buffer;

	page = sysconf(_SC_PAGESIZE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	by_ring = try("io_uring", write_by_io_uring);
	by_buffer = try("a DMA buffer", write_by_udmabuf);
	return by_ring < by_buffer ? by_ring : by_buffer;
}
