// SPDX-License-Identifier: GPL-2.0-only
/* Programs in memfds and in objects of PINSEAL_IOC_CREATE: executed as they are sealed. */
#include <sys/syscall.h>

#include "harness.h"
#include "object.h"

#define WX_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define EXIT_STATUS	77

/* An object that holds this program. */
FIXTURE(program) {
	int fd;
};

ON_MEMFDS(program);

/* Copies this program to @fd: 0, or -errno. */
static int write_program(int fd)
{
	int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char buf[65536];
	ssize_t n;

	while ((n = read(exe, buf, sizeof(buf))) > 0) {
		if (write(fd, buf, n) != n)
			return -errno;
	}
	close(exe);
	return n < 0 ? -errno : 0;
}

/* Executes it with an argument: does not return, but with -errno. */
static int execute(int fd, const char *option, const char *value)
{
	char *const argv[] = { "program", (char *)option, (char *)value, NULL };

	return sys(syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH));
}

/* Its exit status, or errno. */
static int run(int fd)
{
	pid_t pid = ps_fork();

	if (!pid)
		_exit(-execute(fd, "--exit", "77"));
	return ps_wait(pid);
}

FIXTURE_SETUP(program)
{
	self->fd = obj_open(variant->kind);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, write_program(self->fd));
}

FIXTURE_TEARDOWN(program)
{
	close(self->fd);
}

TEST_F(program, runs_from_a_descriptor_open_for_writing)
{
	EXPECT_EQ(EXIT_STATUS, run(self->fd));
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	EXPECT_EQ(EXIT_STATUS, run(self->fd));
	EXPECT_EQ(-EPERM, sys(pwrite(self->fd, "x", 1, 0)));
}

TEST_F(program, runs_sealed_for_execution)
{
	ASSERT_EQ(0, obj_add_seals(self->fd, F_SEAL_EXEC));
	EXPECT_EQ(F_SEAL_EXEC | WX_SEALS, obj_get_seals(self->fd));
	EXPECT_EQ(EXIT_STATUS, run(self->fd));
}

TEST_F(program, does_not_run_while_open_for_writing_elsewhere)
{
	int plain = open_by_proc(self->fd, O_RDWR);

	ASSERT_LE(0, plain);
	EXPECT_EQ(ETXTBSY, run(self->fd));
	close(plain);
	EXPECT_EQ(EXIT_STATUS, run(self->fd));
	/* Only the descriptor that made it does not count. */
	if (variant->kind == CREATED) {
		int reopened = ps_reopen(self->fd, O_RDWR);

		ASSERT_LE(0, reopened);
		EXPECT_EQ(ETXTBSY, run(self->fd));
		close(reopened);
		EXPECT_EQ(EXIT_STATUS, run(self->fd));
	}
}

TEST_F(program, does_not_run_if_it_is_not_executable)
{
	int fd = variant->kind == CREATED ?
		 created_open(PINSEAL_CREATE_NOEXEC_SEAL, "noexec") :
		 sys(memfd_create("noexec", MFD_CLOEXEC | MFD_NOEXEC_SEAL));

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, write_program(fd));
	EXPECT_EQ(EACCES, run(fd));
	EXPECT_EQ(-EPERM, sys(fchmod(fd, 0777)));
	EXPECT_EQ(EACCES, run(fd));
	EXPECT_EQ(0, ps_try_map(fd, page_size(), PROT_READ | PROT_EXEC, MAP_PRIVATE));
	close(fd);
}

TEST_F(program, cannot_be_opened_for_writing_while_it_runs)
{
	char number[16], c;
	int pipefd[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(pipefd));
	pid = ps_fork();
	if (!pid) {
		snprintf(number, sizeof(number), "%d", pipefd[1]);
		_exit(-execute(self->fd, "--stay", number));
	}
	close(pipefd[1]);
	ASSERT_EQ(1, sys(read(pipefd[0], &c, 1)));
	EXPECT_EQ(-ETXTBSY, open_by_proc(self->fd, O_RDWR));
	EXPECT_LE(0, open_by_proc(self->fd, O_RDONLY));
	EXPECT_EQ(-ETXTBSY, import_open(self->fd));
	if (variant->kind == CREATED) {
		EXPECT_EQ(-ETXTBSY, ps_export(self->fd, 0));
		EXPECT_EQ(-ETXTBSY, ps_reopen(self->fd, O_RDWR));
		EXPECT_LE(0, ps_reopen(self->fd, O_RDONLY));
	}
	/* Its pages are mapped, but private. */
	EXPECT_EQ(0, obj_add_seals(self->fd, F_SEAL_WRITE | F_SEAL_SHRINK));
	ps_kill(pid);
	close(pipefd[0]);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--exit"))
		return atoi(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--stay")) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(atoi(argv[2]), "s", 1) != 1)
			return 1;
		pause();
	}
	return test_harness_run(argc, argv);
}
