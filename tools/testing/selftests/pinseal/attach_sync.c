// SPDX-License-Identifier: GPL-2.0-only
/*
 * Syncs of objects that are stacked on a file: what was stored before is in the lower file afterwards,
 * whatever goes on beside it, and others' changes of that file are left alone.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "cpu.h"
#include "holders.h"
#include "racer.h"
#include "random.h"
#include "stacked_fixture.h"
#include "zram_swap.h"

/*
 * Threads store while others sync: what was stored before the last sync is in the lower file. A
 * page that is written while a store is about to be noted is the window.
 */
struct storer {
	char *p;
	int fd;
	size_t page;
	bool by_write, quit;
	unsigned long n;
};

static void *failed_call(const char *what)
{
	printf("# %s: %s\n", what, strerror(errno));
	fflush(stdout);
	return (void *)1;
}

static void *store_on(void *data)
{
	struct storer *s = data;

	for (; !__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE); s->n++) {
		size_t at = s->n % N * s->page + 8 * s->by_write;

		if (!s->by_write)
			*(volatile unsigned long *)(s->p + at) = s->n;
		else if (pwrite(s->fd, &s->n, sizeof(s->n), at) != sizeof(s->n))
			return failed_call("pwrite()");
	}
	return NULL;
}

static void *sync_on(void *data)
{
	struct storer *s = data;

	for (; !__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE); s->n++)
		if (s->by_write ? msync(s->p, N * s->page, MS_SYNC) : fsync(s->fd))
			return failed_call("a sync");
	return NULL;
}

/* A pin is being made while another thread syncs: its note must not be dropped before it is there. */
TEST_F(stacked, no_store_by_a_pin_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct storer s = { self->p, self->fd, self->page };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on, &s));
	for (unsigned char i = 1; now_ns() < until; i = i % 250 + 1) {
		int pin = ps_pin(self->fd, 5, 1, 0);

		ASSERT_LE(0, pin);
		ASSERT_EQ(1, sys(pwrite(pin, &i, 1, 0)));
		close(pin);
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ((char)i, byte_of(self->lower, 5 * self->page));
	}
	__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

TEST_F(stacked, no_store_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct storer s[4];
	pthread_t threads[4];
	unsigned long rounds = 0;

	ASSERT_EQ(0, ps_resize(self->fd, N * self->page));
	while (rounds++ < 3 || now_ns() < until) {
		for (int i = 0; i < 4; i++) {
			s[i] = (struct storer){ self->p, self->fd, self->page, i % 2 };
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, i < 2 ? store_on : sync_on,
						    &s[i]));
		}
		sleep_ns(20 * NSEC_PER_MSEC);
		for (int i = 0; i < 4; i++) {
			void *failed;

			/* The storers first. */
			__atomic_store_n(&s[i].quit, true, __ATOMIC_RELEASE);
			pthread_join(threads[i], &failed);
			ASSERT_EQ(NULL, failed);
		}
		ASSERT_EQ(0, sys(fsync(self->fd)));
		for (int i = 0; i < N; i++) {
			unsigned long above[2], below[2];

			memcpy(above, self->p + i * self->page, sizeof(above));
			ASSERT_EQ(sizeof(below), pread(self->lower, below, sizeof(below),
						       i * self->page));
			ASSERT_EQ(above[0], below[0]) TH_LOG("page %d", i);
			ASSERT_EQ(above[1], below[1]) TH_LOG("page %d", i);
		}
	}
}

/* Appends by several ways, each a number that follows the last one, until @quit. */
static void *append_on(void *data)
{
	struct storer *s = data;

	for (; !__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE); s->n++) {
		off_t end = s->n * sizeof(s->n);

		/* The size grows with the write, or before the store. */
		if (s->by_write ? pwrite(s->fd, &s->n, sizeof(s->n), end) != sizeof(s->n) :
				  ps_resize(s->fd, end + sizeof(s->n)) || ((unsigned long *)s->p)[s->n] != 0)
			return (void *)1;
		if (!s->by_write)
			((volatile unsigned long *)s->p)[s->n] = s->n;
		if (s->n == 16 * N * s->page / sizeof(s->n) - 1) {
			if (ps_resize(s->fd, 0))
				return (void *)1;
			s->n = -1UL;
		}
	}
	return NULL;
}

TEST_F(stacked, no_append_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1500, 8000) * NSEC_PER_MSEC;
	unsigned long rounds = 0;
	char *p = ps_map(self->fd, 16 * N * self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	while (rounds++ < 4 || now_ns() < until) {
		struct storer s = { p, self->fd, self->page, rounds % 2 };
		struct storer syncer = { self->p, self->fd, self->page };
		pthread_t appends, syncs;
		void *failed;

		ASSERT_EQ(0, ps_resize(self->fd, 0));
		ASSERT_EQ(0, pthread_create(&appends, NULL, append_on, &s));
		ASSERT_EQ(0, pthread_create(&syncs, NULL, sync_on, &syncer));
		sleep_ns(20 * NSEC_PER_MSEC);
		__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
		pthread_join(appends, &failed);
		ASSERT_EQ(NULL, failed);
		__atomic_store_n(&syncer.quit, true, __ATOMIC_RELEASE);
		pthread_join(syncs, &failed);
		ASSERT_EQ(NULL, failed);
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ(-1, differs_from_lower(self->fd, self->lower));
	}
	munmap(p, 16 * N * self->page);
}

/* Punches and truncates while others sync and store. */
static void *remove_on(void *data)
{
	struct storer *s = data;

	for (; !__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE); s->n++) {
		size_t at = s->n * 7 % N * s->page;

		if (s->n % 5 ? ps_fallocate(s->fd, PUNCH, at + s->n % 3 * 100, 2 * s->page + s->n % 50) :
			       ps_resize(s->fd, at) || ps_resize(s->fd, N * s->page))
			return failed_call("a removal");
	}
	return NULL;
}

TEST_F(stacked, no_removal_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1500, 8000) * NSEC_PER_MSEC;
	unsigned long rounds = 0;

	while (rounds++ < 3 || now_ns() < until) {
		struct storer s[3] = {
			{ self->p, self->fd, self->page, true },
			{ self->p, self->fd, self->page },
			{ self->p, self->fd, self->page },
		};
		void *(*const call[])(void *) = { store_on, remove_on, sync_on };
		pthread_t threads[3];
		void *failed;

		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, call[i], &s[i]));
		sleep_ns(20 * NSEC_PER_MSEC);
		for (int i = 0; i < 3; i++) {
			__atomic_store_n(&s[i].quit, true, __ATOMIC_RELEASE);
			pthread_join(threads[i], &failed);
			ASSERT_EQ(NULL, failed);
		}
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ(-1, differs_from_lower(self->fd, self->lower));
	}
}

/* A debugger has a reference, which is no pin, while it copies. */
TEST_F(stacked, no_store_by_a_debugger_is_lost)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	struct storer s = { self->p, self->fd, self->page };
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	pthread_t thread;

	ASSERT_LE(0, mem);
	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on, &s));
	for (unsigned char i = 1; now_ns() < until; i = i % 250 + 1) {
		ASSERT_EQ(1, sys(pwrite(mem, &i, 1, (off_t)(uintptr_t)self->p + 5 * self->page)));
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ((char)i, byte_of(self->lower, 5 * self->page));
	}
	__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	close(mem);
}

TEST_F(stacked, what_was_cut_off_is_zeros_below)
{
	ASSERT_EQ(0, ps_resize(self->fd, 3 * self->page + 7));
	ASSERT_EQ(0, ps_resize(self->fd, self->size));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	EXPECT_EQ(0, byte_of(self->lower, 3 * self->page + 8));
	EXPECT_EQ(0, byte_of(self->lower, 9 * self->page));
}

TEST_F(stacked, a_store_behind_the_end_comes_with_growth)
{
	self->p[self->size + 5] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, ps_resize(self->fd, self->size + 50));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	self->p[self->size + 60] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, self->size + 3 * self->page)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* What was not touched is in the lower file, and stays there. */
TEST_F(stacked, growth_leaves_pages_that_were_not_touched)
{
	size_t last = self->size - 1;

	ASSERT_EQ(0, ps_resize(self->fd, self->size + self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(lower_byte(last), byte_of(self->lower, last));
	ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, self->size + 700 * self->page)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(lower_byte(last), byte_of(self->lower, last));
	EXPECT_EQ('w', byte_of(self->lower, self->size + 700 * self->page));
	ASSERT_EQ(0, ps_fallocate(self->fd, 0, self->size + 5000 * self->page, self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(lower_byte(last), byte_of(self->lower, last));
	EXPECT_LOWER(0, self->size);
}

TEST_F(stacked, an_empty_append_changes_nothing)
{
	size_t at = 5 * self->page + 100;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_APPEND));
	EXPECT_EQ(0, sys(pwrite(self->fd, "", 0, at)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(lower_byte(at), byte_of(self->lower, at));
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(self->lower, 5 * self->page));
}

/* The object grows, and a sync of that ends with a part of it in the lower file. */
static void fail_sync(struct __test_metadata *_metadata, FIXTURE_DATA(stacked) *self)
{
	struct rlimit limit = { 100 * self->page, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, ps_resize(self->fd, 200 * self->page));
	for (int i = 0; i < 200; i++)
		ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, i * self->page)));
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ(-EFBIG, sys(fsync(self->fd)));
	limit.rlim_cur = RLIM_INFINITY;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
}

/* A sync that ends early has made the lower file longer. */
TEST_F(stacked, what_a_failed_sync_has_appended_is_cut_off)
{
	struct stat st;

	fail_sync(_metadata, self);
	ASSERT_EQ(0, ps_resize(self->fd, self->size));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(self->size, st.st_size);
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* And others have cut it off again: what was written is not there any more. */
TEST_F(stacked, what_others_cut_off_after_a_failed_sync_is_missed)
{
	fail_sync(_metadata, self);
	ASSERT_EQ(0, ftruncate(self->lower, self->size));
	EXPECT_EQ(-ESTALE, sys(fsync(self->fd)));
}

/* What others have appended is not the object's, which has zeros there. */
TEST_F(stacked, growth_replaces_what_others_append)
{
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(1, sys(pwrite(self->lower, "o", 1, self->size + (i + 1) * self->page)));
	ASSERT_EQ(0, ps_resize(self->fd, self->size + 5 * self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* Also where the page that they append to was never touched. */
TEST_F(stacked, growth_replaces_what_others_append_to_the_last_page)
{
	for (int touched = 0; touched < 2; touched++) {
		int fd = ps_open(O_RDWR);
		char *p;

		ASSERT_EQ(0, ftruncate(self->lower, 2 * self->page + 100));
		ASSERT_EQ(0, fill_lower(self->lower, 2 * self->page + 100));
		ASSERT_EQ(0, ps_attach(fd, self->lower, 0));
		ASSERT_EQ(1, sys(pwrite(self->lower, "o", 1, 2 * self->page + 150)));
		p = ps_map(fd, 5 * self->page, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		/* Beside a page that is written, and alone. */
		if (touched)
			p[self->page] = 's';
		ASSERT_EQ(0, ps_resize(fd, 5 * self->page));
		if (touched)
			p[3 * self->page] = 's';
		ASSERT_EQ(0, sys(fsync(fd)));
		EXPECT_EQ(0, byte_of(self->lower, 2 * self->page + 150));
		EXPECT_EQ(lower_byte(2 * self->page), byte_of(self->lower, 2 * self->page));
		EXPECT_EQ(-1, differs_from_lower(fd, self->lower));
		munmap(p, 5 * self->page);
		close(fd);
	}
}

/* What cannot be written does not keep its neighbours from being written. */
TEST_F(stacked, a_poisoned_page)
{
	for (int i = 3; i < 9; i++)
		self->p[i * self->page] = 's';
	if (!poison_page(self->p + 5 * self->page))
		SKIP(return, "no MADV_HWPOISON");
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
	for (int i = 3; i < 9; i++) {
		size_t at = i * self->page;

		EXPECT_EQ(i == 5 ? lower_byte(at) : 's', byte_of(self->lower, at));
	}
	EXPECT_EQ(-EIO, sys(fsync(self->fd)));
}

/* Cut and grown while a sync goes on: what was behind the end does not come back below. */
TEST_F(stacked, cuts_beside_a_sync)
{
	uint64_t until = now_ns() + test_rounds(1500, 8000) * NSEC_PER_MSEC;
	char *pages = malloc(N * self->page);

	memset(pages, 'w', N * self->page);
	while (now_ns() < until) {
		struct storer s = { self->p, self->fd, self->page };
		pthread_t thread;
		void *failed;

		ASSERT_EQ(N * self->page, sys(pwrite(self->fd, pages, N * self->page, 0)));
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on, &s));
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, ps_resize(self->fd, self->page));
			ASSERT_EQ(0, ps_resize(self->fd, N * self->page));
		}
		__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
		pthread_join(thread, &failed);
		ASSERT_EQ(NULL, failed);
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ(-1, differs_from_lower(self->fd, self->lower));
	}
	free(pages);
}

/* A write of the last pages, and what it has got. */
struct tail {
	int fd;
	char *bytes;
	size_t len, at;
	ssize_t ret;
};

static void write_tail(void *data)
{
	struct tail *t = data;

	t->ret = sys(pwrite(t->fd, t->bytes, t->len, t->at));
}

/*
 * A write() within the file fills pages first. If a truncation comes then, the write makes the file
 * longer, and does not know: what lies between is a hole, also below. A sync beside both may have found the
 * hole behind the end, which has it noted again.
 */
static void cut_beside_a_write(struct __test_metadata *_metadata, FIXTURE_DATA(stacked) *self, bool syncs)
{
	uint64_t until = now_ns() + test_rounds(1500, 8000) * NSEC_PER_MSEC;
	struct tail t = { .len = 2 * self->page, .at = (N - 2) * self->page };
	struct random delay = { 1 };
	unsigned int round = 0;
	struct racer racer;

	t.bytes = malloc(t.len);
	memset(t.bytes, 't', t.len);
	ASSERT_EQ(0, racer_start(&racer, write_tail, &t));
	while (now_ns() < until) {
		struct storer s = { .page = self->page };
		pthread_t thread;
		void *failed;

		ASSERT_EQ(0, fill_lower(self->lower, N * self->page));
		s.fd = t.fd = ps_open(O_RDWR);
		ASSERT_EQ(0, ps_attach(t.fd, self->lower, 0));
		s.p = ps_map(t.fd, N * self->page, RW, MAP_SHARED);
		if (syncs) {
			/* There is something to write before the hole. */
			ASSERT_EQ(1, sys(pwrite(t.fd, "s", 1, 0)));
			ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on, &s));
		}
		racer_go(&racer);
		for (uint64_t spin = now_ns() + random_below(&delay, 300000); now_ns() < spin;)
			;
		/* At the end of a page, and within one. */
		ASSERT_EQ(0, ps_resize(t.fd, self->page + round++ % 2 * 100));
		racer_wait(&racer);
		ASSERT_EQ((ssize_t)t.len, t.ret);
		if (syncs) {
			__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
			pthread_join(thread, &failed);
			ASSERT_EQ(NULL, failed);
		}
		ASSERT_EQ(0, sys(fsync(t.fd)));
		ASSERT_EQ(-1, differs_from_lower(t.fd, self->lower));
		munmap(s.p, N * self->page);
		close(t.fd);
	}
	racer_stop(&racer);
	free(t.bytes);
}

TEST_F(stacked, a_cut_beside_a_write)
{
	cut_beside_a_write(_metadata, self, false);
}

TEST_F(stacked, a_cut_beside_a_write_and_a_sync)
{
	cut_beside_a_write(_metadata, self, true);
}

static void read_page(void *data)
{
	struct tail *t = data;

	t->ret = sys(pread(t->fd, t->bytes, t->len, t->at));
}

/* A reader that fills a page beside a punch: what is removed does not come back from below. */
TEST_F(stacked, a_hole_beside_a_reader)
{
	uint64_t until = now_ns() + test_rounds(1500, 8000) * NSEC_PER_MSEC;
	struct tail t = { .len = 8 * self->page, .at = 4 * self->page };
	struct random delay = { 2 };
	struct racer racer;

	t.bytes = malloc(t.len);
	ASSERT_EQ(0, racer_start(&racer, read_page, &t));
	while (now_ns() < until) {
		t.fd = ps_open(O_RDWR);
		ASSERT_EQ(0, ps_attach(t.fd, self->lower, PINSEAL_ATTACH_RDONLY));
		racer_go(&racer);
		for (uint64_t spin = now_ns() + random_below(&delay, 200000); now_ns() < spin;)
			;
		ASSERT_EQ(0, ps_fallocate(t.fd, PUNCH, t.at, t.len));
		racer_wait(&racer);
		ASSERT_EQ((ssize_t)t.len, t.ret);
		ASSERT_EQ((ssize_t)t.len, sys(pread(t.fd, t.bytes, t.len, t.at)));
		ASSERT_EQ(-1, not_zero(t.bytes, 0, t.len));
		close(t.fd);
	}
	racer_stop(&racer);
	free(t.bytes);
}

/* The object has an open file of its own. */
TEST_F(stacked, flags_of_the_callers_descriptor_do_not_matter)
{
	ASSERT_EQ(0, fcntl(self->lower, F_SETFL, O_APPEND));
	self->p[5 * self->page] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

TEST_F(stacked, what_others_append_stays)
{
	struct stat st;

	ASSERT_EQ(3, sys(pwrite(self->lower, "abc", 3, self->size)));
	self->p[self->size - 1] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(self->size + 3, st.st_size);
	EXPECT_EQ('s', byte_of(self->lower, self->size - 1));
	EXPECT_EQ('b', byte_of(self->lower, self->size + 1));
	/* The object's size changes: so does the file's. */
	ASSERT_EQ(0, ps_resize(self->fd, self->size + 1));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

TEST_F(stacked, a_lower_file_that_others_truncate_is_an_error)
{
	ASSERT_EQ(0, ftruncate(self->lower, 4 * self->page));
	EXPECT_EQ(-ESTALE, sys(fsync(self->fd)));
	self->p[2 * self->page] = 's';
	EXPECT_EQ(-ESTALE, sys(fsync(self->fd)));
	ASSERT_EQ(0, ftruncate(self->lower, self->size));
	EXPECT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('s', byte_of(self->lower, 2 * self->page));
}

TEST_F(stacked, it_works_without_permission_and_without_a_name)
{
	pid_t child;
	int status;

	ASSERT_EQ(0, fchmod(self->lower, 0400));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		if (ps_resize(self->fd, 2 * self->page) || fsync(self->fd))
			_exit(2);
		_exit(ps_resize(self->fd, 5 * self->page) || fsync(self->fd) ? 3 : 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

TEST_F(stacked, synchronous_writes_are_in_the_lower_file)
{
	struct iovec iov = { "w", 1 };

	ASSERT_EQ(1, sys(pwritev2(self->fd, &iov, 1, self->page, 0)));
	EXPECT_EQ(lower_byte(self->page), byte_of(self->lower, self->page));
	ASSERT_EQ(1, sys(pwritev2(self->fd, &iov, 1, 2 * self->page, RWF_DSYNC)));
	EXPECT_EQ(lower_byte(self->page), byte_of(self->lower, self->page));
	EXPECT_EQ('w', byte_of(self->lower, 2 * self->page));
	ASSERT_EQ(1, sys(pwritev2(self->fd, &iov, 1, self->size + 9, RWF_SYNC)));
	EXPECT_EQ('w', byte_of(self->lower, self->size + 9));
}

TEST_F(stacked, a_splice_to_a_synchronous_file_is_in_the_lower_file)
{
	int fd = ps_open(O_RDWR | O_DSYNC), pipes[2];
	loff_t at = self->page;

	ASSERT_EQ(0, ps_attach(fd, self->lower, 0));
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(3, write(pipes[1], "abc", 3));
	ASSERT_EQ(3, sys(splice(pipes[0], NULL, fd, &at, 3, 0)));
	EXPECT_EQ('b', byte_of(self->lower, self->page + 1));
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

TEST_F(stacked, a_close_syncs_if_it_is_to)
{
	int fd = ps_open(O_RDWR), again, lower = new_lower(&self->disk, "/tmp");
	char *p;

	ASSERT_LE(0, lower);
	ASSERT_EQ(0, fill_lower(lower, self->size));
	EXPECT_EQ(-EINVAL, ps_attach(fd, lower, PINSEAL_ATTACH_RDONLY | PINSEAL_ATTACH_SYNC_ON_CLOSE));
	ASSERT_EQ(0, ps_attach(fd, lower, PINSEAL_ATTACH_SYNC_ON_CLOSE));
	again = ps_reopen(fd, O_RDONLY);
	p = ps_map(fd, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	*p = 's';
	close(again);
	EXPECT_EQ(lower_byte(0), byte_of(lower, 0));
	EXPECT_EQ(0, sys(close(dup(fd))));
	EXPECT_EQ('s', byte_of(lower, 0));
	*p = 't';
	EXPECT_EQ(0, sys(close(fd)));
	EXPECT_EQ('t', byte_of(lower, 0));
	*p = 'u';
	munmap(p, self->page);
	EXPECT_EQ('u', byte_of(lower, 0));
	close(lower);
	/* Not without the flag. */
	self->p[self->page] = 's';
	munmap(self->p, N * self->page);
	close(self->fd);
	EXPECT_EQ(lower_byte(self->page), byte_of(self->lower, self->page));
	self->fd = ps_open(O_RDWR);
}

/* Holes cost what is there: below, too. */
TEST_F(stacked, a_large_hole_is_one)
{
	uint64_t size = 1ULL << 40, began;
	struct stat st;

	ASSERT_EQ(0, ps_resize(self->fd, size));
	ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, size - 1)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	began = now_ns();
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 0, size));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_GT(LATE_NS, now_ns() - began);
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(size, st.st_size);
	EXPECT_GE(4 * self->page / 512, st.st_blocks);
	EXPECT_EQ(0, byte_of(self->lower, size - 1));
}

TEST_F(stacked, many_pages_are_written)
{
	size_t size = 700 * self->page;
	char *p;

	ASSERT_EQ(0, ps_resize(self->fd, size));
	p = ps_map(self->fd, size, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	for (size_t at = 0; at < size; at += 8)
		if (at / self->page % 100 != 50)
			memcpy(p + at, &at, 8);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	munmap(p, size);
}

/* Sends pages to swap, as reclaim does: whether the first one is there. */
static bool page_out(char *p, size_t len)
{
	unsigned char resident = 1;

	/* It goes by the page table. */
	(void)*(volatile char *)p;
	madvise(p, len, MADV_PAGEOUT);
	return !mincore(p, page_size(), &resident) && !(resident & 1);
}

/*
 * The old trouble of file systems that are stacked on tmpfs: under memory pressure (pressure:attach_sync),
 * msync() returned an internal code, and pages were lost.
 */
TEST_F_TIMEOUT(stacked, many_syncs, 3600)
{
	/* A million, unless the kernel is slow; a disk is slower. */
	unsigned long rounds = variant->disk ? test_rounds(300, 10000) : test_rounds(1000, 1000000);
	unsigned long n, above = 0, below = 0;
	uint64_t began = now_ns(), until = began + test_rounds(240, 600) * NSEC_PER_SEC;
	/* Under pressure there is swap. */
	bool has_swap = ps_meminfo_kb("SwapTotal") > 0, is_own = !has_swap && zram_is_there();
	struct zram_swap swap;
	char *lower;

	if (is_own) {
		ASSERT_EQ(0, zram_swap_begin(&swap, 8 << 20));
	}
	ASSERT_EQ(0, ps_resize(self->fd, N * self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	lower = mmap(NULL, N * self->page, RW, MAP_SHARED, self->lower, 0);
	ASSERT_NE(MAP_FAILED, lower);
	for (n = 1; n <= rounds && (n % 1000 || now_ns() < until); n++) {
		size_t at = n * 7 % N * self->page;

		memcpy(self->p + at, &n, sizeof(n));
		/* The page to be written is in swap, and what it is written to. */
		if (n % 2)
			above += page_out(self->p + at, self->page);
		if (n % 3 == 0 && !variant->disk)
			below += page_out(lower + at, self->page);
		ASSERT_EQ(0, sys(msync(self->p + at, self->page, MS_SYNC))) TH_LOG("round %lu", n);
		if (n % 16 == 0)
			madvise(self->p, N * self->page, MADV_PAGEOUT);
	}
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
	if (n <= rounds)
		TH_LOG("%lu of %lu rounds, then the time was up", n, rounds);
	else
		TH_LOG("%lu rounds in %llu s", rounds,
		       (unsigned long long)((now_ns() - began) / NSEC_PER_SEC));
	TH_LOG("pages in swap: %lu above, %lu below", above, below);
	if (has_swap || is_own) {
		EXPECT_LT(0, above);
		EXPECT_TRUE(below || variant->disk);
	}
	munmap(lower, N * self->page);
	if (is_own)
		zram_swap_end(&swap);
}

/* Two objects over one file: each writes what changed in it. */
TEST_F(stacked, two_may_be_over_one_file)
{
	int fd = ps_open(O_RDWR);

	ASSERT_EQ(0, ps_attach(fd, self->lower, 0));
	self->p[2 * self->page] = 's';
	ASSERT_EQ(1, sys(pwrite(fd, "w", 1, 4 * self->page)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, sys(fsync(fd)));
	EXPECT_EQ('s', byte_of(self->lower, 2 * self->page));
	EXPECT_EQ('w', byte_of(self->lower, 4 * self->page));
	close(fd);
}

/* Blocks of a file, in pages. */
static long pages_below(int file)
{
	struct stat st;

	return fstat(file, &st) ? -errno : st.st_blocks * 512 / (long)page_size();
}

/* The lower file is sparse, so it has the pages that were ever written to it. */
TEST(a_sync_writes_the_pages_that_were_stored_to)
{
	const size_t size = 1UL << 30, page = page_size(), step = size / 4096;
	int lower = memfd_create("lower", MFD_CLOEXEC), fd = ps_open(O_RDWR);
	long before;
	int tries;
	char *p;

	ASSERT_LE(0, lower);
	ASSERT_EQ(0, ftruncate(lower, size));
	ASSERT_EQ(1, pwrite(lower, "x", 1, size - 1));
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	p = ps_map(fd, size, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	before = pages_below(lower);
	/* A sync drains the LRU batch of its CPU. */
	ASSERT_EQ(0, run_on_cpu(0));
	for (size_t at = 0; at < size; at += step)
		ASSERT_EQ(0, p[at]);
	EXPECT_EQ('x', p[size - 1]);
	ASSERT_EQ(0, sys(fsync(fd)));
	EXPECT_EQ(before, pages_below(lower));
	/* Some that were loaded from, and some that were not. */
	for (int i = 0; i < 10; i++)
		p[i * 400 * step + (i % 2 ? page : 0)] = 's';
	ASSERT_EQ(0, sys(fsync(fd)));
	EXPECT_EQ(before + 10, pages_below(lower));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ('s', byte_of(lower, i * 400 * step + (i % 2 ? page : 0)));
	ASSERT_EQ(0, sys(fsync(fd)));
	EXPECT_EQ(before + 10, pages_below(lower));
	/* Nor is one written again, once no other reference is left. */
	for (tries = 0; tries < 10 && pages_below(lower) > before; tries++) {
		for (int i = 0; i < 10; i++)
			ASSERT_EQ(0, fallocate(lower, PUNCH, i * 400 * step + (i % 2 ? page : 0), page));
		ASSERT_EQ(0, sys(fsync(fd)));
	}
	EXPECT_EQ(before, pages_below(lower));
	run_anywhere();
	munmap(p, size);
	close(fd);
	close(lower);
}

/* A page that is pinned for writing can be stored to after a sync, without a fault. */
static void store_by_a_holder(struct __test_metadata *_metadata, FIXTURE_DATA(stacked) *self,
			      enum hold_kind kind, char stored)
{
	size_t at = 5 * self->page;
	struct hold hold;

	self->p[at + 1] = 's';
	ASSERT_EQ(0, hold_begin(&hold, kind, self->fd, 5, 1));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, sys(fsync(self->fd)));
		EXPECT_EQ('s', byte_of(self->lower, at + 1));
		EXPECT_EQ(lower_byte(at), byte_of(self->lower, at));
	}
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(stored, self->p[at]);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(stored, byte_of(self->lower, at));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

TEST_F(stacked, a_store_by_a_direct_read_is_written)
{
	store_by_a_holder(_metadata, self, HOLD_DIRECT_READ, FUSE_SERVER_BYTE);
}

TEST_F(stacked, a_store_by_process_vm_writev_is_written)
{
	store_by_a_holder(_metadata, self, HOLD_VM_WRITEV, 0);
}

/* What changes while a sync goes on is for the next one. */
TEST_F(stacked, a_sync_ends_beside_storers_that_do_not)
{
	uint64_t until = now_ns() + test_rounds(1500, 8000) * NSEC_PER_MSEC, longest = 0;
	/* Of what is pinned, a sync does not know whether it changes. */
	int pin = ps_pin(self->fd, 5, 1, 0);
	struct storer s[2];
	pthread_t threads[2];
	unsigned int syncs;

	ASSERT_LE(0, pin);
	ASSERT_EQ(0, ps_resize(self->fd, N * self->page));
	for (int i = 0; i < 2; i++) {
		s[i] = (struct storer){ self->p, self->fd, self->page, i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, store_on, &s[i]));
	}
	for (syncs = 0; syncs < 10 || now_ns() < until; syncs++) {
		uint64_t began = now_ns(), took;

		ASSERT_EQ(1, sys(pwrite(pin, "p", 1, 100 + syncs % 100)));
		ASSERT_EQ(0, syncs % 2 ? sys(fsync(self->fd)) :
					 sys(msync(self->p, N * self->page, MS_SYNC)));
		took = now_ns() - began;
		ASSERT_GT(LATE_NS, took);
		longest = took > longest ? took : longest;
	}
	for (int i = 0; i < 2; i++) {
		void *failed;

		__atomic_store_n(&s[i].quit, true, __ATOMIC_RELEASE);
		pthread_join(threads[i], &failed);
		ASSERT_EQ(NULL, failed);
	}
	TH_LOG("%u syncs in %lu and %lu stores, the longest in %llu ms", syncs, s[0].n, s[1].n,
	       (unsigned long long)(longest / NSEC_PER_MSEC));
	close(pin);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* Pages that a sync is long for, on any machine. */
#define MANY	2048

/* Syncs that write all pages, or punch every second one below, are killed in the middle. */
static void kill_syncs(struct __test_metadata *_metadata, FIXTURE_DATA(stacked) *self, bool of_holes)
{
	size_t size = MANY * self->page, last = size - 2 * self->page;
	unsigned int round, early = 0;
	char *p;

	ASSERT_EQ(0, ps_resize(self->fd, size));
	p = ps_map(self->fd, size, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	for (round = 1; early < 3 && round < 100; round++) {
		char synced = of_holes ? 0 : round;
		pid_t child, ended = 0;
		int status;

		for (size_t at = 0; at < size; at += self->page)
			p[at] = round;
		if (of_holes) {
			ASSERT_EQ(0, sys(fsync(self->fd)));
			for (size_t at = 0; at < size; at += 2 * self->page)
				ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, at, self->page));
		}
		child = ps_fork();
		if (!child)
			_exit(!!fsync(self->fd));
		/* It begins with the first page. */
		while (byte_of(self->lower, 0) != synced && !(ended = waitpid(child, &status, WNOHANG)))
			;
		if (!ended) {
			kill(child, SIGKILL);
			ASSERT_EQ(child, waitpid(child, &status, 0));
		}
		/* It may have come to its end before. */
		EXPECT_TRUE(WIFSIGNALED(status) || !status);
		early += byte_of(self->lower, 0) == synced && byte_of(self->lower, last) != synced;
		ASSERT_EQ(0, sys(fsync(self->fd)));
		ASSERT_EQ(-1, differs_from_lower(self->fd, self->lower));
	}
	TH_LOG("%u syncs, %u ended in the middle", round - 1, early);
	EXPECT_EQ(3, early);
	munmap(p, size);
}

TEST_F(stacked, a_fatal_signal_ends_a_sync)
{
	kill_syncs(_metadata, self, false);
}

/* Writing to a file looks for signals by itself; punching holes does not. */
TEST_F(stacked, a_fatal_signal_ends_a_sync_of_holes)
{
	kill_syncs(_metadata, self, true);
}

TEST_HARNESS_MAIN
