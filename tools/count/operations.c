// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations that are counted, each with what has to be there before. Only run() is between the
 * marks: one call, as a program would make it.
 */
#include "content.h"
#include "operations.h"
#include "protect.h"
#include "sealer.h"
#include "stacked.h"

/* Blocks of reads and writes. */
#define BLOCK		(16 * page_size())

/* Pages of an object that are held. */
#define HELD_PAGES	16

/* The device, for objects that it creates. */
static int device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = must(ps_open(O_RDONLY), PINSEAL_DEV);
	return fd;
}

/* A new empty object: one call. */
static int new_object(enum object_kind kind)
{
	switch (kind) {
	case MEMFD:
		return memfd_open();
	case CREATED:
		return created_by(device(), PINSEAL_CREATE_ALLOW_SEALING | PINSEAL_CREATE_EXEC, "test");
	default:
		return ps_open(O_RDWR);
	}
}

/* A memfd with content, or an object that is stacked on one. */
static void stack(struct subject *s)
{
	s->lower = memfd_open();
	must(fill_file(must(s->lower, "a memfd"), s->size, 'c'), "fill");
	s->fd = s->lower;
	if (s->kind == MEMFD)
		return;
	s->fd = must(ps_open(O_RDWR), "a new object");
	must(ps_attach(s->fd, s->lower, 0), "PINSEAL_IOC_ATTACH");
}

struct subject subject_new(const struct operation *op, enum object_kind kind)
{
	static char *buf;
	struct subject s = {
		.kind = kind, .fd = -1, .lower = -1, .handle = -1, .seals = op->seals,
		.size = op->pages * page_size(),
	};

	if (!buf)
		buf = calloc(1, BLOCK);
	if (!buf)
		die("no memory");
	/* Else its pages might be those of zeros, which writes do not need to find. */
	memset(buf, 'c', BLOCK);
	s.buf = buf;
	device();
	if (op->pages == NO_OBJECT)
		return s;
	if (op->is_stacked) {
		stack(&s);
		return s;
	}
	s.fd = must(new_object(kind), "a new object");
	if (s.size) {
		must(obj_resize(s.fd, s.size), "resize");
		must(fill_file(s.fd, s.size, 'c'), "fill");
	}
	return s;
}

void subject_end(struct subject *s)
{
	if (s->is_held)
		must(hold_end(&s->hold), "release");
	if (s->map)
		munmap(s->map, s->size);
	if (s->handle >= 0)
		close(s->handle);
	if (s->lower >= 0 && s->lower != s->fd)
		close(s->lower);
	if (s->fd >= 0)
		close(s->fd);
}

static void map(struct subject *s)
{
	s->map = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
}

static void map_and_touch(struct subject *s)
{
	map(s);
	memset(s->map, 't', s->size);
}

/* As a reader has it: a mapping that a descriptor for writing made would stop the seal. */
static void map_and_read(struct subject *s)
{
	int fd = must(s->kind == PINSEAL ? ps_reopen(s->fd, O_RDONLY) : open_by_proc(s->fd, O_RDONLY),
		      "a descriptor to read");
	uint64_t at;

	s->map = mmap(NULL, s->size, PROT_READ, MAP_SHARED, fd, 0);
	if (s->map == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	close(fd);
	for (at = 0; at < s->size; at += page_size())
		(void)*(const volatile char *)(s->map + at);
}

static int open_write(struct subject *s)
{
	s->fd = new_object(s->kind);
	if (s->fd < 0)
		return s->fd;
	return sys(pwrite(s->fd, s->buf, page_size(), 0));
}

static int create(struct subject *s)
{
	s->fd = new_object(s->kind);
	return s->fd;
}

static int close_object(struct subject *s)
{
	int fd = s->fd;

	s->fd = -1;
	return sys(close(fd));
}

static int read_page(struct subject *s)
{
	return sys(pread(s->fd, s->buf, page_size(), 0));
}

static int write_page(struct subject *s)
{
	return sys(pwrite(s->fd, s->buf, page_size(), 0));
}

static int read_block(struct subject *s)
{
	return sys(pread(s->fd, s->buf, BLOCK, 0));
}

static int write_block(struct subject *s)
{
	return sys(pwrite(s->fd, s->buf, BLOCK, 0));
}

static int map_object(struct subject *s)
{
	s->map = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	return s->map == MAP_FAILED ? -errno : 0;
}

static int unmap_object(struct subject *s)
{
	char *p = s->map;

	s->map = NULL;
	return sys(munmap(p, s->size));
}

static int fault_read(struct subject *s)
{
	return *(volatile char *)s->map == 0;
}

static int fault_write(struct subject *s)
{
	*(volatile char *)s->map = 'f';
	return 0;
}

/* As @seals asks, with a report for objects. */
static int seal(struct subject *s)
{
	struct pinseal_seal arg = { .seals = s->seals };

	if (s->kind == MEMFD)
		return sys(fcntl(s->fd, F_ADD_SEALS, s->seals));
	return ps_ioctl(s->fd, PINSEAL_IOC_SEAL, &arg);
}

/* By the call that is memfd's, which an object created as a memfd takes as well. */
static int get_seals(struct subject *s)
{
	if (s->kind == PINSEAL)
		return ps_get_seals(s->fd);
	return sys(fcntl(s->fd, F_GET_SEALS));
}

static int grow(struct subject *s)
{
	return s->kind == PINSEAL ? ps_resize(s->fd, 2 * s->size) : sys(ftruncate(s->fd, 2 * s->size));
}

static int shrink(struct subject *s)
{
	return s->kind == PINSEAL ? ps_resize(s->fd, s->size / 2) : sys(ftruncate(s->fd, s->size / 2));
}

static int pin(struct subject *s)
{
	s->handle = ps_pin(s->fd, 0, s->size / page_size(), 0);
	return s->handle;
}

static int lease(struct subject *s)
{
	s->handle = ps_lease(s->fd, 0, s->size / page_size(), NSEC_PER_SEC);
	return s->handle;
}

static void prepare_pin(struct subject *s)
{
	must(pin(s), "pin");
}

static int unpin(struct subject *s)
{
	int handle = s->handle;

	s->handle = -1;
	return sys(close(handle));
}

static int list(struct subject *s)
{
	static struct pinseal_page vec[HELD_PAGES];
	struct pinseal_pins arg;

	return ps_pins(s->fd, 0, vec, HELD_PAGES, &arg);
}

static void hold_all(struct subject *s)
{
	must(hold_begin(&s->hold, HOLD_VMSPLICE, s->fd, 0, s->size / page_size()), "vmsplice");
	s->is_held = true;
}

static int isolate(struct subject *s)
{
	struct pinseal_seal arg = {
		.seals = s->seals, .flags = PINSEAL_SEAL_NOWAIT | PINSEAL_SEAL_ISOLATE,
	};

	return ps_ioctl(s->fd, PINSEAL_IOC_SEAL, &arg);
}

/* Every second page is read-only. */
static int protect(struct subject *s)
{
	return protect_pages(s->kind, s->fd, s->map + page_size(), page_size(), PROT_READ);
}

/* Of an array. */
#define RANGES		1000

static struct pinseal_protect_range ranges[RANGES];

/* A mapping that nothing has touched, of an object without pages. */
static void map_array(struct subject *s)
{
	unsigned int i;

	s->size = 2 * RANGES * page_size();
	must(obj_resize(s->fd, s->size), "resize");
	map(s);
	for (i = 0; i < RANGES; i++)
		ranges[i] = a_range(s->map + (2 * i + 1) * page_size(), page_size(), PROT_READ);
}

/* Every second page is read-only: one call, or one for each. */
static int protect_array(struct subject *s)
{
	unsigned int i;
	int ret = 0;

	if (s->kind != MEMFD)
		return ps_protect_ranges(s->fd, ranges, RANGES);
	for (i = 0; i < RANGES && !ret; i++)
		ret = sys(mprotect((void *)(uintptr_t)ranges[i].addr, ranges[i].len, PROT_READ));
	return ret;
}

/* Work on a file, until it is durable. */
#define STACKED_PAGES	256

/* Blocks of the first STACKED_PAGES. */
static int write_stacked(struct subject *s)
{
	uint64_t at;

	for (at = 0; at < STACKED_PAGES * page_size(); at += BLOCK)
		if (pwrite(s->fd, s->buf, BLOCK, at) != (ssize_t)BLOCK)
			return -EIO;
	return sys(fsync(s->fd));
}

static int read_stacked(struct subject *s)
{
	uint64_t at;

	for (at = 0; at < s->size; at += BLOCK)
		if (pread(s->fd, s->buf, BLOCK, at) != (ssize_t)BLOCK)
			return -EIO;
	return 0;
}

static int store_stacked(struct subject *s)
{
	uint64_t at;

	for (at = 0; at < s->size; at += page_size())
		*(volatile char *)(s->map + at) = 's';
	return sys(msync(s->map, s->size, MS_SYNC));
}

/* Everything is there, and written. */
static void map_and_sync(struct subject *s)
{
	map_and_touch(s);
	must(sys(msync(s->map, s->size, MS_SYNC)), "msync");
}

static int sync_page(struct subject *s)
{
	s->map[0] = 'p';
	return sys(msync(s->map, s->size, MS_SYNC));
}

#define ALL_BUT_SEAL	(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

const struct operation operations[] = {
	{ "create", ON_ALL, NO_OBJECT, .run = create },
	{ "open_write", ON_ALL, NO_OBJECT, .run = open_write },
	{ "close", ON_ALL, 1, .run = close_object },
	{ "read_1", ON_ALL, 1, .run = read_page },
	{ "write_1", ON_ALL, 1, .run = write_page },
	{ "read_16", ON_ALL, 16, .run = read_block },
	{ "write_16", ON_ALL, 16, .run = write_block },
	{ "mmap", ON_ALL, 1, .run = map_object },
	{ "munmap", ON_ALL, 1, .prepare = map_and_touch, .run = unmap_object },
	{ "fault_read", ON_ALL, 1, .prepare = map, .run = fault_read },
	{ "fault_write", ON_ALL, 1, .prepare = map, .run = fault_write },
	{ "grow", ON_ALL, 16, .run = grow },
	{ "shrink", ON_ALL, 16, .run = shrink },
	{ "get_seals", ON_ALL, 1, .run = get_seals },
	{ "seal_shrink", ON_ALL, 1, F_SEAL_SHRINK, .run = seal },
	{ "seal_grow", ON_ALL, 1, F_SEAL_GROW, .run = seal },
	{ "seal_future_write", ON_ALL, 1, F_SEAL_FUTURE_WRITE, .run = seal },
	{ "seal_0", ON_ALL, 0, F_SEAL_WRITE, .run = seal },
	{ "seal_1", ON_ALL, 1, F_SEAL_WRITE, .run = seal },
	{ "seal_16", ON_ALL, 16, F_SEAL_WRITE, .run = seal },
	{ "seal_256", ON_ALL, 256, F_SEAL_WRITE, .run = seal },
	{ "seal_4096", ON_ALL, 4096, F_SEAL_WRITE, .run = seal },
	{ "seal_mapped_16", ON_ALL, 16, F_SEAL_WRITE, .prepare = map_and_read, .run = seal },
	{ "pin_1", ON_OBJECTS, 1, .run = pin },
	{ "pin_16", ON_OBJECTS, 16, .run = pin },
	{ "unpin_16", ON_OBJECTS, 16, .prepare = prepare_pin, .run = unpin },
	{ "lease_16", ON_OBJECTS, 16, .run = lease },
	{ "pins_256", ON_OBJECTS, 256, .run = list },
	{ "isolate_16", ON_OBJECTS, HELD_PAGES, ALL_BUT_SEAL, .prepare = hold_all, .run = isolate },
	{ "protect_1", ON(MEMFD) | ON(PINSEAL), 3, .prepare = map_and_touch, .run = protect },
	{ "protect_array", ON(MEMFD) | ON(PINSEAL), 0, .prepare = map_array, .run = protect_array },
	{ "stacked_write", ON_STACKED, 0, .is_stacked = true, .run = write_stacked },
	{ "stacked_overwrite", ON_STACKED, STACKED_PAGES, .is_stacked = true, .run = write_stacked },
	{ "stacked_store", ON_STACKED, STACKED_PAGES, .is_stacked = true, .prepare = map, .run = store_stacked },
	{ "stacked_read", ON_STACKED, STACKED_PAGES, .is_stacked = true, .run = read_stacked },
	{ "stacked_touch", ON_STACKED, 1, .is_stacked = true, .prepare = map, .run = fault_read },
	{ "stacked_sync_1", ON_STACKED, STACKED_PAGES, .is_stacked = true, .prepare = map_and_sync,
	  .run = sync_page },
};

const unsigned int operations_n = ARRAY_SIZE(operations);
