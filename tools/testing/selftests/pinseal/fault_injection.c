// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation and user copy in a call fails once: the first, then the second, and so on
 * until the call has none left to fail.
 *
 * After each failure the object is unchanged and the same call succeeds; at the end nothing
 * is left behind.
 */
#include <linux/falloc.h>

#include "harness.h"
#include "async.h"
#include "bytes.h"
#include "content.h"
#include "cpu.h"
#include "fault_injection.h"
#include "object.h"
#include "protect.h"
#include "stacked.h"
#include "state.h"
#include "uring.h"

#define PAGES		4	/* of an object, of which the second is a hole */
#define MOST_FAULTS	2000	/* in one call: more means a loop */

/* An object under test, and what the call needs. */
struct scene {
	int fd;
	size_t page;
	char *buf;		/* PAGES pages, written with another seed than the object */
	char *map;		/* of the object, or NULL */
	int pipe[2];
	int new_fd;		/* what the call opened, or -1 */
	int lower;		/* what the object is stacked on, untouched, or -1 */
	struct uring ring;	/* pins the first page */
	bool pinned;
};

static int scene_begin(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->new_fd = s->pipe[0] = s->pipe[1] = s->lower = -1;
	s->page = page_size();
	s->buf = malloc(PAGES * s->page);
	s->fd = ps_create(PAGES * s->page);
	if (!s->buf || s->fd < 0)
		return -ENOMEM;
	fill(s->buf, PAGES * s->page, 1);
	if (pwrite(s->fd, s->buf, PAGES * s->page, 0) != (ssize_t)(PAGES * s->page))
		return -EIO;
	fill(s->buf, PAGES * s->page, 2);
	return ps_fallocate(s->fd, PUNCH, s->page, s->page);
}

static void pipe_end(struct scene *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->pipe[i] >= 0)
			close(s->pipe[i]);
		s->pipe[i] = -1;
	}
}

static void scene_end(struct scene *s)
{
	if (s->pinned)
		uring_close(&s->ring);
	if (s->map)
		munmap(s->map, PAGES * s->page);
	pipe_end(s);
	if (s->new_fd >= 0)
		close(s->new_fd);
	if (s->lower >= 0)
		close(s->lower);
	close(s->fd);
	free(s->buf);
}

/*
 * What a failed call must not change. A hole may have become a page of zeroes, as in any
 * file.
 */
struct fingerprint {
	struct state state;
	uint64_t sum;
	int protections;	/* of pages of the mapping */
};

static struct fingerprint fingerprint(const struct scene *s, int content)
{
	struct fingerprint f = { .state = get_state(s->fd) };

	f.sum = f.state.size > 0 ? checksum(content, f.state.size) : 0;
	if (s->map)
		f.protections = ps_protections(s->fd, s->map, PAGES * s->page, NULL, 0);
	return f;
}

static bool same_fingerprint(const struct scene *s, const struct fingerprint *before)
{
	struct fingerprint now = fingerprint(s, s->fd);

	return same_state(s->fd, &before->state) && now.sum == before->sum &&
	       now.protections == before->protections;
}

static int make_map(struct scene *s)
{
	s->map = ps_map(s->fd, PAGES * s->page, RW, MAP_SHARED);
	if (s->map != MAP_FAILED)
		return 0;
	s->map = NULL;
	return -errno;
}

/* A mapping of which two pages have protections of their own. */
static int make_protected(struct scene *s)
{
	return make_map(s) ?:
	       ps_protect(s->fd, s->map + s->page, s->page, PROT_READ) ?:
	       ps_protect(s->fd, s->map + 3 * s->page, s->page, PROT_NONE);
}

/* The same; it had a copy, which the kernel cannot know to be gone. */
static int make_shared_protected(struct scene *s)
{
	int ret = make_protected(s);
	pid_t pid;

	if (ret)
		return ret;
	pid = fork();
	if (!pid)
		_exit(0);
	return pid < 0 ? -errno : ps_wait(pid);
}

/* A mapping with protections that shows other pages at two places, one of them the hole. */
static int make_remapped(struct scene *s)
{
	return make_protected(s) ?:
	       ps_remap(s->fd, s->map + 2 * s->page, s->page, 0, RW) ?:
	       ps_remap(s->fd, s->map + 3 * s->page, s->page, 1, RW);
}

static int make_pipe(struct scene *s)
{
	return sys(pipe2(s->pipe, O_CLOEXEC));
}

/*
 * Data for the hole, at the file position: an offset passed by address is copied back at the
 * end, where a fault comes too late.
 */
static int fill_pipe(struct scene *s)
{
	int ret = make_pipe(s);

	if (ret)
		return ret;
	if (lseek(s->fd, s->page, SEEK_SET) < 0 || write(s->pipe[1], s->buf, 100) != 100)
		return -EIO;
	return 0;
}

static int pin(struct scene *s)
{
	int ret = make_map(s);

	if (ret)
		return ret;
	ret = uring_open(&s->ring, 4, 0);
	if (ret)
		return ret;
	s->pinned = true;
	ret = uring_register_buffer(&s->ring, s->map, s->page);
	munmap(s->map, PAGES * s->page);
	s->map = NULL;
	return ret;
}

/* The calls: 0 when nothing fails, or -errno. */

static int call_open(struct scene *s)
{
	s->new_fd = ps_open(O_RDWR);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int call_first_use(struct scene *s)
{
	int ret = call_open(s);

	if (!ret)
		ret = ps_resize(s->new_fd, s->page);
	if (ret && s->new_fd >= 0) {
		/* The object is usable even so. */
		if (ps_size(s->new_fd) > 0)
			ret = -EUCLEAN;
		close(s->new_fd);
		s->new_fd = -1;
	}
	return ret;
}

static int call_info(struct scene *s)
{
	struct pinseal_info info;

	return ps_info(s->fd, &info);
}

static int call_grow(struct scene *s)
{
	return ps_resize(s->fd, 2 * PAGES * s->page);
}

static int call_shrink(struct scene *s)
{
	return ps_resize(s->fd, 2 * s->page + 1);
}

static int call_allocate(struct scene *s)
{
	return ps_fallocate(s->fd, 0, 0, PAGES * s->page);
}

static int call_punch(struct scene *s)
{
	return ps_fallocate(s->fd, PUNCH, 2 * s->page + 1, s->page);
}

static int call_seal(struct scene *s)
{
	return ps_add_seals(s->fd, F_SEAL_WRITE | F_SEAL_SHRINK);
}

static int call_seal_size(struct scene *s)
{
	return ps_add_seals(s->fd, F_SEAL_GROW);
}

/* Long enough to drain the LRU batches of all CPUs. */
static int call_seal_pinned(struct scene *s)
{
	struct pinseal_seal arg = { .seals = F_SEAL_WRITE, .timeout_ns = 2 * NSEC_PER_MSEC };
	int ret = ps_seal(s->fd, &arg);

	if (ret != -EBUSY)
		return ret ?: -EUCLEAN;
	if (arg.outcome != PINSEAL_OUTCOME_PINNED || arg.pinned_pages != 1 || arg.first_pinned)
		return -EUCLEAN;
	return 0;
}

static int async_seal(struct scene *s, uint32_t flags, unsigned int outcome)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	int ret;

	arg.flags |= flags;
	arg.outcome = UINT32_MAX;
	ret = ps_seal(s->fd, &arg);
	/* When the report cannot be written the seal has begun even so. */
	return ret ?: arg.outcome == outcome || arg.outcome == UINT32_MAX ? 0 : -EUCLEAN;
}

static int call_begin(struct scene *s)
{
	return async_seal(s, 0, PINSEAL_OUTCOME_PENDING);
}

/* The first page is held, so the seal is pending. */
static int begin(struct scene *s)
{
	return pin(s) ?: call_begin(s);
}

static int call_query(struct scene *s)
{
	return call_begin(s);
}

static int call_cancel(struct scene *s)
{
	return async_seal(s, PINSEAL_SEAL_CANCEL, PINSEAL_OUTCOME_CANCELLED);
}

static int call_poll(struct scene *s)
{
	int ret = ready_within(s->fd, ALWAYS_READY | POLLPRI, 0);

	if (ret < 0)
		return ret;
	if (ret & POLLERR)
		return -ENOMEM;
	return ret == ALWAYS_READY ? 0 : -EUCLEAN;
}

static int call_pin(struct scene *s)
{
	s->new_fd = ps_pin(s->fd, 0, PAGES, 0);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int call_pin_wait(struct scene *s)
{
	s->new_fd = ps_pin(s->fd, 0, PAGES, PINSEAL_PIN_WAIT);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int call_mirror(struct scene *s)
{
	s->new_fd = ps_mirror(s->fd, 0, PAGES, 0, s->map);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int make_mirror(struct scene *s)
{
	return make_map(s) ?: call_mirror(s);
}

static int call_read_mirror(struct scene *s)
{
	ssize_t n = sys(pread(s->new_fd, s->buf, PAGES * s->page, 0));

	/* A short read: a page could not be had. */
	return n < 0 ? n : n == (ssize_t)(PAGES * s->page) ? 0 : -ENOMEM;
}

static int make_pin(struct scene *s)
{
	return call_pin(s);
}

static int call_read_pin(struct scene *s)
{
	ssize_t n = sys(pread(s->new_fd, s->buf, PAGES * s->page, 0));

	/* A short read: a copy failed. */
	return n < 0 ? n : n == PAGES * (ssize_t)s->page ? 0 : -EFAULT;
}

static int call_isolate(struct scene *s)
{
	struct pinseal_seal arg = {
		.seals = F_SEAL_WRITE,
		.flags = PINSEAL_SEAL_ISOLATE | PINSEAL_SEAL_NOWAIT,
	};
	int ret = ps_seal(s->fd, &arg);

	if (ret == -ENOMEM && arg.outcome != PINSEAL_OUTCOME_NO_MEMORY)
		return -EUCLEAN;
	return ret;
}

static int call_reopen(struct scene *s)
{
	s->new_fd = ps_reopen(s->fd, O_RDWR);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int call_export(struct scene *s)
{
	s->new_fd = ps_export(s->fd, 0);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int call_create(struct scene *s)
{
	struct pinseal_create arg = { .name = "created" };

	s->new_fd = ps_ioctl(s->fd, PINSEAL_IOC_CREATE, &arg);
	return s->new_fd < 0 ? s->new_fd : 0;
}

/* A created memfd in place of the pipe. */
static int make_created(struct scene *s)
{
	s->pipe[0] = obj_create(CREATED, s->page);
	return s->pipe[0] < 0 ? s->pipe[0] : 0;
}

static int call_reopen_created(struct scene *s)
{
	s->new_fd = ps_reopen(s->pipe[0], O_RDWR);
	return s->new_fd < 0 ? s->new_fd : 0;
}

static int call_map_created(struct scene *s)
{
	return ps_try_map(s->pipe[0], s->page, PROT_READ | PROT_WRITE, MAP_SHARED);
}

/* A memfd in place of the pipe, and a new object. */
static int make_import(struct scene *s)
{
	s->pipe[0] = memfd_open();
	return s->pipe[0] < 0 ? s->pipe[0] : call_open(s);
}

static int call_import(struct scene *s)
{
	return ps_import(s->new_fd, s->pipe[0]);
}

static int call_get_seals(struct scene *s)
{
	return ps_get_seals(s->fd);
}

static int call_pins(struct scene *s)
{
	struct pinseal_page vec[PAGES];
	struct pinseal_pins arg;
	int ret = ps_pins(s->fd, 0, vec, PAGES, &arg);

	if (ret)
		return ret;
	/* Other pages may be in an LRU batch. */
	return arg.dma_pinned_pages == 1 && !vec[0].index && vec[0].dma_pins ? 0 : -EUCLEAN;
}

static int call_set_name(struct scene *s)
{
	return ps_set_name(s->new_fd, "a name");
}

static int call_read(struct scene *s)
{
	long ret = sys(pread(s->fd, s->buf, s->page, 2 * s->page));

	return ret == (long)s->page ? 0 : ret < 0 ? ret : -EUCLEAN;
}

/* Into the hole. */
static int call_write(struct scene *s)
{
	long ret = sys(pwrite(s->fd, s->buf, s->page, s->page));

	return ret == (long)s->page ? 0 : ret < 0 ? ret : -EUCLEAN;
}

static int call_seek(struct scene *s)
{
	long ret = sys(lseek(s->fd, 0, SEEK_HOLE));

	lseek(s->fd, 0, SEEK_SET);
	return ret == (long)s->page ? 0 : ret < 0 ? ret : -EUCLEAN;
}

static int call_map(struct scene *s)
{
	return make_map(s);
}

static int call_map_private(struct scene *s)
{
	s->map = ps_map(s->fd, PAGES * s->page, RW, MAP_PRIVATE);
	if (s->map != MAP_FAILED)
		return 0;
	s->map = NULL;
	return -errno;
}

/* Splits the VMA in three. */
static int call_protect(struct scene *s)
{
	return sys(mprotect(s->map + s->page, s->page, PROT_READ));
}

/* Outside of pages with protections, whose loss a failed mprotect() may cause. */
static int call_protect_other(struct scene *s)
{
	return sys(mprotect(s->map + 2 * s->page, s->page, PROT_READ));
}

static int call_protect_pages(struct scene *s)
{
	const struct pinseal_protect_range ranges[] = {
		a_range(s->map, s->page, PROT_READ),
		a_range(s->map + s->page, 2 * s->page, PROT_NONE),
	};

	return ps_protect_ranges(s->fd, ranges, 2);
}

static int call_unprotect(struct scene *s)
{
	return ps_protect(s->fd, s->map, PAGES * s->page, RW);
}

static int call_protections(struct scene *s)
{
	struct pinseal_protect_range ranges[PAGES];
	int ret = ps_protections(s->fd, s->map, PAGES * s->page, ranges, PAGES);

	return ret < 0 ? ret : ret == 2 ? 0 : -EUCLEAN;
}

static int call_remap(struct scene *s)
{
	return ps_remap(s->fd, s->map, 2 * s->page, 2, RW);
}

static int call_protect_and_remap(struct scene *s)
{
	const struct pinseal_protect_range ranges[] = {
		{ (uintptr_t)s->map, s->page, 3, RW, PINSEAL_PROTECT_REMAP },
		a_range(s->map + s->page, s->page, PROT_NONE),
		{ (uintptr_t)(s->map + 2 * s->page), s->page, 0, PROT_READ, PINSEAL_PROTECT_REMAP },
	};

	return ps_protect_ranges(s->fd, ranges, 3);
}

/* All pages, which are shown at their places again. */
static int call_remap_back(struct scene *s)
{
	return ps_remap(s->fd, s->map, PAGES * s->page, 0, RW);
}

static int call_unmap_part(struct scene *s)
{
	return sys(munmap(s->map + s->page, s->page));
}

static int call_move(struct scene *s)
{
	size_t len = PAGES * s->page;
	/* A free address range. */
	void *to = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED)
		return -errno;
	if (mremap(s->map, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) {
		int ret = -errno;

		munmap(to, len);
		return ret;
	}
	s->map = to;
	return 0;
}

static int call_fork(struct scene *s)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(s->map[0] ? 0 : 1);
	return ps_wait(pid) ? -EUCLEAN : 0;
}

/* A fault without memory is retried, unseen. */
static int call_touch(struct scene *s)
{
	return s->map[2 * s->page] ? 0 : -EUCLEAN;
}

static int call_store(struct scene *s)
{
	return ps_touch(s->map + s->page, true) ? -EUCLEAN : 0;
}

/* By a place that shows the hole. */
static int call_store_elsewhere(struct scene *s)
{
	return ps_touch(s->map + 3 * s->page, true) ? -EUCLEAN : 0;
}

static int call_splice_out(struct scene *s)
{
	loff_t at = 0;
	long ret = sys(splice(s->fd, &at, s->pipe[1], NULL, 100, 0));

	return ret == 100 ? 0 : ret < 0 ? ret : -EUCLEAN;
}

static int call_splice_in(struct scene *s)
{
	long ret = sys(splice(s->pipe[0], NULL, s->fd, NULL, 100, 0));

	return ret == 100 ? 0 : ret < 0 ? ret : -EUCLEAN;
}

static int call_fdinfo(struct scene *s)
{
	char path[64], text[512];
	long ret;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = sys(read(fd, text, sizeof(text) - 1));
	close(fd);
	return ret > 0 ? 0 : ret < 0 ? ret : -EUCLEAN;
}

/* Stacks a new object on a copy of the object. */
static int make_lower(struct scene *s)
{
	char page[65536];

	s->lower = memfd_create("lower", MFD_CLOEXEC);
	if (s->lower < 0 || ftruncate(s->lower, PAGES * s->page))
		return -ENOMEM;
	for (int i = 0; i < PAGES; i++)
		if (i != 1 && (pread(s->fd, page, s->page, i * s->page) != (ssize_t)s->page ||
			       pwrite(s->lower, page, s->page, i * s->page) != (ssize_t)s->page))
			return -EIO;
	close(s->fd);
	s->fd = ps_open(O_RDWR);
	return s->fd < 0 ? s->fd : 0;
}

static int call_attach(struct scene *s)
{
	return ps_attach(s->fd, s->lower, 0);
}

static int make_stacked(struct scene *s)
{
	return make_lower(s) ?: call_attach(s);
}

static int make_stacked_map(struct scene *s)
{
	return make_stacked(s) ?: make_map(s);
}

/* Dirty pages, and a removed one. */
static int make_dirty(struct scene *s)
{
	if (make_stacked_map(s) || ps_fallocate(s->fd, PUNCH, 2 * s->page, s->page))
		return -EIO;
	s->map[0] = 's';
	s->map[3 * s->page] = 's';
	close(s->lower);
	s->lower = -1;
	return 0;
}

static int call_sync(struct scene *s)
{
	return sys(fsync(s->fd));
}

FIXTURE(faults) {
	long shmem;
};

FIXTURE_VARIANT(faults) {
	int (*before)(struct scene *s);
	int (*call)(struct scene *s);
};

#define CALL(name, ...) \
	FIXTURE_VARIANT_ADD(faults, name) { .call = call_##name, __VA_ARGS__ }

CALL(open);
CALL(first_use);
CALL(info);
CALL(grow);
CALL(shrink);
CALL(allocate);
CALL(punch);
CALL(seal);
CALL(seal_size);
CALL(seal_pinned, .before = pin);
CALL(isolate, .before = pin);
CALL(pin);
CALL(pin_wait);
CALL(read_pin, .before = make_pin);
CALL(mirror, .before = make_map);
CALL(read_mirror, .before = make_mirror);
CALL(begin, .before = pin);
CALL(query, .before = begin);
CALL(cancel, .before = begin);
CALL(poll);
CALL(reopen);
CALL(export);
CALL(create);
CALL(reopen_created, .before = make_created);
CALL(map_created, .before = make_created);
CALL(import, .before = make_import);
CALL(get_seals);
CALL(pins, .before = pin);
CALL(set_name, .before = call_open);
CALL(read);
CALL(write);
CALL(seek);
CALL(map);
CALL(map_private);
CALL(protect, .before = make_map);
CALL(protect_other, .before = make_protected);
CALL(protect_pages, .before = make_map);
CALL(unprotect, .before = make_protected);
CALL(protections, .before = make_protected);
CALL(unmap_part, .before = make_map);
CALL(move, .before = make_map);
CALL(fork, .before = make_map);
CALL(touch, .before = make_map);
CALL(store, .before = make_map);
#define CALL_WITH(name, made) \
	FIXTURE_VARIANT_ADD(faults, name##_with_##made) {			\
		.call = call_##name,						\
		.before = make_##made,						\
	}

CALL_WITH(protect_other, shared_protected);
CALL_WITH(protect_pages, protected);
CALL_WITH(protect_pages, shared_protected);
CALL_WITH(unprotect, shared_protected);
CALL_WITH(unmap_part, protected);
CALL_WITH(move, protected);
CALL_WITH(fork, protected);
CALL_WITH(touch, protected);
CALL(remap, .before = make_map);
CALL_WITH(remap, remapped);
CALL(protect_and_remap, .before = make_map);
CALL_WITH(protect_and_remap, protected);
CALL_WITH(protect_and_remap, remapped);
CALL_WITH(remap_back, remapped);
CALL_WITH(touch, remapped);
CALL_WITH(store_elsewhere, remapped);
CALL_WITH(fork, remapped);
CALL_WITH(unmap_part, remapped);
CALL_WITH(move, remapped);
CALL_WITH(protect_other, remapped);
CALL(splice_out, .before = make_pipe);
CALL(splice_in, .before = fill_pipe);
CALL(fdinfo);

CALL(attach, .before = make_lower);
CALL_WITH(read, stacked);
CALL_WITH(write, stacked);
CALL_WITH(grow, stacked);
CALL_WITH(shrink, stacked);
CALL_WITH(punch, stacked);
CALL_WITH(allocate, stacked);
CALL_WITH(seal, stacked);
CALL_WITH(pin, stacked);
CALL_WITH(touch, stacked_map);
CALL_WITH(store, stacked_map);
CALL(sync, .before = make_dirty);

static volatile unsigned int armed;

/* No call may raise a signal: reports its origin, the kernel (SI_KERNEL) or an access. */
static void tell_fault(int sig, siginfo_t *info, void *context)
{
	printf("# fault %u: signal %d, code %d, address %p\n", armed, sig, info->si_code,
	       info->si_addr);
	fflush(stdout);
	signal(sig, SIG_DFL);
	raise(sig);
}

FIXTURE_SETUP(faults)
{
	struct sigaction sa = { .sa_sigaction = tell_fault, .sa_flags = SA_SIGINFO };

	run_on_cpu(0);
	sigaction(SIGSEGV, &sa, NULL);
	ASSERT_EQ(0, faults_begin());
	self->shmem = shmem_pages();
}

FIXTURE_TEARDOWN(faults)
{
}

/* An errno that a failed allocation or user copy may cause. */
static bool is_fitting(int ret)
{
	return ret == -ENOMEM || ret == -EFAULT || ret == -EAGAIN || ret == -ENFILE;
}

TEST_F(faults, walk)
{
	unsigned int nth, failed = 0, endured = 0;
	bool hit = true;

	for (nth = 1; hit && nth < MOST_FAULTS; nth++) {
		struct fingerprint before;
		struct scene s;
		int ret;

		ASSERT_EQ(0, scene_begin(&s));
		if (variant->before)
			ASSERT_EQ(0, variant->before(&s));
		/* A stacked object is to be filled by the call. */
		before = fingerprint(&s, s.lower < 0 ? s.fd : s.lower);

		armed = nth;
		fault_arm(nth);
		ret = variant->call(&s);
		hit = fault_disarm();

		if (!hit || !ret) {
			ASSERT_EQ(0, ret) TH_LOG("fault %u, hit %d: %s", nth, hit, strerror(-ret));
			endured += hit;
		} else {
			failed++;
			ASSERT_TRUE(is_fitting(ret)) TH_LOG("fault %u: %s", nth, strerror(-ret));
			ASSERT_TRUE(same_fingerprint(&s, &before)) TH_LOG("fault %u", nth);
			ret = variant->call(&s);
			ASSERT_EQ(0, ret) TH_LOG("after fault %u: %s", nth, strerror(-ret));
		}
		scene_end(&s);
	}
	TH_LOG("%u faults: %u made the call fail, %u did not", nth - 2, failed, endured);
	ASSERT_GT(MOST_FAULTS, nth);
	EXPECT_GE(self->shmem + SHMEM_NOISE, shmem_pages());
}

/* Accounting of a mapping that failed is undone: the object can be sealed. */
TEST_F(faults, seal_after_all)
{
	bool hit = true;

	for (unsigned int nth = 1; hit && nth < MOST_FAULTS; nth++) {
		struct scene s;
		int ret;

		ASSERT_EQ(0, scene_begin(&s));
		if (variant->before)
			ASSERT_EQ(0, variant->before(&s));
		armed = nth;
		fault_arm(nth);
		variant->call(&s);
		hit = fault_disarm();

		/* What is left of the call. */
		if (s.map)
			munmap(s.map, PAGES * s.page);
		s.map = NULL;
		if (s.pinned)
			uring_close(&s.ring);
		s.pinned = false;
		pipe_end(&s);
		if (s.new_fd >= 0)
			close(s.new_fd);
		s.new_fd = -1;
		ret = ps_add_seals(s.fd, F_SEAL_WRITE);
		ASSERT_EQ(0, ret) TH_LOG("after fault %u: %s", nth, strerror(-ret));
		scene_end(&s);
	}
}

/*
 * Disables rseq in the C library. The kernel writes to that area on return to user space. If
 * this needs a page, after fork() for instance, and the allocation fails, the task gets
 * SIGSEGV.
 */
static void without_rseq(char **argv)
{
	if (getenv("GLIBC_TUNABLES"))
		return;
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	execv("/proc/self/exe", argv);
	abort();
}

int main(int argc, char **argv)
{
	int ret;

	without_rseq(argv);
	ret = faults_init();
	if (ret) {
		printf("TAP version 13\n1..0 # SKIP this kernel cannot make calls fail: %s\n",
		       strerror(-ret));
		return KSFT_SKIP;
	}
	return test_harness_run(argc, argv);
}
