// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs of samples/pinseal: the first two run against each other, the others alone. The one in C++
 * is beside this program, unless no C++ compiler was there to build it.
 */
#define main lease_holder_main
#include "../../../../samples/pinseal/lease_holder.c"
#undef main
#define main sealer_main
#include "../../../../samples/pinseal/sealer.c"
#undef main
#define main write_barrier_main
#include "../../../../samples/pinseal/write_barrier.c"
#undef main

#define main guest_pages_main
#include "../../../../samples/pinseal/guest_pages.c"
#undef main
#define main log_store_main
#include "../../../../samples/pinseal/log_store.c"
#undef main
#define main messages_main
#include "../../../../samples/pinseal/messages.c"
#undef main
#define main buffer_pool_main
#include "../../../../samples/pinseal/buffer_pool.c"
#undef main
#define main sealed_main
#include "../../../../samples/pinseal/sealed.c"
#undef main

#include <limits.h>

#include "pinseal_test.h"

#include "harness.h"

#define SOCKET		"pinseal-example"

/* A sample without arguments. */
#define WITHOUT_ARGUMENTS(sample)						\
	static int run_##sample(int argc, char **argv) { return sample##_main(); }

WITHOUT_ARGUMENTS(write_barrier)
WITHOUT_ARGUMENTS(guest_pages)
WITHOUT_ARGUMENTS(messages)
WITHOUT_ARGUMENTS(buffer_pool)
WITHOUT_ARGUMENTS(sealed)

/* A running program and its output. */
struct program {
	pid_t pid;
	int output;
	char text[1024];
};

static int program_start(struct program *p, int (*main)(int argc, char **argv), char *arg)
{
	char *argv[] = { "example", SOCKET, arg, NULL };
	int pipes[2];

	if (pipe(pipes))
		return -errno;
	p->pid = ps_fork();
	if (!p->pid) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		exit(main(arg ? 3 : 2, argv));
	}
	close(pipes[1]);
	p->output = pipes[0];
	return 0;
}

/* Waits for its end: the exit status. Fills @text. */
static int program_end(struct program *p)
{
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(p->text) - 1 &&
	       (n = read(p->output, p->text + len, sizeof(p->text) - 1 - len)) > 0)
		len += n;
	p->text[len] = '\0';
	close(p->output);
	return ps_wait(p->pid);
}

FIXTURE(examples) {
	struct program sealer, holder;
};

FIXTURE_SETUP(examples)
{
	ASSERT_EQ(0, sys(chdir("/tmp")));
	unlink(SOCKET);
	ASSERT_EQ(0, program_start(&self->sealer, sealer_main, NULL));
	for (int i = 0; i < 60000 && access(SOCKET, F_OK); i++)
		sleep_ns(NSEC_PER_MSEC);
	ASSERT_EQ(0, access(SOCKET, F_OK));
}

FIXTURE_TEARDOWN(examples)
{
	unlink(SOCKET);
}

#define EXPECT_SAYS(program, what)						\
	EXPECT_NE(NULL, strstr((program)->text, what)) {			\
		TH_LOG("not \"%s\" in \"%s\"", what, (program)->text);		\
	}

TEST_F(examples, holder_releases)
{
	ASSERT_EQ(0, program_start(&self->holder, lease_holder_main, NULL));
	EXPECT_EQ(0, program_end(&self->holder));
	EXPECT_EQ(0, program_end(&self->sealer));
	EXPECT_SAYS(&self->holder, "requests the pages");
	EXPECT_SAYS(&self->holder, "releases them");
	EXPECT_SAYS(&self->sealer, "pages are held");
	EXPECT_SAYS(&self->sealer, "sealer: sealed after ");
	EXPECT_EQ(NULL, strstr(self->sealer.text, "revoked"));
}

TEST_F(examples, holder_is_revoked)
{
	ASSERT_EQ(0, program_start(&self->holder, lease_holder_main, "busy"));
	EXPECT_EQ(0, program_end(&self->holder));
	EXPECT_EQ(0, program_end(&self->sealer));
	EXPECT_SAYS(&self->holder, "lost the pages");
	EXPECT_SAYS(&self->sealer, ", 4 leased pages were revoked");
}

/* Runs a sample to its end, with success. */
#define RUN_SAMPLE(program, sample) do {					\
	ASSERT_EQ(0, program_start(program, run_##sample, NULL));		\
	EXPECT_EQ(0, program_end(program)) {					\
		TH_LOG("%s", (program)->text);					\
	}									\
} while (0)

TEST(write_barrier)
{
	struct program collector;

	RUN_SAMPLE(&collector, write_barrier);
	EXPECT_SAYS(&collector, " of 4096 old pages, kept ");
}

TEST(guest_pages)
{
	struct program guests;

	RUN_SAMPLE(&guests, guest_pages);
	EXPECT_SAYS(&guests, "guests: 1000 switches of 203 pages by ");
}

TEST(messages)
{
	struct program consumer;

	RUN_SAMPLE(&consumer, messages);
	EXPECT_SAYS(&consumer, "takes message 1, of 9992 bytes");
	EXPECT_SAYS(&consumer, "refuses message 2: not sealed: a shared mapping is writable");
	EXPECT_SAYS(&consumer, "refuses message 3: not sealed: 1 page is in use");
	EXPECT_SAYS(&consumer, "refuses message 4: its length is wrong");
}

TEST(buffer_pool)
{
	struct program pool;

	RUN_SAMPLE(&pool, buffer_pool);
	EXPECT_SAYS(&pool, "refuses a pool that may shrink");
	EXPECT_SAYS(&pool, "has its memory back, 0 pages were revoked");
	EXPECT_SAYS(&pool, "showed 20 frames, and was asked for the pages of 1");
}

TEST(sealed)
{
	struct program sealed;

	RUN_SAMPLE(&sealed, sealed);
	EXPECT_EQ(0, strncmp("sealed after ", sealed.text, 13)) {
		TH_LOG("%s", sealed.text);
	}
}

static int run_sealed_cc(int argc, char **argv)
{
	char path[PATH_MAX];

	path_beside(path, sizeof(path), "sealed_cc");
	execl(path, "sealed_cc", NULL);
	perror(path);
	return 126;
}

TEST(sealed_cc)
{
	struct program sealed;
	char path[PATH_MAX];

	path_beside(path, sizeof(path), "sealed_cc");
	if (access(path, F_OK))
		SKIP(return, "it was built without a C++ compiler");
	RUN_SAMPLE(&sealed, sealed_cc);
	EXPECT_EQ(0, strncmp("not sealed: 1 page is in use after ", sealed.text, 35)) {
		TH_LOG("%s", sealed.text);
	}
	EXPECT_SAYS(&sealed, ", page 0; ");
	EXPECT_SAYS(&sealed, "\nsealed after ");
}

static int log_writer_main(int argc, char **argv)
{
	return log_store_main(7, (char *[]){ "log_store", "/tmp/log", "put=one", "put=two", "commit",
					     "put=three", "snapshot", NULL });
}

static int log_reader_main(int argc, char **argv)
{
	return log_store_main(3, (char *[]){ "log_store", "/tmp/log", "snapshot", NULL });
}

TEST(log_store)
{
	struct program writer, reader;

	unlink("/tmp/log");
	ASSERT_EQ(0, program_start(&writer, log_writer_main, NULL));
	EXPECT_EQ(0, program_end(&writer)) {
		TH_LOG("%s", writer.text);
	}
	EXPECT_SAYS(&writer, "one\ntwo\nthree\n");
	/* What was not committed is not there. */
	ASSERT_EQ(0, program_start(&reader, log_reader_main, NULL));
	EXPECT_EQ(0, program_end(&reader));
	EXPECT_STREQ("one\ntwo\n", reader.text);
	unlink("/tmp/log");
}

TEST_HARNESS_MAIN
