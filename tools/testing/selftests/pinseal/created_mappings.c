// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of a descriptor of PINSEAL_IOC_CREATE are those of a memfd to the kernel: their
 * flags, what system calls do with them, and what other users of memory make of them.
 */
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "harness.h"
#include "as_memfd_fixture.h"
#include "udmabuf.h"
#include "userfaultfd.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA		0x53564d41
#define PR_SET_VMA_ANON_NAME	0
#endif

/* A device cannot refuse before the old mapping is gone. */
TEST_F(as_memfd, refused_mapping_leaves_the_old_one_alone)
{
	static const uint32_t seals[] = { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE };
	char *old = ps_map(-1, self->len, RW, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_NE(MAP_FAILED, old);
	memset(old, 'o', self->len);
	for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
		ASSERT_EQ(0, fcntl_add_seals(self->fd, seals[i]));
		errno = 0;
		EXPECT_EQ(MAP_FAILED,
			  mmap(old, self->len, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
		EXPECT_EQ(EPERM, errno);
		for (size_t at = 0; at < self->len; at += self->page) {
			ASSERT_EQ(0, ps_touch(old + at, true));
			EXPECT_EQ('o', old[at]);
		}
	}
	/* Read-only, it replaces the old one. */
	ASSERT_EQ(old, mmap(old, self->len, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd, 0));
	EXPECT_TRUE(is_filled(old, self->len, 1));
}

TEST_F(as_memfd, shares_a_futex_with_the_plain_descriptor)
{
	int plain = open_by_proc(self->fd, O_RDWR);
	uint32_t *p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	uint64_t until = now_ns() + SOON_NS;
	int woken = 0;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 0;
	pid = ps_fork();
	if (!pid) {
		uint32_t *q = ps_map(plain, self->page, RW, MAP_SHARED);

		_exit(q == MAP_FAILED || syscall(SYS_futex, q, FUTEX_WAIT, 0, NULL, NULL, 0));
	}
	while (!woken && now_ns() < until) {
		woken = syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0);
		sleep_ns(NSEC_PER_MSEC);
	}
	EXPECT_EQ(1, woken);
	if (!woken)
		ps_kill(pid);
	else
		EXPECT_EQ(0, ps_wait(pid));
	close(plain);
}

TEST_F(as_memfd, is_mapped_with_the_same_flags)
{
	static const struct {
		int prot, flags;
	} rows[] = {
		{ RW, 0 }, { RW, MAP_SHARED_VALIDATE }, { RW, MAP_SHARED_VALIDATE | MAP_SYNC },
		{ RW, MAP_SHARED | MAP_HUGETLB }, { RW, MAP_SHARED | MAP_GROWSDOWN },
		{ RW, MAP_PRIVATE | MAP_GROWSDOWN }, { RW, MAP_SHARED | MAP_NORESERVE },
		{ RW, MAP_SHARED | MAP_LOCKED }, { RW, MAP_SHARED | MAP_POPULATE },
		{ PROT_NONE, MAP_SHARED }, { PROT_WRITE, MAP_SHARED },
		{ PROT_READ | PROT_EXEC, MAP_SHARED }, { RW | PROT_EXEC, MAP_PRIVATE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(ps_try_map(self->memfd, self->len, rows[i].prot, rows[i].flags),
			  ps_try_map(self->fd, self->len, rows[i].prot, rows[i].flags)) {
			TH_LOG("row %zu", i);
		}
	}
}

TEST_F(as_memfd, takes_the_same_advice)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	char *q = ps_map(self->memfd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	for (int advice = 0; advice <= 25; advice++) {
		EXPECT_EQ(sys(madvise(q, self->len, advice)), sys(madvise(p, self->len, advice))) {
			TH_LOG("advice %d", advice);
		}
		EXPECT_EQ(0, memcmp(q, p, self->len)) {
			TH_LOG("bytes after advice %d", advice);
		}
	}
}

TEST_F(as_memfd, is_locked_in_memory_and_synced)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	unsigned char there[PAGES];

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, sys(mlock(p, self->len)));
	EXPECT_EQ(-EBUSY, sys(msync(p, self->len, MS_SYNC | MS_INVALIDATE)));
	EXPECT_EQ(0, sys(munlock(p, self->len)));
	EXPECT_EQ(0, sys(msync(p, self->len, MS_SYNC)));
	EXPECT_EQ(0, sys(msync(p, self->len, MS_ASYNC)));
	ASSERT_EQ(0, sys(madvise(p + self->page, self->page, MADV_REMOVE)));
	ASSERT_EQ(0, sys(mincore(p, self->len, there)));
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(i != 1, there[i] & 1);
	EXPECT_TRUE(is_zero(p + self->page, self->page));
}

/* Also by mlock() and madvise(): a garbage collector would have as many mappings as pages otherwise. */
TEST_F(as_memfd, has_mappings_that_merge_again)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(mprotect(p + self->page, self->page, PROT_READ)));
	ASSERT_EQ(0, sys(mprotect(p + self->page, self->page, RW)));
	/* Only a single mapping can grow. */
	EXPECT_NE(MAP_FAILED, mremap(p, self->len, 2 * self->len, MREMAP_MAYMOVE));
}

TEST_F(as_memfd, has_mappings_that_grow_and_move)
{
	char *p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	char *place = ps_map(-1, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_NE(MAP_FAILED, p);
	p = mremap(p, self->page, self->len, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_filled(p, self->len, 1));
	ASSERT_EQ(place, mremap(p, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	EXPECT_TRUE(is_filled(place, self->len, 1));
	/* A copy of a shared mapping. */
	p = mremap(place + self->page, 0, self->page, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 'r';
	EXPECT_EQ('r', place[self->page]);
}

TEST_F(as_memfd, has_mappings_that_move_together)
{
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	char *place = ps_map(-1, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, sys(mprotect(p, self->page, PROT_READ)));
	ASSERT_EQ(place, mremap(p, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	EXPECT_TRUE(is_filled(place, self->len, 1));
}

/* The line "VmFlags" of a mapping: 0, or -errno. */
static int vm_flags(const void *p, char *flags, size_t len)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	int ret = f ? -ENOENT : -errno;
	char line[512], start[32];
	bool found = false;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	while (ret == -ENOENT && fgets(line, sizeof(line), f)) {
		found |= !strncmp(line, start, strlen(start));
		if (found && !strncmp(line, "VmFlags:", 8)) {
			snprintf(flags, len, "%s", line);
			ret = 0;
		}
	}
	if (f)
		fclose(f);
	return ret;
}

TEST_F(as_memfd, has_mappings_with_the_same_flags)
{
	static const struct {
		int prot, flags;
	} rows[] = {
		{ RW, MAP_SHARED }, { PROT_READ, MAP_SHARED }, { RW, MAP_PRIVATE },
		{ PROT_READ | PROT_EXEC, MAP_PRIVATE }, { RW | PROT_EXEC, MAP_SHARED },
	};
	char a[512], b[512];

	for (int sealed = 0; sealed < 2; sealed++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			char *p = ps_map(self->fd, self->len, rows[i].prot, rows[i].flags);
			char *q = ps_map(self->memfd, self->len, rows[i].prot, rows[i].flags);

			if (q == MAP_FAILED) {
				EXPECT_EQ(MAP_FAILED, p);
				continue;
			}
			ASSERT_EQ(0, vm_flags(q, a, sizeof(a)));
			ASSERT_EQ(0, vm_flags(p, b, sizeof(b)));
			EXPECT_STREQ(a, b) {
				TH_LOG("row %zu, sealed %d", i, sealed);
			}
			munmap(p, self->len);
			munmap(q, self->len);
		}
		ASSERT_EQ(0, fcntl_add_seals(self->fd, F_SEAL_WRITE));
		ASSERT_EQ(0, fcntl_add_seals(self->memfd, F_SEAL_WRITE));
	}
}

/* The policy of a shared mapping is the file's. */
TEST_F(as_memfd, shares_its_memory_policy)
{
	int plain = open_by_proc(self->fd, O_RDWR), mode = -1;
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	char *q = ps_map(plain, self->len, RW, MAP_SHARED);
	unsigned long nodes = 1;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(MAP_FAILED, q);
	if (syscall(SYS_mbind, p, self->len, MPOL_BIND, &nodes, 2, 0) && errno == ENOSYS)
		SKIP(return, "no NUMA");
	ASSERT_EQ(0, sys(syscall(SYS_get_mempolicy, &mode, NULL, 0, q, MPOL_F_ADDR)));
	EXPECT_EQ(MPOL_BIND, mode);
	close(plain);
}

TEST_F(as_memfd, has_mappings_that_can_be_named)
{
	char *p = ps_map(self->fd, self->page, RW, MAP_SHARED);
	char *q = ps_map(self->memfd, self->page, RW, MAP_SHARED);

	EXPECT_EQ(sys(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, q, self->page, "named")),
		  sys(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, self->page, "named")));
}

TEST_F(as_memfd, is_watched_by_userfaultfd)
{
	static const uint64_t modes[] = {
		UFFDIO_REGISTER_MODE_WP, UFFDIO_REGISTER_MODE_MINOR, UFFDIO_REGISTER_MODE_MISSING,
	};
	char *p = ps_map(self->fd, self->len, RW, MAP_SHARED);
	char *q = ps_map(self->memfd, self->len, RW, MAP_SHARED);
	char *page = ps_map(-1, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS);

	ASSERT_NE(MAP_FAILED, p);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int uffd = uffd_open(), like = uffd_open();

		if (uffd < 0)
			SKIP(return, "no userfaultfd: %s", strerror(errno));
		EXPECT_EQ(uffd_register(like, q, self->len, modes[i]),
			  uffd_register(uffd, p, self->len, modes[i])) {
			TH_LOG("mode %#llx", (unsigned long long)modes[i]);
		}
		if (modes[i] == UFFDIO_REGISTER_MODE_MISSING) {
			memset(page, 'u', self->page);
			ASSERT_EQ(0, sys(fallocate(self->fd, PUNCH, self->page, self->page)));
			EXPECT_EQ(-EEXIST, uffd_copy(uffd, p, page, self->page));
			EXPECT_EQ(0, uffd_copy(uffd, p + self->page, page, self->page));
			EXPECT_EQ('u', p[self->page]);
		}
		close(uffd);
		close(like);
	}
}

TEST_F(as_memfd, is_memory_of_a_udmabuf)
{
	char *p;
	int buf;

	if (!udmabuf_is_there())
		SKIP(return, "no udmabuf");
	EXPECT_EQ(-EINVAL, udmabuf_make(self->fd, 0, self->len));
	ASSERT_EQ(0, memfd_add_seals(self->fd, F_SEAL_SHRINK));
	buf = udmabuf_make(self->fd, 0, self->len);
	ASSERT_LE(0, buf);
	p = ps_map(buf, self->len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(is_filled(p, self->len, 1));
	p[0] = 'd';
	ASSERT_EQ(1, sys(pread(self->fd, self->buf, 1, 0)));
	EXPECT_EQ('d', self->buf[0]);
	EXPECT_EQ(-EBUSY, memfd_add_seals(self->fd, F_SEAL_WRITE));
	munmap(p, self->len);
	close(buf);
	EXPECT_EQ(0, fcntl_add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(-EINVAL, udmabuf_make(self->fd, 0, self->len));
}

TEST_HARNESS_MAIN
