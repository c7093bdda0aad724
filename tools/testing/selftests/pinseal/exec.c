// SPDX-License-Identifier: GPL-2.0-only
/*
 * Seals of execution: F_SEAL_EXEC as memfd has it, and PINSEAL_F_SEAL_FUTURE_EXEC.
 */
#include <sched.h>
#include <sys/personality.h>

#include "harness.h"
#include "bytes.h"
#include "holders.h"
#include "sealer.h"
#include "sysfile.h"
#include "alias.h"

#define WX_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

/* F_SEAL_EXEC: on memfds, and on objects, which have the mode of their memory */

FIXTURE(exec) {
	int fd;
	int mode_fd;		/* for fstat() and fchmod() */
};

ON_EVERY_KIND(exec);

FIXTURE_SETUP(exec)
{
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, obj_resize(self->fd, page_size()));
	self->mode_fd = variant->kind == MEMFD ? dup(self->fd) : ps_export(self->fd, 0);
	ASSERT_LE(0, self->mode_fd);
	ASSERT_EQ(0, fchmod(self->mode_fd, 0777));
}

FIXTURE_TEARDOWN(exec)
{
	close(self->mode_fd);
	close(self->fd);
}

static int mode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : st.st_mode & 07777;
}

TEST_F(exec, seals_an_executable_object_for_write)
{
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_EXEC));
	EXPECT_EQ(F_SEAL_EXEC | WX_SEALS, obj_get_seals(self->fd));
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ(-EPERM, obj_resize(self->fd, 0));
	EXPECT_EQ(-EPERM, obj_resize(self->fd, 2 * page_size()));
	EXPECT_EQ(-EPERM, ps_try_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED));
}

TEST_F(exec, seals_only_the_mode_of_what_is_not_executable)
{
	ASSERT_EQ(0, fchmod(self->mode_fd, 0644));
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_EXEC));
	EXPECT_EQ(F_SEAL_EXEC, obj_get_seals(self->fd));
	EXPECT_EQ(1, sys(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ(0, obj_resize(self->fd, 0));
}

TEST_F(exec, freezes_the_bits_that_make_executable)
{
	static const int kept[] = { 0600, 0666, 0444, 0 }, refused[] = { 0777, 0700, 0670, 0605, 0100 };

	ASSERT_EQ(0, fchmod(self->mode_fd, 0644));
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_EXEC));
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		EXPECT_EQ(0, sys(fchmod(self->mode_fd, kept[i])));
		EXPECT_EQ(kept[i], mode_of(self->mode_fd));
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		EXPECT_EQ(-EPERM, sys(fchmod(self->mode_fd, refused[i]))) {
			TH_LOG("mode %o", refused[i]);
		}
		EXPECT_EQ(0, mode_of(self->mode_fd));
	}
}

TEST_F(exec, any_of_the_three_bits_counts)
{
	static const int modes[] = { 0100, 0010, 0001, 0711 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int fd = obj_open(variant->kind);
		int mode_fd;

		ASSERT_EQ(0, obj_resize(fd, page_size()));
		mode_fd = variant->kind == MEMFD ? dup(fd) : ps_export(fd, 0);
		ASSERT_EQ(0, fchmod(mode_fd, modes[i]));
		ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_EXEC));
		EXPECT_EQ(F_SEAL_EXEC | WX_SEALS, obj_get_seals(fd)) {
			TH_LOG("mode %o", modes[i]);
		}
		close(mode_fd);
		close(fd);
	}
}

TEST_F(exec, waits_for_writers_like_a_seal_for_write)
{
	char *p = ps_map(self->fd, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-EBUSY, obj_add_seals(self->fd, F_SEAL_EXEC));
	EXPECT_EQ(0, obj_get_seals(self->fd));
	/* Without executable bits only the mode is sealed. */
	ASSERT_EQ(0, fchmod(self->mode_fd, 0666));
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_EXEC));
	EXPECT_EQ(F_SEAL_EXEC, obj_get_seals(self->fd));
	p[0] = 'x';
}

/* Whether F_SEAL_WRITE is implied is known only when the seals are set. */
TEST_F(exec, covers_what_becomes_executable_while_it_waits)
{
	struct pinseal_seal arg = {
		.seals = F_SEAL_EXEC | F_SEAL_WRITE,
		.timeout_ns = 60 * NSEC_PER_SEC,
	};
	struct sealer sealer;
	struct hold hold;

	/* A memfd blocks chmod() while it waits. */
	if (variant->kind == MEMFD)
		return;
	ASSERT_EQ(0, fchmod(self->mode_fd, 0644));
	ASSERT_EQ(1, sys(pwrite(self->fd, "x", 1, 0)));
	ASSERT_EQ(0, hold_begin(&hold, HOLD_VMSPLICE, self->fd, 0, 1));
	ASSERT_EQ(0, sealer_start(&sealer, self->fd, arg));
	sleep_ns(50 * NSEC_PER_MSEC);
	EXPECT_FALSE(sealer_done(&sealer));
	ASSERT_EQ(0, fchmod(self->mode_fd, 0755));
	ASSERT_EQ(0, hold_end(&hold));
	EXPECT_EQ(0, sealer_join(&sealer));
	EXPECT_EQ(F_SEAL_EXEC | WX_SEALS, obj_get_seals(self->fd));
}

/* vm.memfd_noexec, in a PID namespace. */
TEST_F(exec, follows_the_rule_for_memfds)
{
	pid_t pid = ps_fork();

	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(1);
		pid = ps_fork();
		if (!pid) {
			int fd, mode_fd;

			if (write_text("/proc/sys/vm/memfd_noexec", "1"))
				_exit(2);
			fd = variant->kind == PINSEAL ? ps_open(O_RDWR) :
			     variant->kind == CREATED ?
			     created_open(PINSEAL_CREATE_ALLOW_SEALING, "rule") :
			     sys(memfd_create("rule", MFD_CLOEXEC | MFD_ALLOW_SEALING));
			if (variant->kind == IMPORTED)
				fd = import_open(fd);
			mode_fd = variant->kind == MEMFD ? fd : ps_export(fd, 0);
			if (mode_of(mode_fd) != 0666)
				_exit(3);
			if (obj_get_seals(fd) != F_SEAL_EXEC)
				_exit(4);
			_exit(fchmod(mode_fd, 0777) ? 0 : 5);
		}
		_exit(ps_wait(pid));
	}
	EXPECT_EQ(0, ps_wait(pid));
}

/* chmod() races the seal: what stays executable cannot change any more. */
struct toggler {
	int fd;
	bool over;
	unsigned long times;
};

static void *toggler_thread(void *data)
{
	struct toggler *t = data;

	while (!__atomic_load_n(&t->over, __ATOMIC_ACQUIRE)) {
		if (fchmod(t->fd, 0755) || fchmod(t->fd, 0644))
			sched_yield();
		__atomic_add_fetch(&t->times, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

TEST_F(exec, against_chmod)
{
	uint64_t until = now_ns() + test_rounds(400, 2000) * NSEC_PER_MSEC;
	unsigned int executable = 0, plain = 0;
	/* Any result of a memfd is accepted. */
	bool both = sysconf(_SC_NPROCESSORS_ONLN) > 1 && variant->kind != MEMFD;

	/* Which comes first is luck; the test runs until each has. */
	while (now_ns() < until || (both && (!executable || !plain))) {
		int fd = obj_open(variant->kind), seals;
		struct toggler t = { 0 };
		pthread_t thread;

		ASSERT_EQ(0, obj_resize(fd, page_size()));
		t.fd = variant->kind == MEMFD ? dup(fd) : ps_export(fd, 0);
		ASSERT_LE(0, t.fd);
		ASSERT_EQ(0, pthread_create(&thread, NULL, toggler_thread, &t));
		while (__atomic_load_n(&t.times, __ATOMIC_ACQUIRE) < 1 + (executable + plain) % 5)
			;
		ASSERT_EQ(0, obj_add_seals(fd, F_SEAL_EXEC));
		seals = obj_get_seals(fd);
		__atomic_store_n(&t.over, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		if (mode_of(t.fd) & 0111) {
			EXPECT_EQ(F_SEAL_EXEC | WX_SEALS, seals);
			executable++;
		} else {
			EXPECT_EQ(F_SEAL_EXEC, seals & ~WX_SEALS);
			plain++;
		}
		close(t.fd);
		close(fd);
	}
	TH_LOG("%u times executable, %u times not", executable, plain);
}

/* PINSEAL_F_SEAL_FUTURE_EXEC */

FIXTURE(future_exec) {
	int fd;
	size_t len;
};

FIXTURE_SETUP(future_exec)
{
	self->len = 4 * page_size();
	self->fd = ps_create(self->len);
	ASSERT_LE(0, self->fd);
	if (ps_try_map(self->fd, self->len, PROT_EXEC, MAP_SHARED))
		SKIP(return, "/dev is mounted noexec");
}

FIXTURE_TEARDOWN(future_exec)
{
	close(self->fd);
}

TEST_F(future_exec, is_shown)
{
	struct pinseal_info info;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	EXPECT_EQ(PINSEAL_F_SEAL_FUTURE_EXEC, info.seals & PINSEAL_F_SEAL_FUTURE_EXEC);
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	EXPECT_EQ(PINSEAL_F_SEAL_FUTURE_EXEC, ps_get_seals(self->fd));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_GROW));
	EXPECT_EQ(PINSEAL_F_SEAL_FUTURE_EXEC | F_SEAL_GROW, ps_get_seals(self->fd));
}

TEST_F(future_exec, forbids_new_executable_mappings)
{
	static const int prots[] = {
		PROT_EXEC, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
	};

	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	for (size_t i = 0; i < ARRAY_SIZE(prots); i++) {
		EXPECT_EQ(-EPERM, ps_try_map(self->fd, self->len, prots[i], MAP_SHARED));
		EXPECT_EQ(-EPERM, ps_try_map(self->fd, self->len, prots[i], MAP_PRIVATE));
	}
	EXPECT_EQ(0, ps_try_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(0, ps_try_map(self->fd, self->len, PROT_READ, MAP_PRIVATE));
}

TEST_F(future_exec, new_mappings_cannot_become_executable)
{
	char *shared, *private;

	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	shared = ps_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED);
	private = ps_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(-EACCES, sys(mprotect(shared, self->len, PROT_READ | PROT_EXEC)));
	EXPECT_EQ(-EACCES, sys(mprotect(private, self->len, PROT_READ | PROT_EXEC)));
	EXPECT_EQ(0, sys(mprotect(shared, self->len, PROT_READ)));
	EXPECT_EQ(0, sys(mprotect(shared, self->len, PROT_READ | PROT_WRITE)));
	shared[0] = 'x';
}

TEST_F(future_exec, old_mappings_cannot_become_executable)
{
	char *shared = ps_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *private = ps_map(self->fd, self->len, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	size_t page = page_size();

	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, private);
	/* Allowed until now. */
	ASSERT_EQ(0, sys(mprotect(shared, page, PROT_READ | PROT_EXEC)));
	ASSERT_EQ(0, sys(mprotect(shared, page, PROT_READ | PROT_WRITE)));
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));

	EXPECT_EQ(-EACCES, sys(mprotect(shared, self->len, PROT_READ | PROT_EXEC)));
	EXPECT_EQ(-EACCES, sys(mprotect(shared + page, page, PROT_EXEC)));
	EXPECT_EQ(-EACCES, sys(mprotect(private, self->len, PROT_READ | PROT_EXEC)));
	/* Nor mappings derived from it: split, moved, inherited. */
	private = mremap(private, self->len, 2 * self->len, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(-EACCES, sys(mprotect(private, page, PROT_READ | PROT_EXEC)));
	munmap(shared + page, page);
	EXPECT_EQ(-EACCES, sys(mprotect(shared, page, PROT_READ | PROT_EXEC)));
	EXPECT_EQ(-EACCES, sys(mprotect(shared + 2 * page, page, PROT_READ | PROT_EXEC)));
	if (!ps_fork())
		_exit(sys(mprotect(shared, page, PROT_EXEC)) != -EACCES);
	EXPECT_EQ(0, ps_wait(-1));
	shared[0] = 'x';
}

TEST_F(future_exec, leaves_executable_mappings_alone)
{
	char *p = ps_map(self->fd, self->len, PROT_READ | PROT_EXEC, MAP_SHARED);
	size_t page = page_size();

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	EXPECT_EQ(0, p[0]);
	/* Executable permission may be dropped, but not regained. */
	EXPECT_EQ(0, sys(mprotect(p, page, PROT_READ | PROT_WRITE | PROT_EXEC)));
	EXPECT_EQ(0, sys(mprotect(p, page, PROT_READ)));
	EXPECT_EQ(-EACCES, sys(mprotect(p, page, PROT_READ | PROT_EXEC)));
	EXPECT_EQ(0, sys(mprotect(p + page, page, PROT_READ | PROT_EXEC)));
}

TEST_F(future_exec, with_read_implies_exec)
{
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	if (!ps_fork()) {
		personality(READ_IMPLIES_EXEC);
		_exit(ps_try_map(self->fd, self->len, PROT_READ, MAP_PRIVATE) != -EPERM);
	}
	EXPECT_EQ(0, ps_wait(-1));
}

TEST_F(future_exec, is_not_a_seal_of_the_memory)
{
	int fd = ps_export(self->fd, 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	EXPECT_EQ(F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
}

TEST_F(future_exec, is_refused_after_seal_seal)
{
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SEAL));
	EXPECT_EQ(-EPERM, ps_add_seals(self->fd, PINSEAL_F_SEAL_FUTURE_EXEC));
	EXPECT_EQ(0, ps_try_map(self->fd, self->len, PROT_READ | PROT_EXEC, MAP_SHARED));
}

TEST_HARNESS_MAIN
