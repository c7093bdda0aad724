// SPDX-License-Identifier: GPL-2.0-only
/* The programs of samples/pinseal: the first two run against each other, the others alone. */
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

#include "pinseal_test.h"

#include "harness.h"

#define SOCKET		"pinseal-example"

/* A running program and its output. */
struct program {
	pid_t pid;
	int output;
	char text[512];
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
	EXPECT_SAYS(&self->sealer, "; 0 pages were revoked");
}

TEST_F(examples, holder_is_revoked)
{
	ASSERT_EQ(0, program_start(&self->holder, lease_holder_main, "busy"));
	EXPECT_EQ(0, program_end(&self->holder));
	EXPECT_EQ(0, program_end(&self->sealer));
	EXPECT_SAYS(&self->holder, "lost the pages");
	EXPECT_SAYS(&self->sealer, "; 4 pages were revoked");
}

static int collector_main(int argc, char **argv)
{
	return write_barrier_main();
}

TEST(write_barrier)
{
	struct program collector;

	ASSERT_EQ(0, program_start(&collector, collector_main, NULL));
	EXPECT_EQ(0, program_end(&collector)) {
		TH_LOG("%s", collector.text);
	}
	EXPECT_SAYS(&collector, " of 4096 old pages, kept ");
}

static int guests_main(int argc, char **argv)
{
	return guest_pages_main();
}

TEST(guest_pages)
{
	struct program guests;

	ASSERT_EQ(0, program_start(&guests, guests_main, NULL));
	EXPECT_EQ(0, program_end(&guests)) {
		TH_LOG("%s", guests.text);
	}
	EXPECT_SAYS(&guests, "guests: 1000 switches of 203 pages by ");
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
