// SPDX-License-Identifier: GPL-2.0-only
/*
 * PINSEAL_IOC_ATTACH: objects that are stacked on a file. Their pages come from it at first touch, and
 * fsync() and msync() write to it what changed.
 */
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <pthread.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "stacked_fixture.h"
#include "async.h"
#include "fuse_server.h"
#include "large_folio.h"
#include "protect.h"
#include "racer.h"
#include "sealer.h"
#include "stalled_page.h"
#include "sysfile.h"
#include "zram_swap.h"

#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS	0x00100000
#endif

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	0x0004U
#endif

TEST_F(stacked, has_size_and_content)
{
	char *buf = malloc(self->size);

	EXPECT_EQ(self->size, ps_size(self->fd));
	ASSERT_EQ(self->size, sys(pread(self->fd, buf, self->size, 0)));
	EXPECT_EQ(-1, differs(buf, 0, self->size));
	EXPECT_LOWER(0, self->size);
	EXPECT_EQ(-1, not_zero(self->p, self->size, N * self->page));
	free(buf);
}

TEST_F(stacked, a_load_fills)
{
	EXPECT_LOWER(5 * self->page + 10, 5 * self->page + 20);
	EXPECT_LOWER(0, self->size);
}

TEST_F(stacked, a_private_mapping_fills)
{
	char *q = ps_map(self->fd, N * self->page, RW, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, q);
	q[3 * self->page] = 'x';
	EXPECT_EQ(-1, differs(q, 3 * self->page + 1, 5 * self->page));
	EXPECT_LOWER(0, self->size);
	munmap(q, N * self->page);
}

TEST_F(stacked, a_write_to_a_part_keeps_the_rest)
{
	ASSERT_EQ(3, sys(pwrite(self->fd, "abc", 3, 2 * self->page + 5)));
	EXPECT_LOWER(0, 2 * self->page + 5);
	EXPECT_EQ(0, memcmp(self->p + 2 * self->page + 5, "abc", 3));
	EXPECT_LOWER(2 * self->page + 8, self->size);
}

TEST_F(stacked, the_lower_file_changes_by_fsync_only)
{
	self->p[5 * self->page] = 's';
	ASSERT_EQ(1, sys(pwrite(self->fd, "w", 1, 7 * self->page)));
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(self->lower, 5 * self->page));
	EXPECT_EQ(lower_byte(7 * self->page), byte_of(self->lower, 7 * self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	EXPECT_EQ('w', byte_of(self->lower, 7 * self->page));
	/* Stores are noticed again. */
	self->p[5 * self->page] = 't';
	ASSERT_EQ(0, msync(self->p + 5 * self->page, self->page, MS_SYNC));
	EXPECT_EQ('t', byte_of(self->lower, 5 * self->page));
}

TEST_F(stacked, msync_writes_its_range)
{
	self->p[5 * self->page] = 's';
	self->p[7 * self->page] = 's';
	ASSERT_EQ(0, msync(self->p + 5 * self->page, self->page, MS_SYNC));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	EXPECT_EQ(lower_byte(7 * self->page), byte_of(self->lower, 7 * self->page));
}

TEST_F(stacked, what_did_not_change_is_not_written)
{
	self->p[5 * self->page] = 's';
	EXPECT_LOWER(6 * self->page, self->size);
	ASSERT_EQ(2, sys(pwrite(self->lower, "ll", 2, 8 * self->page)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('l', byte_of(self->lower, 8 * self->page));
	/* A page is written once more if an LRU batch of another CPU has a reference. */
	for (int i = 0; i < 1000 && byte_of(self->lower, 5 * self->page) != 'l'; i++) {
		ASSERT_EQ(1, sys(pwrite(self->lower, "l", 1, 5 * self->page)));
		ASSERT_EQ(0, sys(fsync(self->fd)));
	}
	EXPECT_EQ('l', byte_of(self->lower, 5 * self->page));
	/* Nor is it seen: the object is a copy. */
	EXPECT_LOWER(8 * self->page, 9 * self->page);
}

TEST_F(stacked, an_msync_that_does_not_wait_writes_nothing)
{
	self->p[5 * self->page] = 's';
	EXPECT_EQ(0, sys(msync(self->p, self->size, MS_ASYNC)));
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(self->lower, 5 * self->page));
	EXPECT_EQ(0, sys(msync(self->p, self->size, MS_SYNC)));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
}

TEST_F(stacked, its_size_goes_down)
{
	struct stat st;

	ASSERT_EQ(0, ps_resize(self->fd, 3 * self->page + 7));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(3 * self->page + 7, st.st_size);
	ASSERT_EQ(0, ps_resize(self->fd, (N + 1) * self->page));
	EXPECT_LOWER(0, 3 * self->page + 7);
	EXPECT_EQ(-1, not_zero(self->p, 3 * self->page + 7, N * self->page));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ((N + 1) * self->page, st.st_size);
	EXPECT_EQ(0, byte_of(self->lower, 4 * self->page));
}

TEST_F(stacked, a_hole_does_not_come_from_below)
{
	ASSERT_EQ(0, ps_fallocate(self->fd, PUNCH, 2 * self->page + 5, 3 * self->page));
	EXPECT_LOWER(0, 2 * self->page + 5);
	EXPECT_EQ(-1, not_zero(self->p, 2 * self->page + 5, 5 * self->page + 5));
	EXPECT_LOWER(5 * self->page + 5, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, byte_of(self->lower, 3 * self->page));
	EXPECT_EQ(lower_byte(2 * self->page), byte_of(self->lower, 2 * self->page));
}

TEST_F(stacked, a_truncated_lower_file_is_an_error_once_seen)
{
	EXPECT_LOWER(0, self->page);
	ASSERT_EQ(0, ftruncate(self->lower, 4 * self->page));
	EXPECT_EQ(0, ps_touch(self->p, false));
	EXPECT_EQ(SIGBUS, ps_touch(self->p + 6 * self->page, false));
	EXPECT_EQ(-EIO, sys(pread(self->fd, &(char){ 0 }, 1, 6 * self->page)));
	/* The next touch tries again. */
	ASSERT_EQ(0, ftruncate(self->lower, self->size));
	EXPECT_EQ(0, ps_touch(self->p + 6 * self->page, false));
	EXPECT_EQ(0, self->p[6 * self->page]);
}

TEST_F(stacked, a_seal_fills_and_syncs)
{
	self->p[5 * self->page] = 's';
	munmap(self->p, N * self->page);
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	ASSERT_EQ(1, sys(pwrite(self->lower, "l", 1, 9 * self->page)));
	self->p = ps_map(self->fd, N * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
	EXPECT_LOWER(6 * self->page, self->size);
}

/*
 * An attach beside a seal: whichever the kernel takes first, what is sealed does not change with the lower
 * file. The window is in the seal, between the look for a stack and the use of the memory.
 */
struct attachment {
	int fd, lower, ret;
};

static void attach_now(void *data)
{
	struct attachment *a = data;

	a->ret = ps_attach(a->fd, a->lower, 0);
}

TEST(an_attach_beside_a_seal_is_late_or_sealed)
{
	uint64_t until = now_ns() + test_rounds(2000, 20000) * NSEC_PER_MSEC;
	/* A busy machine needs longer for its first rounds. */
	uint64_t limit = until + 20 * NSEC_PER_SEC;
	/* How long the seal is later: so that both are first by turns, as close as can be. */
	uint64_t delay_ns = 0, began;
	unsigned int attached = 0, late = 0, round;
	struct attachment a;
	struct racer racer = { 0 };

	ASSERT_EQ(0, racer_start(&racer, attach_now, &a));
	for (round = 0; now_ns() < until || (now_ns() < limit && (!attached || !late)); round++) {
		int ret;

		a.lower = memfd_open();
		ASSERT_LE(0, a.lower);
		ASSERT_EQ(0, fill_lower(a.lower, page_size()));
		a.fd = ps_open(O_RDWR);
		ASSERT_LE(0, a.fd);
		racer_go(&racer);
		began = now_ns();
		while (now_ns() < began + delay_ns)
			;
		ret = ps_add_seals(a.fd, F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
		racer_wait(&racer);
		ASSERT_EQ(0, ret);
		if (a.ret) {
			ASSERT_EQ(-EBUSY, a.ret);
			late++;
			delay_ns += delay_ns / 8 + 1000;
		} else {
			attached++;
			delay_ns -= delay_ns / 8;
			ASSERT_EQ(1, sys(pwrite(a.lower, "l", 1, 0)));
			EXPECT_EQ(lower_byte(0), byte_of(a.fd, 0)) {
				racer_stop(&racer);
				TH_LOG("round %u: sealed, but not filled", round);
				return;
			}
		}
		close(a.fd);
		close(a.lower);
	}
	racer_stop(&racer);
	TH_LOG("%u attached, %u too late", attached, late);
	EXPECT_LT(0, attached);
	EXPECT_LT(0, late);
}

TEST_F(stacked, a_pin_fills_and_its_stores_are_written)
{
	int pin = ps_pin(self->fd, 5, 2, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(lower_byte(5 * self->page + 3), byte_of(pin, 3));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(1, sys(pwrite(pin, "p", 1, 3)));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('p', byte_of(self->lower, 5 * self->page + 3));
	ASSERT_EQ(1, sys(pwrite(pin, "q", 1, 3)));
	close(pin);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('q', byte_of(self->lower, 5 * self->page + 3));
}

TEST_F(stacked, a_used_object_is_refused)
{
	int other = ps_create(self->page), pipes[2], read_only, created;
	char path[64];

	EXPECT_EQ(-EBUSY, ps_attach(self->fd, self->lower, 0));
	EXPECT_EQ(-EBUSY, ps_attach(other, self->lower, 0));
	close(other);
	other = ps_open(O_RDWR);
	ASSERT_LE(0, other);
	EXPECT_EQ(-EINVAL, ps_attach(other, self->lower, 8));
	EXPECT_EQ(-EBADF, ps_attach(other, -1, 0));
	EXPECT_EQ(-EINVAL, ps_attach(other, self->fd, 0));
	created = obj_create(CREATED, page_size());
	ASSERT_LE(0, created);
	EXPECT_EQ(-EINVAL, ps_attach(other, created, 0));
	EXPECT_EQ(-EINVAL, ps_attach(other, created, PINSEAL_ATTACH_RDONLY));
	close(created);
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, ps_attach(other, pipes[0], 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->lower);
	read_only = open(path, O_RDONLY);
	ASSERT_LE(0, read_only);
	EXPECT_EQ(-EBADF, ps_attach(other, read_only, 0));
	EXPECT_EQ(0, ps_attach(other, read_only, PINSEAL_ATTACH_RDONLY));
	EXPECT_EQ(lower_byte(0), byte_of(other, 0));
	EXPECT_EQ(0, sys(fsync(other)));
	ASSERT_EQ(1, sys(pwrite(other, "x", 1, 0)));
	EXPECT_EQ(-EROFS, sys(fsync(other)));
	EXPECT_EQ(0, ps_add_seals(other, F_SEAL_WRITE));
	EXPECT_EQ('x', byte_of(other, 0));
	EXPECT_EQ(lower_byte(0), byte_of(self->lower, 0));
	close(read_only);
	close(other);
	EXPECT_EQ(-EOPNOTSUPP, ps_export(self->fd, 0));
}

TEST_F(stacked, pages_have_protections)
{
	ASSERT_EQ(0, ps_protect(self->fd, self->p + 4 * self->page, 2 * self->page, PROT_READ));
	EXPECT_EQ(SIGSEGV, ps_touch(self->p + 4 * self->page, true));
	EXPECT_LOWER(4 * self->page, 6 * self->page);
	self->p[6 * self->page] = 's';
	ASSERT_EQ(0, ps_protect(self->fd, self->p + 4 * self->page, self->page, RW));
	self->p[4 * self->page] = 's';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('s', byte_of(self->lower, 4 * self->page));
	EXPECT_EQ('s', byte_of(self->lower, 6 * self->page));
	self->p[6 * self->page] = 't';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('t', byte_of(self->lower, 6 * self->page));
	EXPECT_EQ(-EBUSY, ps_remap(self->fd, self->p, self->page, 3, RW));
	/* Without protections, the mapping is as it was: stores are noted, and it is special. */
	ASSERT_EQ(0, ps_protect(self->fd, self->p, N * self->page, RW));
	EXPECT_TRUE(mapping_has_flag(self->p, " de"));
	EXPECT_EQ(0, ps_touch(self->p + 9 * self->page, false));
	self->p[9 * self->page] = 'u';
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('u', byte_of(self->lower, 9 * self->page));
}

/* The kernel fills what is missing of a huge page with zeros. */
TEST_F(stacked, a_huge_page_is_not_made_of_what_is_missing)
{
	size_t size = large_folio_size();
	int fd, lower;
	char *p;

	if (!size)
		SKIP(return, "no large folios");
	lower = memfd_create("lower", MFD_CLOEXEC);
	fd = ps_open(O_RDWR);
	ASSERT_LE(0, lower);
	ASSERT_EQ(0, ftruncate(lower, size));
	ASSERT_EQ(1, pwrite(lower, "x", 1, size - self->page));
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	p = map_aligned(fd, size, size, RW);
	ASSERT_NE(NULL, p);
	*p = 1;
	EXPECT_EQ(-EINVAL, sys(madvise(p, size, MADV_COLLAPSE)));
	EXPECT_EQ('x', p[size - self->page]);
	munmap(p, size);
	close(fd);
	close(lower);
}

TEST_F(stacked, advice_that_removes_is_known)
{
	ASSERT_EQ(0, madvise(self->p + 5 * self->page, self->page, MADV_REMOVE));
	EXPECT_EQ(-1, not_zero(self->p, 5 * self->page, 6 * self->page));
	EXPECT_LOWER(6 * self->page, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(0, byte_of(self->lower, 5 * self->page));
	/* The kernel makes it again, by the file that it has for it. */
	ASSERT_EQ(0, sys(remap_file_pages(self->p, self->page, 0, 9, 0)));
	EXPECT_EQ(lower_byte(9 * self->page), *self->p);
}

/* Neither does a task that writes to the lower file, from the object, wait for itself. */
TEST_F(stacked, it_is_the_source_of_a_write_to_the_lower_file)
{
	ASSERT_EQ(self->page, sys(pwrite(self->lower, self->p + 5 * self->page, self->page, 0)));
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(self->lower, 0));
	/* And of reading from it: of both at once. */
	ASSERT_EQ(self->page, sys(pread(self->lower, self->p + 7 * self->page, self->page,
					9 * self->page)));
	EXPECT_EQ(lower_byte(9 * self->page), self->p[7 * self->page]);
}

/* Sets how shmem without other advice allocates large folios; NULL is what it was. */
static int set_huge(const char *setting)
{
	static char before[32];
	const char *path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

	if (!setting)
		return write_text(path, before);
	return read_setting(path, before, sizeof(before)) ?: write_text(path, setting);
}

TEST_F(stacked, a_pin_behind_the_lower_file_leaves_its_pages)
{
	static const char *const settings[] = { "always", "within_size" };
	int pin;

	for (int i = 0; i < 2; i++) {
		int fd = ps_open(O_RDWR);

		if (set_huge(settings[i]))
			SKIP(return, "no large folios of shmem");
		ASSERT_EQ(0, ps_attach(fd, self->lower, 0));
		ASSERT_EQ(0, ps_resize(fd, 1024 * self->page));
		pin = ps_pin(fd, N + 2, 1, 0);
		set_huge(NULL);
		ASSERT_LE(0, pin);
		EXPECT_EQ(lower_byte(self->page), byte_of(fd, self->page));
		EXPECT_EQ(0, byte_of(fd, (N + 2) * self->page));
		close(pin);
		close(fd);
	}
}

TEST_F(stacked, pages_of_large_folios_come_from_below)
{
	int fd = ps_open(O_RDWR);
	char *p;

	if (set_huge("always"))
		SKIP(return, "no large folios of shmem");
	ASSERT_EQ(0, ps_attach(fd, self->lower, 0));
	ASSERT_EQ(0, ps_resize(fd, 1024 * self->page));
	ASSERT_EQ(1, sys(pwrite(fd, "w", 1, 1023 * self->page)));
	ASSERT_EQ(1, sys(pwrite(fd, "w", 1, 5 * self->page)));
	p = ps_map(fd, 1024 * self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	p[600 * self->page] = 's';
	EXPECT_EQ(-1, differs(p, 0, 5 * self->page));
	EXPECT_EQ(-1, differs(p, 5 * self->page + 1, self->size));
	ASSERT_EQ(0, ps_fallocate(fd, PUNCH, 7 * self->page, 2 * self->page));
	p[8 * self->page] = 's';
	EXPECT_EQ(-1, differs(p, 9 * self->page, self->size));
	ASSERT_EQ(0, sys(fsync(fd)));
	EXPECT_EQ(-1, differs_from_lower(fd, self->lower));
	set_huge(NULL);
	munmap(p, 1024 * self->page);
	close(fd);
}

/* What is removed is not asked for. */
TEST_F(stacked, removal_does_not_need_the_lower_file)
{
	ASSERT_EQ(0, ftruncate(self->lower, 0));
	EXPECT_EQ(0, ps_fallocate(self->fd, PUNCH, 0, N * self->page));
	EXPECT_EQ(0, ps_touch(self->p + 3 * self->page, true));
	EXPECT_EQ(0, self->p[4 * self->page]);
	EXPECT_EQ(0, ps_resize(self->fd, 0));
}

struct stalled_writer {
	int fd;
	off_t pos;
	void *first, *source;
	ssize_t written;
};

/* Writes a byte, and one from a page that stalls: the inode is locked meanwhile. */
static void *write_stalled(void *data)
{
	struct stalled_writer *w = data;
	struct iovec iov[2] = { { "w", 1 }, { w->source, 1 } };

	w->written = pwritev(w->fd, iov, 2, 0);
	return NULL;
}

/* A page, and one that stalls. */
static void *write_in_part(void *data)
{
	struct stalled_writer *w = data;
	struct iovec iov[2] = { { w->first, page_size() }, { w->source, 1 } };

	w->written = pwritev(w->fd, iov, 2, w->pos);
	return NULL;
}

/* What others can read already is written, though the write() has not come to its end. */
TEST_F(stacked, a_sync_beside_a_write_writes_what_that_has_written)
{
	const off_t to[] = { 3 * self->page, self->size };
	char *first = malloc(self->page);

	ASSERT_NE(NULL, first);
	memset(first, 'w', self->page);
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		struct stalled_writer w = { .fd = self->fd, .first = first, .pos = to[i] };
		struct stalled_page source;
		pthread_t writer;

		if (stalled_page_make(&source))
			SKIP(break, "userfaultfd of kernel faults is not permitted");
		w.source = source.page;
		ASSERT_EQ(0, pthread_create(&writer, NULL, write_in_part, &w));
		ASSERT_EQ(0, stalled_page_wait(&source));
		EXPECT_EQ('w', byte_of(self->fd, to[i]));
		for (int j = 0; j < 2; j++) {
			EXPECT_EQ(0, sys(fsync(self->fd)));
			EXPECT_EQ('w', byte_of(self->lower, to[i]));
			/* It is not known what the write() changes until it ends. */
			ASSERT_EQ(1, sys(pwrite(self->lower, "l", 1, to[i])));
		}
		stalled_page_release(&source);
		pthread_join(writer, NULL);
		EXPECT_EQ(self->page + 1, w.written);
		EXPECT_EQ(0, sys(fsync(self->fd)));
		EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
		stalled_page_free(&source);
	}
	free(first);
}

/* A removal that does not happen leaves the content: it waits for a writer, and is killed. */
TEST_F(stacked, a_killed_removal_removes_nothing)
{
	for (int punch = 0; punch < 2; punch++) {
		struct stalled_writer w = { .fd = self->fd };
		struct stalled_page source;
		pthread_t writer;
		pid_t child;
		int status;

		if (stalled_page_make(&source))
			SKIP(return, "userfaultfd of kernel faults is not permitted");
		w.source = source.page;
		ASSERT_EQ(0, pthread_create(&writer, NULL, write_stalled, &w));
		ASSERT_EQ(0, stalled_page_wait(&source));
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			_exit(punch ? ps_fallocate(self->fd, PUNCH, 4 * self->page, 8 * self->page) :
				      ps_resize(self->fd, 4 * self->page));
		ASSERT_TRUE(process_wait_asleep(child));
		EXPECT_EQ(lower_byte((6 + punch) * self->page), self->p[(6 + punch) * self->page]);
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		stalled_page_release(&source);
		pthread_join(writer, NULL);
		EXPECT_EQ(2, w.written);
		EXPECT_LOWER(self->page, self->size);
		stalled_page_free(&source);
	}
}

/* Servers and programs can delay pages for ever. */
TEST(a_file_of_a_server_is_refused)
{
	int fd = ps_open(O_RDWR);
	struct fuse_server s;

	ASSERT_EQ(0, fuse_server_start(&s));
	EXPECT_EQ(-EINVAL, ps_attach(fd, s.file, PINSEAL_ATTACH_RDONLY));
	ASSERT_EQ(0, fcntl(s.file, F_SETFL, 0));
	EXPECT_EQ(-EOPNOTSUPP, ps_attach(fd, s.file, PINSEAL_ATTACH_RDONLY));
	fuse_server_stop(&s);
	close(fd);
}

/* A folder whose files are encrypted, with a key of its own: its descriptor, or -errno. */
static int encrypted_folder(const char *path, struct fscrypt_remove_key_arg *key)
{
	struct {
		struct fscrypt_add_key_arg arg;
		unsigned char raw[64];
	} add = {
		.arg.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER,
		.arg.raw_size = sizeof(add.raw),
		.raw = "of this test",
	};
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
		.flags = FSCRYPT_POLICY_FLAGS_PAD_32,
	};
	int dir, ret;

	if (mkdir(path, 0700))
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = sys(ioctl(dir, FS_IOC_ADD_ENCRYPTION_KEY, &add));
	if (!ret) {
		*key = (struct fscrypt_remove_key_arg){ .key_spec = add.arg.key_spec };
		memcpy(policy.master_key_identifier, add.arg.key_spec.u.identifier,
		       FSCRYPT_KEY_IDENTIFIER_SIZE);
		ret = sys(ioctl(dir, FS_IOC_SET_ENCRYPTION_POLICY, &policy));
	}
	if (!ret)
		return dir;
	close(dir);
	rmdir(path);
	return ret;
}

/* Its page cache has the clear text. */
TEST(an_encrypted_file)
{
	size_t page = page_size(), size = 8 * page;
	struct fscrypt_remove_key_arg key;
	int dir, lower, fd = ps_open(O_RDWR);
	struct disk disk;
	char path[80];

	if (!disk_is_there("ext4"))
		SKIP(return, "there is no disk");
	ASSERT_EQ(0, disk_mount(&disk, "ext4"));
	snprintf(path, sizeof(path), "%s/encrypted", disk.dir);
	dir = encrypted_folder(path, &key);
	if (dir == -EOPNOTSUPP || dir == -ENOTTY) {
		disk_unmount(&disk);
		SKIP(return, "no encryption of files");
	}
	ASSERT_LE(0, dir);
	lower = sys(openat(dir, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	ASSERT_LE(0, lower);
	unlinkat(dir, "file", 0);
	ASSERT_EQ(0, fill_lower(lower, size));
	ASSERT_EQ(0, fsync(lower));
	posix_fadvise(lower, 0, 0, POSIX_FADV_DONTNEED);
	ASSERT_EQ(0, ps_attach(fd, lower, 0));
	EXPECT_EQ(lower_byte(3 * page), byte_of(fd, 3 * page));
	ASSERT_EQ(1, sys(pwrite(fd, "w", 1, 5 * page)));
	ASSERT_EQ(0, sys(fsync(fd)));
	posix_fadvise(lower, 0, 0, POSIX_FADV_DONTNEED);
	EXPECT_EQ('w', byte_of(lower, 5 * page));
	EXPECT_EQ(-1, differs_from_lower(fd, lower));
	close(lower);
	/* The object has the file open, which keeps its key. */
	ASSERT_EQ(0, sys(ioctl(dir, FS_IOC_REMOVE_ENCRYPTION_KEY, &key)));
	EXPECT_TRUE(key.removal_status_flags & FSCRYPT_KEY_REMOVAL_STATUS_FLAG_FILES_BUSY);
	ASSERT_EQ(1, sys(pwrite(fd, "x", 1, 6 * page)));
	EXPECT_EQ(0, sys(fsync(fd)));
	close(fd);
	close(dir);
	rmdir(path);
	disk_unmount(&disk);
}

TEST_F(stacked, a_file_that_never_changes_can_be_read)
{
	int flags, fd = ps_open(O_RDWR), lower = open_by_proc(self->lower, O_RDONLY);

	ASSERT_LE(0, lower);
	if (ioctl(self->lower, FS_IOC_GETFLAGS, &flags))
		SKIP(return, "no flags there");
	flags |= FS_IMMUTABLE_FL;
	ASSERT_EQ(0, sys(ioctl(self->lower, FS_IOC_SETFLAGS, &flags)));
	EXPECT_EQ(-EPERM, ps_attach(fd, self->lower, 0));
	EXPECT_EQ(0, ps_attach(fd, lower, PINSEAL_ATTACH_RDONLY));
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(lower_byte(self->page), byte_of(fd, self->page));
	flags &= ~FS_IMMUTABLE_FL;
	ASSERT_EQ(0, sys(ioctl(self->lower, FS_IOC_SETFLAGS, &flags)));
	close(lower);
	close(fd);
}

TEST(what_is_no_regular_file_is_refused)
{
	int fd = ps_open(O_RDWR), others[] = {
		open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		open("/dev/zero", O_RDWR | O_CLOEXEC),
		socket(AF_UNIX, SOCK_STREAM, 0),
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_LE(0, others[i]);
		EXPECT_EQ(-EINVAL, ps_attach(fd, others[i], 0)) TH_LOG("file %zu", i);
		EXPECT_EQ(-EINVAL, ps_attach(fd, others[i], PINSEAL_ATTACH_RDONLY)) TH_LOG("file %zu", i);
		close(others[i]);
	}
	close(fd);
}

TEST(a_file_of_hugetlbfs_is_refused)
{
	int fd = ps_open(O_RDWR), lower = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);

	if (lower < 0)
		SKIP(return, "no hugetlbfs: %s", strerror(errno));
	EXPECT_EQ(-EINVAL, ps_attach(fd, lower, 0));
	EXPECT_EQ(-EINVAL, ps_attach(fd, lower, PINSEAL_ATTACH_RDONLY));
	close(lower);
	close(fd);
}

TEST_F(stacked, a_file_that_only_grows_can_be_read)
{
	int flags, fd = ps_open(O_RDWR), lower = open_by_proc(self->lower, O_RDONLY);

	ASSERT_LE(0, lower);
	if (ioctl(self->lower, FS_IOC_GETFLAGS, &flags))
		SKIP(return, "no flags there");
	flags |= FS_APPEND_FL;
	ASSERT_EQ(0, sys(ioctl(self->lower, FS_IOC_SETFLAGS, &flags)));
	EXPECT_EQ(-EPERM, ps_attach(fd, self->lower, 0));
	EXPECT_EQ(0, ps_attach(fd, lower, PINSEAL_ATTACH_RDONLY));
	EXPECT_EQ(lower_byte(self->page), byte_of(fd, self->page));
	flags &= ~FS_APPEND_FL;
	ASSERT_EQ(0, sys(ioctl(self->lower, FS_IOC_SETFLAGS, &flags)));
	close(lower);
	close(fd);
}

/* Its owner could not write elsewhere, so nor may the object. */
TEST_F(stacked, a_descriptor_that_appends_can_be_read)
{
	int fd = ps_open(O_RDWR), lower = open_by_proc(self->lower, O_RDWR | O_APPEND);

	ASSERT_LE(0, lower);
	EXPECT_EQ(-EPERM, ps_attach(fd, lower, 0));
	EXPECT_EQ(0, ps_attach(fd, lower, PINSEAL_ATTACH_RDONLY));
	EXPECT_EQ(lower_byte(self->page), byte_of(fd, self->page));
	close(lower);
	close(fd);
}

TEST_F(stacked, a_swap_file_is_refused)
{
	int fd = ps_open(O_RDWR), lower, flags = FS_NOCOW_FL, ret;
	char path[96];

	if (!variant->disk)
		SKIP(return, "no swap files there");
	/* swapon() wants a name, and no holes. */
	snprintf(path, sizeof(path), "%s/swap", self->disk.dir);
	lower = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, lower);
	/* Without that, btrfs does not swap to it; others do not know it. */
	ioctl(lower, FS_IOC_SETFLAGS, &flags);
	ASSERT_EQ(0, fill_lower(lower, N * self->page));
	ASSERT_EQ(0, swap_format(path, N * self->page));
	ASSERT_EQ(0, fsync(lower));
	ret = sys(swapon(path, 0));
	if (ret != -ENOSYS) {
		ASSERT_EQ(0, ret);
		EXPECT_EQ(-ETXTBSY, ps_attach(fd, lower, 0));
		EXPECT_EQ(-ETXTBSY, ps_attach(fd, lower, PINSEAL_ATTACH_RDONLY));
		ASSERT_EQ(0, sys(swapoff(path)));
		EXPECT_EQ(0, ps_attach(fd, lower, 0));
	}
	close(fd);
	close(lower);
	unlink(path);
	if (ret)
		SKIP(return, "no swap");
}

TEST_F(stacked, a_size_is_a_change_that_a_read_only_file_refuses)
{
	uint64_t sizes[] = { 3 * self->page, (N + 1) * self->page };
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int fd = ps_open(O_RDWR);
		char *p;

		ASSERT_EQ(0, ps_attach(fd, self->lower, PINSEAL_ATTACH_RDONLY));
		p = ps_map(fd, N * self->page, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(0, sys(fsync(fd)));
		ASSERT_EQ(0, ps_resize(fd, sizes[i]));
		EXPECT_EQ(-EROFS, sys(fsync(fd)));
		/* Also by a sync of pages that did not change. */
		EXPECT_EQ(-EROFS, sys(msync(p, self->page, MS_SYNC)));
		ASSERT_EQ(0, fstat(self->lower, &st));
		EXPECT_EQ(self->size, st.st_size);
		munmap(p, N * self->page);
		close(fd);
	}
}

TEST_F(stacked, a_splice_fills)
{
	loff_t at = 5 * self->page + 10;
	int pipes[2];
	char c;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(self->page, sys(splice(self->fd, &at, pipes[1], NULL, self->page, 0)));
	for (size_t i = 5 * self->page + 10; i < 6 * self->page + 10; i++) {
		ASSERT_EQ(1, read(pipes[0], &c, 1));
		ASSERT_EQ(lower_byte(i), c) TH_LOG("byte %zu", i);
	}
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(stacked, a_debugger_fills_what_it_reads)
{
	struct iovec remote = { self->p + 5 * self->page + 10, 2 * self->page };
	struct iovec local = { malloc(remote.iov_len), remote.iov_len };

	ASSERT_EQ(remote.iov_len, sys(process_vm_readv(getpid(), &local, 1, &remote, 1, 0)));
	for (size_t i = 0; i < remote.iov_len; i++) {
		ASSERT_EQ(lower_byte(5 * self->page + 10 + i), ((char *)local.iov_base)[i]) {
			TH_LOG("byte %zu", i);
		}
	}
	free(local.iov_base);
}

TEST_F(stacked, a_debugger_that_writes_a_part_keeps_the_rest)
{
	struct iovec remote = { self->p + 5 * self->page + 10, 3 }, local = { "abc", 3 };

	ASSERT_EQ(3, sys(process_vm_writev(getpid(), &local, 1, &remote, 1, 0)));
	EXPECT_LOWER(5 * self->page, 5 * self->page + 10);
	EXPECT_EQ(0, memcmp("abc", self->p + 5 * self->page + 10, 3));
	EXPECT_LOWER(5 * self->page + 13, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('b', byte_of(self->lower, 5 * self->page + 11));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* The disk is a server whose file does direct I/O. */
TEST_F(stacked, a_direct_read_into_a_part_keeps_the_rest)
{
	size_t from = 5 * self->page + 100, to = from + 50;
	struct fuse_server s;

	ASSERT_EQ(0, fuse_server_start(&s));
	fuse_server_release(&s);
	ASSERT_EQ(50, sys(pread(s.file, self->p + from, 50, 0)));
	fuse_server_stop(&s);
	EXPECT_LOWER(5 * self->page, from);
	for (size_t i = from; i < to; i++) {
		ASSERT_EQ(FUSE_SERVER_BYTE, self->p[i]) TH_LOG("byte %zu", i);
	}
	EXPECT_LOWER(to, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(FUSE_SERVER_BYTE, byte_of(self->lower, from));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* Changes a page of the lower file all the time. */
struct rewriter {
	int lower;
	size_t page;
	bool quit;
	unsigned int n;
};

static void *rewrite_on(void *data)
{
	struct rewriter *r = data;
	char *bytes = malloc(r->page);

	for (; !__atomic_load_n(&r->quit, __ATOMIC_ACQUIRE); r->n++) {
		memset(bytes, 'a' + r->n % 26, r->page);
		if (pwrite(r->lower, bytes, r->page, 0) != (ssize_t)r->page)
			break;
	}
	free(bytes);
	return NULL;
}

struct first_reader {
	int fd;
	char *bytes;
	size_t page;
	ssize_t got;
};

static void read_first(void *data)
{
	struct first_reader *r = data;

	r->got = pread(r->fd, r->bytes, r->page, 0);
}

/* Two that touch it at once see the same, though the lower file has something else each time. */
TEST_F(stacked, a_page_is_filled_once)
{
	uint64_t until = now_ns() + test_rounds(1500, 10000) * NSEC_PER_MSEC;
	struct rewriter rewriter = { self->lower, self->page };
	struct first_reader reader = { .bytes = malloc(self->page), .page = self->page };
	char *seen = malloc(self->page);
	unsigned int rounds, changes = 0;
	struct racer racer;
	pthread_t thread;
	char last = 0;

	ASSERT_EQ(0, racer_start(&racer, read_first, &reader));
	/* It begins on the CPU of this thread, and may run anywhere. */
	run_anywhere();
	ASSERT_EQ(0, pthread_create(&thread, NULL, rewrite_on, &rewriter));
	ASSERT_EQ(0, run_on_cpu(0));
	for (rounds = 0; now_ns() < until; rounds++) {
		char *p;

		reader.fd = ps_open(O_RDWR);
		ASSERT_EQ(0, ps_attach(reader.fd, self->lower, PINSEAL_ATTACH_RDONLY));
		p = ps_map(reader.fd, self->page, PROT_READ, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, p);
		racer_go(&racer);
		memcpy(seen, p, self->page);
		racer_wait(&racer);
		ASSERT_EQ((ssize_t)self->page, reader.got);
		ASSERT_EQ(0, memcmp(seen, reader.bytes, self->page)) TH_LOG("round %u", rounds);
		ASSERT_EQ(0, memcmp(seen, p, self->page)) TH_LOG("round %u", rounds);
		changes += *seen != last;
		last = *seen;
		munmap(p, self->page);
		close(reader.fd);
	}
	racer_stop(&racer);
	__atomic_store_n(&rewriter.quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	TH_LOG("%u rounds, %u of them with other bytes", rounds, changes);
	EXPECT_LT(1, changes);
	free(reader.bytes);
	free(seen);
}

/*
 * An object whose memory is the lower file of another one: both are written, resized and sealed at once.
 * The one has the odd pages, the other the even ones. Lockdep sees if they take locks in different orders.
 */
struct neighbour {
	int fd;
	bool is_above, quit;
	size_t page;
	unsigned long n;
	long failed;
};

static void *write_and_resize(void *data)
{
	struct neighbour *w = data;

	for (w->n = 1; !__atomic_load_n(&w->quit, __ATOMIC_ACQUIRE) && w->failed >= 0; w->n++) {
		size_t page = w->n % (N / 2) * 2 + !w->is_above;
		/* What is below never ends before what is above. */
		size_t end = N + w->n % 8 + 8 * !w->is_above;

		w->failed = sys(pwrite(w->fd, &w->n, sizeof(w->n), page * w->page));
		if (w->failed >= 0)
			w->failed = ps_resize(w->fd, end * w->page);
		if (w->failed >= 0 && w->is_above)
			w->failed = sys(fsync(w->fd));
	}
	return NULL;
}

static void *seal_lower(void *data)
{
	struct neighbour *w = data;

	w->failed = ps_add_seals(w->fd, F_SEAL_WRITE);
	return NULL;
}

TEST(an_object_over_the_memory_of_another)
{
	uint64_t until = now_ns() + test_rounds(2000, 10000) * NSEC_PER_MSEC;
	const size_t page = page_size();
	unsigned int rounds;

	for (rounds = 0; rounds < 4 || now_ns() < until; rounds++) {
		struct neighbour w[2] = { { .page = page }, { .page = page, .is_above = true } };
		int memory = rounds % 2 ? memfd_open() : -1, ret;
		pthread_t threads[2];
		unsigned long last;
		char mark;

		w[0].fd = rounds % 2 ? import_open(memory) : ps_create(N * page);
		ASSERT_LE(0, w[0].fd);
		if (memory < 0)
			memory = ps_export(w[0].fd, 0);
		ASSERT_LE(0, memory);
		ASSERT_EQ(0, fill_lower(memory, N * page));
		w[1].fd = ps_open(O_RDWR);
		ASSERT_EQ(0, ps_attach(w[1].fd, memory, 0));
		/* Also the other's pages are there above, as they were. */
		ASSERT_EQ(-1, differs_from_lower(w[1].fd, memory));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, write_and_resize, &w[i]));
		sleep_ns(20 * NSEC_PER_MSEC);
		for (int i = 0; i < 2; i++) {
			__atomic_store_n(&w[i].quit, true, __ATOMIC_RELEASE);
			pthread_join(threads[i], NULL);
			ASSERT_LE(0, w[i].failed) TH_LOG("object %d", i);
		}
		ASSERT_EQ(0, sys(fsync(w[1].fd)));
		for (int i = 0; i < 2; i++) {
			for (unsigned long n = w[i].n > N / 2 ? w[i].n - N / 2 : 1; n < w[i].n; n++) {
				size_t at = (n % (N / 2) * 2 + !i) * page;

				ASSERT_EQ(sizeof(last), sys(pread(memory, &last, sizeof(last), at)));
				ASSERT_EQ(n, last) TH_LOG("object %d, page %zu", i, at / page);
			}
		}
		/* The one is sealed beside syncs of the other, which is sealed then. */
		ASSERT_EQ(0, pthread_create(&threads[0], NULL, seal_lower, &w[0]));
		w[1].failed = 0;
		for (int i = 0; i < 20 && !w[1].failed; i++) {
			ASSERT_EQ(1, sys(pwrite(w[1].fd, "w", 1, i % N * page)));
			w[1].failed = sys(fsync(w[1].fd));
		}
		EXPECT_TRUE(!w[1].failed || w[1].failed == -EPERM) TH_LOG("fsync: %ld", w[1].failed);
		ret = ps_add_seals(w[1].fd, F_SEAL_WRITE);
		EXPECT_TRUE(!ret || ret == -EPERM) TH_LOG("seal: %d", ret);
		pthread_join(threads[0], NULL);
		EXPECT_EQ(0, w[0].failed);
		/* Behind the numbers. */
		mark = lower_byte(100) + 1;
		if (!ret) {
			EXPECT_EQ(-EPERM, sys(pwrite(w[1].fd, &mark, 1, 100)));
		} else {
			ASSERT_EQ(1, sys(pwrite(w[1].fd, &mark, 1, 100)));
			EXPECT_EQ(-EPERM, sys(fsync(w[1].fd)));
		}
		EXPECT_EQ(lower_byte(100), byte_of(memory, 100));
		close(w[1].fd);
		close(w[0].fd);
		close(memory);
	}
	TH_LOG("%u rounds", rounds);
}

/* Seals without a mapping that could store, and maps to read. */
static void seal_unmapped(struct __test_metadata *_metadata, FIXTURE_DATA(stacked) *self,
			  struct pinseal_seal *seal)
{
	munmap(self->p, N * self->page);
	ASSERT_EQ(0, ps_seal(self->fd, seal));
	if (seal->flags & PINSEAL_SEAL_ASYNC) {
		ASSERT_EQ(0, async_wait(self->fd, seal));
	}
	EXPECT_EQ(PINSEAL_OUTCOME_SEALED, seal->outcome);
	self->p = ps_map(self->fd, N * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->p);
}

TEST_F(stacked, an_isolated_page_is_written)
{
	struct pinseal_seal seal = seal_write(LONG_NS);
	int pin = ps_pin(self->fd, 5, 1, 0);

	ASSERT_LE(0, pin);
	ASSERT_EQ(1, sys(pwrite(pin, "p", 1, 3)));
	seal.flags = PINSEAL_SEAL_ISOLATE;
	seal.max_scans = 3;
	seal_unmapped(_metadata, self, &seal);
	EXPECT_LE(1, seal.isolated_pages);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, sys(fsync(self->fd)));
		EXPECT_EQ('p', self->p[5 * self->page + 3]);
		EXPECT_EQ('p', byte_of(self->lower, 5 * self->page + 3));
		EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
		/* The pin has the old page. */
		ASSERT_EQ(1, sys(pwrite(pin, "q", 1, 3)));
	}
	EXPECT_EQ('p', self->p[5 * self->page + 3]);
	close(pin);
}

TEST_F(stacked, what_a_lease_has_stored_is_sealed_and_written)
{
	struct pinseal_seal seal = seal_write(LONG_NS);
	int lease = ps_lease(self->fd, 5, 2, NSEC_PER_MSEC);

	ASSERT_LE(0, lease);
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(lease, 0));
	ASSERT_EQ(1, sys(pwrite(lease, "l", 1, self->page + 3)));
	seal.flags = PINSEAL_SEAL_REVOKE;
	seal_unmapped(_metadata, self, &seal);
	EXPECT_EQ(2, seal.revoked_pages);
	EXPECT_EQ(-ESTALE, sys(pwrite(lease, "m", 1, self->page + 3)));
	close(lease);
	EXPECT_EQ('l', self->p[6 * self->page + 3]);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ('l', byte_of(self->lower, 6 * self->page + 3));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

TEST_F(stacked, an_asynchronous_seal_fills_and_syncs)
{
	struct pinseal_seal seal = seal_async(F_SEAL_WRITE, LONG_NS);

	self->p[5 * self->page] = 's';
	seal_unmapped(_metadata, self, &seal);
	EXPECT_EQ(F_SEAL_WRITE, ps_get_seals(self->fd));
	EXPECT_EQ('s', byte_of(self->lower, 5 * self->page));
	ASSERT_EQ(1, sys(pwrite(self->lower, "l", 1, 9 * self->page)));
	EXPECT_EQ('s', self->p[5 * self->page]);
	EXPECT_LOWER(6 * self->page, self->size);
}

/* A fault must not depend on that program, nor go past it. */
TEST_F(stacked, a_file_is_refused_of_which_a_program_is_asked)
{
	const uint64_t events[] = { FAN_ACCESS_PERM, FAN_PRE_ACCESS };
	int watch, tried = 0, fd = ps_open(O_RDWR);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->lower);
	for (int i = 0; i < 2; i++) {
		watch = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY);
		if (watch < 0 || fanotify_mark(watch, FAN_MARK_ADD, events[i], AT_FDCWD, path))
			continue;
		EXPECT_EQ(-EOPNOTSUPP, ps_attach(fd, self->lower, 0));
		close(watch);
		tried++;
	}
	EXPECT_EQ(0, ps_attach(fd, self->lower, 0));
	close(fd);
	if (!tried)
		SKIP(return, "no such programs");
}

/* As by any change of the file by a user who may not set them. */
TEST_F(stacked, a_new_size_drops_setuid_bits)
{
	struct stat st;
	pid_t child;

	ASSERT_EQ(0, fchmod(self->lower, 06777));
	ASSERT_EQ(0, ps_resize(self->fd, self->size + self->page));
	child = ps_fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(setresuid(1000, 1000, 1000) || fsync(self->fd));
	EXPECT_EQ(0, ps_wait(child));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(self->size + self->page, st.st_size);
	EXPECT_EQ(0777, st.st_mode & 07777);
}

/* A size that is set again is no change. */
TEST_F(stacked, a_size_that_is_the_same)
{
	int fd = ps_open(O_RDWR);

	ASSERT_EQ(0, fill_lower(self->lower, self->page + 100));
	ASSERT_EQ(0, ftruncate(self->lower, self->page + 100));
	ASSERT_EQ(0, ps_attach(fd, self->lower, PINSEAL_ATTACH_RDONLY));
	ASSERT_EQ(0, ps_resize(fd, self->page + 100));
	EXPECT_EQ(0, sys(fsync(fd)));
	ASSERT_EQ(0, ps_resize(fd, self->page + 99));
	EXPECT_EQ(-EROFS, sys(fsync(fd)));
	close(fd);
}

/* What it needs before it begins is not asked for again by who comes for its result. */
TEST_F(stacked, the_result_of_an_asynchronous_seal_is_there)
{
	struct pinseal_seal seal = seal_async(F_SEAL_WRITE | F_SEAL_SEAL, LONG_NS), again = seal;

	seal_unmapped(_metadata, self, &seal);
	EXPECT_EQ(F_SEAL_WRITE | F_SEAL_SEAL, ps_get_seals(self->fd));
	EXPECT_FALSE(async_ended(self->fd));
	EXPECT_EQ(-EPERM, ps_seal(self->fd, &again));
}

TEST_F(stacked, a_resize_waits_for_pins)
{
	struct pinseal_resize resize = {
		.size = 4 * self->page + 7,
		.flags = PINSEAL_RESIZE_WAIT,
		.timeout_ns = 20 * NSEC_PER_MSEC,
	};
	int pin = ps_pin(self->fd, 10, 1, 0);
	struct stat st;

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &resize));
	EXPECT_EQ(10, resize.first_pinned);
	EXPECT_EQ(self->size, ps_size(self->fd));
	EXPECT_LOWER(0, self->size);
	close(pin);
	resize.waited_ns = 0;
	resize.timeout_ns = LONG_NS;
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_RESIZE, &resize));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	ASSERT_EQ(0, fstat(self->lower, &st));
	EXPECT_EQ(4 * self->page + 7, st.st_size);
	/* What was cut off does not come from below again. */
	ASSERT_EQ(0, ps_resize(self->fd, self->size));
	EXPECT_LOWER(0, 4 * self->page + 7);
	EXPECT_EQ(-1, not_zero(self->p, 4 * self->page + 7, self->size));
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

TEST_F(stacked, a_punch_waits_for_pins)
{
	struct pinseal_fallocate punch = {
		.mode = PUNCH,
		.flags = PINSEAL_FALLOCATE_WAIT,
		.offset = 8 * self->page + 5,
		.len = 4 * self->page,
		.timeout_ns = 20 * NSEC_PER_MSEC,
	};
	int pin = ps_pin(self->fd, 10, 1, 0);

	ASSERT_LE(0, pin);
	EXPECT_EQ(-EBUSY, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch));
	EXPECT_EQ(10, punch.first_pinned);
	EXPECT_LOWER(0, self->size);
	close(pin);
	punch.waited_ns = 0;
	punch.timeout_ns = LONG_NS;
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_FALLOCATE, &punch));
	EXPECT_LOWER(0, 8 * self->page + 5);
	EXPECT_EQ(-1, not_zero(self->p, 8 * self->page + 5, 12 * self->page + 5));
	EXPECT_LOWER(12 * self->page + 5, self->size);
	ASSERT_EQ(0, sys(fsync(self->fd)));
	EXPECT_EQ(-1, differs_from_lower(self->fd, self->lower));
}

/* A new file of N pages with a name, in the folder of the lower files: its descriptor. */
static int named_file(FIXTURE_DATA(stacked) *self, const char *dir, char path[128])
{
	int fd, ret;

	snprintf(path, 128, "%s/named-XXXXXX", self->disk.dir[0] ? self->disk.dir : dir);
	fd = sys(mkostemp(path, O_CLOEXEC));
	ret = fd < 0 ? fd : fill_lower(fd, N * self->page);
	return ret ?: fd;
}

/* As with any open file: what has the name now is another one. */
TEST_F(stacked, a_lower_file_that_was_replaced_is_written_to)
{
	char old_path[128], new_path[128];
	int fd, old, new;

	if (!variant->disk && !variant->dir)
		SKIP(return, "no names there");
	fd = ps_open(O_RDWR);
	old = named_file(self, variant->dir, old_path);
	ASSERT_LE(0, old);
	ASSERT_EQ(0, ps_attach(fd, old, 0));
	new = named_file(self, variant->dir, new_path);
	ASSERT_LE(0, new);
	ASSERT_EQ(0, rename(new_path, old_path));
	ASSERT_EQ(1, sys(pwrite(fd, "w", 1, 5 * self->page)));
	EXPECT_EQ(0, sys(fsync(fd)));
	EXPECT_EQ('w', byte_of(old, 5 * self->page));
	EXPECT_EQ(lower_byte(5 * self->page), byte_of(new, 5 * self->page));
	EXPECT_EQ(0, ps_add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(-1, differs_from_lower(fd, old));
	unlink(old_path);
	close(fd);
	close(old);
	close(new);
}

/* Stores to every second page, and syncs. */
struct owner {
	int fd, lower;
	size_t page, first;
	char *p;
	bool quit;
	unsigned long n;
	const char *failed;
};

static void *store_and_sync(void *data)
{
	struct owner *o = data;
	unsigned long below;

	for (o->n = 1; !o->failed && !__atomic_load_n(&o->quit, __ATOMIC_ACQUIRE); o->n++) {
		for (size_t i = o->first; i < N; i += 2)
			*(volatile unsigned long *)(o->p + i * o->page) = o->n;
		if (fsync(o->fd))
			o->failed = "fsync()";
		for (size_t i = o->first; i < N; i += 2)
			if (pread(o->lower, &below, sizeof(below), i * o->page) != sizeof(below) ||
			    below != o->n)
				o->failed = "a page has something else";
	}
	return NULL;
}

TEST_F(stacked, two_mounts_of_one_file)
{
	uint64_t until = now_ns() + test_rounds(1000, 8000) * NSEC_PER_MSEC;
	char dirs[2][32] = { "/tmp/bind-XXXXXX", "/tmp/bind-XXXXXX" }, path[128], there[192];
	struct owner o[2];
	pthread_t threads[2];
	int file;

	if (!variant->disk && !variant->dir)
		SKIP(return, "no mounts there");
	file = named_file(self, variant->dir, path);
	ASSERT_LE(0, file);
	close(file);
	for (int i = 0; i < 2; i++) {
		ASSERT_NE(NULL, mkdtemp(dirs[i]));
		ASSERT_EQ(0, sys(mount(variant->disk ? self->disk.dir : variant->dir, dirs[i], NULL,
				       MS_BIND, NULL)));
		snprintf(there, sizeof(there), "%s%s", dirs[i], strrchr(path, '/'));
		o[i] = (struct owner){ .page = self->page, .first = i };
		o[i].lower = open(there, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, o[i].lower);
		o[i].fd = ps_open(O_RDWR);
		ASSERT_EQ(0, ps_attach(o[i].fd, o[i].lower, 0));
		o[i].p = ps_map(o[i].fd, N * self->page, RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, o[i].p);
		/* Each has all pages, the other's as they were. */
		EXPECT_EQ(-1, differs(o[i].p, 0, N * self->page));
	}
	unlink(path);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, store_and_sync, &o[i]));
	while (now_ns() < until)
		sleep_ns(20 * NSEC_PER_MSEC);
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&o[i].quit, true, __ATOMIC_RELEASE);
		pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(NULL, o[i].failed) TH_LOG("mount %d: %s", i, o[i].failed);
		munmap(o[i].p, N * self->page);
		close(o[i].fd);
		close(o[i].lower);
		umount2(dirs[i], MNT_DETACH);
		rmdir(dirs[i]);
	}
	TH_LOG("%lu and %lu syncs", o[0].n, o[1].n);
}

TEST_HARNESS_MAIN
