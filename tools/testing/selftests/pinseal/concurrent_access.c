// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to an object while a seal waits: reads proceed, changes wait and can be interrupted,
 * new writable mappings are refused, and nothing else is delayed.
 */
#include <linux/falloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "holders.h"
#include "reader.h"
#include "sealer.h"

#include "harness.h"

#define PAGES		16
#define HELD		3	/* the page that is held */

static volatile int signals_seen;

static void count_signal(int sig)
{
	signals_seen++;
}

/* Changes, all of which wait for the end of the seal. */
enum change {
	CHANGE_WRITE,
	CHANGE_WRITEV,
	CHANGE_SPLICE,
	CHANGE_GROW,
	CHANGE_SHRINK,
	CHANGE_ALLOCATE,
	CHANGE_PUNCH,
};

static int do_change(enum change how, int fd)
{
	struct iovec iov = { "w", 1 };
	loff_t offset = 0;
	int fds[2], ret;

	switch (how) {
	case CHANGE_WRITE:
		return sys(pwrite(fd, "w", 1, 0));
	case CHANGE_WRITEV:
		return sys(pwritev(fd, &iov, 1, 0));
	case CHANGE_SPLICE:
		if (pipe2(fds, O_CLOEXEC) || write(fds[1], "w", 1) != 1)
			return -errno;
		ret = sys(splice(fds[0], NULL, fd, &offset, 1, 0));
		close(fds[0]);
		close(fds[1]);
		return ret;
	case CHANGE_GROW:
		return ps_resize(fd, (PAGES + 1) * page_size());
	case CHANGE_SHRINK:
		return ps_resize(fd, (PAGES - 1) * page_size());
	case CHANGE_ALLOCATE:
		return ps_fallocate(fd, 0, page_size(), page_size());
	case CHANGE_PUNCH:
		return ps_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    page_size(), page_size());
	}
	return -EINVAL;
}

struct changer {
	int fd, ret;
	enum change how;
	pid_t tid;
	bool done;
	pthread_t thread;
};

static void *changer_thread(void *data)
{
	struct changer *c = data;

	__atomic_store_n(&c->tid, thread_id(), __ATOMIC_RELEASE);
	c->ret = do_change(c->how, c->fd);
	__atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int changer_start(struct changer *c, int fd, enum change how)
{
	int ret;

	*c = (struct changer){ .fd = fd, .how = how };
	ret = -pthread_create(&c->thread, NULL, changer_thread, c);
	if (!ret && !thread_wait_asleep(&c->tid))
		ret = -ETIME;
	return ret;
}

static int changer_join(struct changer *c)
{
	pthread_join(c->thread, NULL);
	return c->ret;
}

/* An object under a waiting seal. */
#define SEALING_SETUP(self, timeout)						\
	do {									\
		struct sigaction sa = { .sa_handler = count_signal };		\
										\
		ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));			\
		(self)->fd = ps_create(PAGES * page_size());			\
		ASSERT_LE(0, (self)->fd);					\
		ASSERT_EQ(4, sys(pwrite((self)->fd, "data", 4, 0)));		\
		ASSERT_EQ(0, hold_begin(&(self)->hold, HOLD_VMSPLICE, (self)->fd,	\
					HELD, 1));				\
		ASSERT_EQ(0, sealer_start(&(self)->sealer, (self)->fd,		\
					  seal_write(timeout)));		\
	} while (0)

FIXTURE(change)
{
	int fd;
	struct hold hold;
	struct sealer sealer;
	struct changer changer;
};

FIXTURE_VARIANT(change)
{
	enum change how;
	int done;	/* what it gives on an object that is not sealed */
	int sealed;	/* and on one that is sealed against writing */
};

FIXTURE_VARIANT_ADD(change, write)	{ CHANGE_WRITE,    1, -EPERM };
FIXTURE_VARIANT_ADD(change, writev)	{ CHANGE_WRITEV,   1, -EPERM };
FIXTURE_VARIANT_ADD(change, splice)	{ CHANGE_SPLICE,   1, -EPERM };
FIXTURE_VARIANT_ADD(change, grow)	{ CHANGE_GROW,     0, 0 };
FIXTURE_VARIANT_ADD(change, shrink)	{ CHANGE_SHRINK,   0, 0 };
FIXTURE_VARIANT_ADD(change, allocate)	{ CHANGE_ALLOCATE, 0, 0 };
FIXTURE_VARIANT_ADD(change, punch)	{ CHANGE_PUNCH,    0, -EPERM };

FIXTURE_SETUP(change)
{
	SEALING_SETUP(self, LONG_NS);
}

FIXTURE_TEARDOWN(change)
{
	close(self->fd);
}

TEST_F(change, waits_until_sealed)
{
	ASSERT_EQ(0, changer_start(&self->changer, self->fd, variant->how));
	sleep_ns(50 * NSEC_PER_MSEC);
	EXPECT_FALSE(__atomic_load_n(&self->changer.done, __ATOMIC_ACQUIRE));
	EXPECT_FALSE(sealer_done(&self->sealer));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&self->sealer));
	EXPECT_EQ(variant->sealed, changer_join(&self->changer));
}

TEST_F(change, proceeds_when_the_seal_times_out)
{
	struct sealer second;

	/* Two sealers: the exclusion passes from one to the other before changes are unblocked. */
	ASSERT_EQ(0, changer_start(&self->changer, self->fd, variant->how));
	ASSERT_EQ(0, sealer_start(&second, self->fd, seal_write(100 * NSEC_PER_MSEC)));
	pthread_kill(self->sealer.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, sealer_join(&self->sealer));
	EXPECT_EQ(-EBUSY, sealer_join(&second));
	EXPECT_EQ(variant->done, changer_join(&self->changer));
	ASSERT_EQ(0, hold_end(&self->hold));
}

TEST_F(change, can_be_interrupted)
{
	ASSERT_EQ(0, changer_start(&self->changer, self->fd, variant->how));
	pthread_kill(self->changer.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, changer_join(&self->changer));
	EXPECT_EQ(1, signals_seen);

	/* The seal is not disturbed. */
	EXPECT_FALSE(sealer_done(&self->sealer));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&self->sealer));
}

TEST_F(change, can_be_killed)
{
	int ready[2];
	pid_t child;
	char c = 0;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	child = ps_fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct changer changer;

		c = changer_start(&changer, self->fd, variant->how) ? 'e' : 'k';
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	EXPECT_EQ('k', c);
	ps_kill(child);
	EXPECT_FALSE(sealer_done(&self->sealer));
	/* The child's copy of the pipe is gone with it. */
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&self->sealer));
}

FIXTURE(sealing)
{
	int fd;
	struct hold hold;
	struct sealer sealer;
	char *map;	/* of the whole object, private, read-only, from before */
};

FIXTURE_SETUP(sealing)
{
	SEALING_SETUP(self, LONG_NS);
	self->map = ps_map(self->fd, PAGES * page_size(), PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(sealing)
{
	close(self->fd);
}

/* The call under test returned before the seal, which then succeeds. */
#define EXPECT_SEALS(self)							\
	do {									\
		EXPECT_FALSE(sealer_done(&(self)->sealer));			\
		ASSERT_EQ(0, hold_end(&(self)->hold));				\
		EXPECT_EQ(0, sealer_join(&(self)->sealer));			\
		EXPECT_EQ(F_SEAL_WRITE, ps_get_seals((self)->fd));		\
	} while (0)

TEST_F(sealing, refuses_writes_that_must_not_wait)
{
	struct iovec iov = { "w", 1 };
	int flags = fcntl(self->fd, F_GETFL);

	/* RWF_NOWAIT is not supported, as on a memfd. */
	EXPECT_EQ(-EOPNOTSUPP, sys(pwritev2(self->fd, &iov, 1, 0, RWF_NOWAIT)));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, flags | O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, sys(pwrite(self->fd, "w", 1, 0)));
	EXPECT_EQ(-EAGAIN, sys(pwritev(self->fd, &iov, 1, 0)));
	EXPECT_SEALS(self);
	/* Sealed now, so waiting would not help. */
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, "w", 1, 0)));
}

TEST_F(sealing, refuses_new_writable_mappings)
{

	EXPECT_EQ(-EBUSY, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EBUSY, ps_try_map(self->fd, page_size(), PROT_WRITE, MAP_SHARED));
	EXPECT_SEALS(self);
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED));
}

TEST_F(sealing, allows_private_mappings)
{
	char *p;

	p = ps_map(self->fd, PAGES * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ('d', p[0]);
	p[0] = 'D';
	EXPECT_EQ('d', self->map[0]);
	EXPECT_EQ('a', self->map[1]);
	EXPECT_EQ(0, self->map[HELD * page_size()]);
	EXPECT_SEALS(self);
	EXPECT_EQ('D', p[0]);
	p[1] = 'A';
	EXPECT_EQ('a', self->map[1]);
	munmap(p, PAGES * page_size());
}

/*
 * The holder of a page may be a reader: neither the zap of a scan nor the wait blocks
 * readers.
 */
TEST_F(sealing, does_not_block_readers)
{
	unsigned long rounds;
	struct reader reader;
	unsigned int i;

	for (i = 0; i < 50; i++) {
		unsigned int page;

		ASSERT_EQ(0, madvise(self->map, PAGES * page_size(), MADV_DONTNEED));
		for (page = 0; page < PAGES; page++) {
			EXPECT_EQ(page ? 0 : 'd', self->map[page * page_size()]);
		}
		}

	/* Nor another process that does nothing else. */
	ASSERT_EQ(0, reader_start(&reader, 1, 0));
	ASSERT_EQ(0, reader_follow(&reader, self->fd, PAGES * page_size()));
	rounds = reader_rounds(&reader);
	while (reader_rounds(&reader) < rounds + 10 && !sealer_done(&self->sealer))
		sleep_ns(NSEC_PER_MSEC);
	EXPECT_LE(rounds + 10, reader_rounds(&reader));
	EXPECT_SEALS(self);
	reader_stop(&reader);
}

TEST_F(sealing, allows_reading)
{
	char buf[4] = { 0 };

	EXPECT_EQ(4, sys(pread(self->fd, buf, 4, 0)));
	EXPECT_EQ(0, memcmp(buf, "data", 4));
	EXPECT_EQ(2, lseek(self->fd, 2, SEEK_SET));
	EXPECT_EQ(2, sys(read(self->fd, buf, 2)));
	EXPECT_EQ(0, memcmp(buf, "ta", 2));
	EXPECT_EQ(1, sys(pread(self->fd, buf, 1, HELD * page_size())));
	EXPECT_SEALS(self);
}

/* No seal is visible before it is set. */
TEST_F(sealing, shows_the_state_from_before)
{
	struct pinseal_page vec[PAGES];
	struct pinseal_pins pins;
	struct pinseal_info info;
	struct stat st;
	char path[64], text[1024];
	FILE *f;

	EXPECT_EQ(0, ps_get_seals(self->fd));
	EXPECT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(PAGES * page_size(), info.size);
	EXPECT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(0, ps_pins(self->fd, 0, vec, PAGES, &pins));
	/* Page 0 may be listed too: its LRU batch need not be drained. */
	ASSERT_LE(1, pins.found);
	EXPECT_EQ(HELD, vec[pins.found - 1].index);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	while (fgets(text, sizeof(text), f))
		;
	fclose(f);
	EXPECT_SEALS(self);
}

/* A waiting seal holds no lock that these calls take. */
TEST_F(sealing, holds_no_lock)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct stat st;
		int other, copy;
		pid_t child;
		char *p;

		p = ps_map(self->fd, PAGES * page_size(), PROT_READ, MAP_PRIVATE | MAP_POPULATE);
		ASSERT_NE(MAP_FAILED, p);
		child = ps_fork();
		ASSERT_LE(0, child);
		if (!child)
			_exit(p[0] == 'd' ? 0 : 1);
		EXPECT_EQ(0, ps_wait(child));
		EXPECT_EQ(0, mprotect(p, page_size(), PROT_NONE));
		EXPECT_EQ(0, munmap(p, PAGES * page_size()));

		copy = dup(self->fd);
		EXPECT_LE(0, copy);
		EXPECT_EQ(0, fstat(copy, &st));
		EXPECT_EQ(0, close(copy));

		other = ps_create(page_size());
		EXPECT_LE(0, other);
		EXPECT_EQ(1, sys(pwrite(other, "o", 1, 0)));
		EXPECT_EQ(0, ps_add_seals(other, F_SEAL_WRITE));
		EXPECT_EQ(0, close(other));
	}
	EXPECT_SEALS(self);
}

/* The descriptor in use is closed. */
TEST_F(sealing, survives_a_close)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	EXPECT_EQ(0, close(self->fd));
	self->fd = copy;
	EXPECT_SEALS(self);
}

/* The last descriptor is closed, and with it the object. */
TEST_F(sealing, survives_the_last_close)
{
	EXPECT_EQ(0, munmap(self->map, PAGES * page_size()));
	EXPECT_EQ(0, close(self->fd));
	self->fd = -1;
	sleep_ns(30 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&self->sealer));
	ASSERT_EQ(0, hold_end(&self->hold));
	EXPECT_EQ(0, sealer_join(&self->sealer));
}

/* The process dies while it waits and holds pages. */
TEST_F(sealing, survives_the_death_of_the_process)
{
	struct sealer s;
	int i;

	for (i = 0; i < 20; i++) {
		pid_t child = ps_fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct hold h;
			int fd = ps_create(PAGES * page_size());

			if (hold_begin(&h, i % 2 ? HOLD_URING : HOLD_VMSPLICE, fd, HELD, 2) ||
			    sealer_start(&s, fd, seal_write(UINT64_MAX)))
				_exit(1);
			raise(SIGKILL);
		}
		EXPECT_EQ(128 + SIGKILL, ps_wait(child));
	}
	EXPECT_SEALS(self);
}

/* A child forked during the wait can use the object. */
TEST_F(sealing, lets_a_child_seal)
{
	pid_t child = ps_fork();

	ASSERT_LE(0, child);
	if (!child) {
		struct pinseal_seal arg = seal_write(20 * NSEC_PER_MSEC);

		_exit(ps_seal(self->fd, &arg) == -EBUSY && !ps_get_seals(self->fd) ? 0 : 1);
	}
	EXPECT_EQ(0, ps_wait(child));
	EXPECT_SEALS(self);
}

TEST_HARNESS_MAIN
