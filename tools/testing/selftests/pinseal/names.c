// SPDX-License-Identifier: GPL-2.0-only
/* What is shown of an object: its name in /proc/PID/maps, and fdinfo. */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "harness.h"
#include "object.h"
#include "state.h"

#define JUNK		0xcc

/* Whether a word of /proc/self/maps ends in @what. */
static bool maps_show(const char *what)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *p = strstr(line, what);

		found = p && strchr(" \n", p[strlen(what)]);
	}
	if (f)
		fclose(f);
	return found;
}

FIXTURE(name) {
	int fd;
	char value[256];
};

FIXTURE_SETUP(name)
{
	self->fd = ps_open(O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(name)
{
	close(self->fd);
}

static bool name_is(FIXTURE_DATA(name) *self, const char *name)
{
	return !fdinfo_value(self->fd, "name", self->value, sizeof(self->value)) &&
	       !strcmp(self->value, name);
}

TEST_F(name, shows_in_fdinfo)
{
	ASSERT_EQ(0, ps_set_name(self->fd, "frame buffer 1"));
	EXPECT_TRUE(name_is(self, "frame buffer 1")) TH_LOG("name is %s", self->value);
}

/* So that the users of one memory are found: objects, memfds and handles. */
TEST_F(name, memory_and_handles_show_in_fdinfo)
{
	int memfd = memfd_open(), imported = ps_open(O_RDWR), pin;
	char object[32], value[32], device[32];
	struct stat st;

	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "memory", value, sizeof(value)));
	EXPECT_EQ(-ENOENT, fdinfo_value(self->fd, "memory-dev", value, sizeof(value)));
	ASSERT_EQ(0, ps_import(imported, memfd));
	ASSERT_EQ(0, fdinfo_value(imported, "memory", value, sizeof(value)));
	ASSERT_EQ(0, fstat(memfd, &st));
	EXPECT_EQ(st.st_ino, strtoull(value, NULL, 10));
	ASSERT_EQ(0, fdinfo_value(imported, "memory-dev", value, sizeof(value)));
	snprintf(device, sizeof(device), "%u:%u", major(st.st_dev), minor(st.st_dev));
	EXPECT_STREQ(device, value);
	ASSERT_EQ(0, fdinfo_value(imported, "object", object, sizeof(object)));
	ASSERT_EQ(0, ps_resize(imported, page_size()));
	pin = ps_pin(imported, 0, 1, 0);
	ASSERT_LE(0, pin);
	ASSERT_EQ(0, fdinfo_value(pin, "object", value, sizeof(value)));
	EXPECT_STREQ(object, value);
	close(pin);
	close(imported);
	close(memfd);
}

TEST_F(name, shows_in_maps)
{
	ASSERT_EQ(0, ps_set_name(self->fd, "frames"));
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_TRUE(maps_show("pinseal:frames"));
}

TEST_F(name, has_a_default_that_shows_in_maps)
{
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, fdinfo_value(self->fd, "name", self->value, sizeof(self->value)));
	if (self->value[0]) {
		char what[300];

		snprintf(what, sizeof(what), "pinseal:%s", self->value);
		EXPECT_TRUE(maps_show(what)) TH_LOG("%s", what);
	} else {
		EXPECT_TRUE(maps_show("pinseal") || maps_show("pinseal:"));
	}
}

TEST_F(name, can_be_as_long_as_the_struct_with_its_nul)
{
	struct pinseal_name arg;

	memset(arg.name, 'x', sizeof(arg.name));
	arg.name[sizeof(arg.name) - 1] = '\0';
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_SET_NAME, &arg));
	EXPECT_TRUE(name_is(self, arg.name)) TH_LOG("name is %s", self->value);
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_TRUE(maps_show(arg.name));
}

TEST_F(name, can_be_empty)
{
	EXPECT_EQ(0, ps_set_name(self->fd, ""));
}

TEST_F(name, ends_at_the_first_nul)
{
	struct pinseal_name arg;

	memset(&arg, JUNK, sizeof(arg));
	strcpy(arg.name, "short");
	ASSERT_EQ(0, ps_ioctl(self->fd, PINSEAL_IOC_SET_NAME, &arg));
	EXPECT_TRUE(name_is(self, "short")) TH_LOG("name is %s", self->value);
}

TEST_F(name, needs_a_nul)
{
	struct pinseal_name arg;

	memset(arg.name, 'x', sizeof(arg.name));
	EXPECT_EQ(-EINVAL, ps_ioctl(self->fd, PINSEAL_IOC_SET_NAME, &arg));
}

TEST_F(name, refuses_control_characters)
{
	for (int c = 1; c <= 0x7f; c++) {
		char name[] = { 'a', c, 'b', '\0' };

		if (c >= ' ' && c != 0x7f)
			continue;
		EXPECT_EQ(-EINVAL, ps_set_name(self->fd, name)) TH_LOG("character %#x", c);
		EXPECT_EQ(-EINVAL, ps_set_name(self->fd, name + 1)) TH_LOG("character %#x first", c);
	}
}

TEST_F(name, accepts_every_printable_character)
{
	for (int c = ' '; c < 0x7f; c++) {
		char name[] = { 'a', c, 'b', '\0' };

		EXPECT_EQ(0, ps_set_name(self->fd, name)) TH_LOG("character %#x", c);
		EXPECT_TRUE(name_is(self, name)) TH_LOG("character %#x: %s", c, self->value);
	}
}

TEST_F(name, can_be_utf8)
{
	static const char name[] = "\xc3\xa9t\xc3\xa9 \xe5\xb0\x81";	/* UTF-8 */
	char what[64];

	ASSERT_EQ(0, ps_set_name(self->fd, name));
	EXPECT_TRUE(name_is(self, name)) {
		TH_LOG("name is %s", self->value);
	}
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	snprintf(what, sizeof(what), "pinseal:%s", name);
	EXPECT_TRUE(maps_show(what));
}

TEST_F(name, can_be_set_again_before_use)
{
	ASSERT_EQ(0, ps_set_name(self->fd, "first"));
	ASSERT_EQ(0, ps_set_name(self->fd, "second"));
	EXPECT_TRUE(name_is(self, "second")) TH_LOG("name is %s", self->value);
	ASSERT_NE(MAP_FAILED, ps_map(self->fd, page_size(), PROT_READ, MAP_SHARED));
	EXPECT_TRUE(maps_show("pinseal:second"));
}

TEST_F(name, survives_a_refused_one)
{
	ASSERT_EQ(0, ps_set_name(self->fd, "first"));
	ASSERT_EQ(-EINVAL, ps_set_name(self->fd, "a\nb"));
	EXPECT_TRUE(name_is(self, "first")) TH_LOG("name is %s", self->value);
}

TEST_F(name, can_be_set_after_queries)
{
	struct pinseal_info info;
	struct pinseal_pins pins;

	ASSERT_EQ(0, ps_info(self->fd, &info));
	ASSERT_EQ(0, ps_get_seals(self->fd));
	ASSERT_EQ(0, ps_pins(self->fd, 0, NULL, 0, &pins));
	EXPECT_EQ(0, ps_set_name(self->fd, "later"));
}

TEST_F(name, needs_a_writable_descriptor)
{
	int fd = ps_open(O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, ps_set_name(fd, "x"));
	close(fd);
}

/* Uses of an object, after which its name is fixed. */
static int use_read(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static int use_write(int fd)
{
	return write(fd, "x", 1) != 1;
}

static int use_map(int fd)
{
	return ps_try_map(fd, page_size(), PROT_READ, MAP_SHARED);
}

static int use_map_private(int fd)
{
	return ps_try_map(fd, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static int use_resize(int fd)
{
	return ps_resize(fd, 1);
}

static int use_fallocate(int fd)
{
	return ps_fallocate(fd, 0, 0, 1);
}

static int use_seal(int fd)
{
	return ps_add_seals(fd, F_SEAL_SHRINK);
}

TEST_F(name, is_fixed_by_first_use)
{
	static const struct {
		const char *what;
		int (*use)(int fd);
	} rows[] = {
		{ "read", use_read }, { "write", use_write },
		{ "mmap", use_map }, { "private mmap", use_map_private },
		{ "RESIZE", use_resize }, { "FALLOCATE", use_fallocate },
		{ "SEAL", use_seal },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = ps_open(O_RDWR);

		ASSERT_EQ(0, ps_set_name(fd, "before"));
		EXPECT_EQ(0, rows[i].use(fd)) TH_LOG("%s", rows[i].what);
		EXPECT_EQ(-EBUSY, ps_set_name(fd, "after")) TH_LOG("after %s", rows[i].what);
		ASSERT_EQ(0, fdinfo_value(fd, "name", self->value, sizeof(self->value)));
		EXPECT_STREQ("before", self->value);
		close(fd);
	}
}

TEST_F(name, is_the_object_s_own)
{
	int other = ps_open(O_RDWR);

	ASSERT_EQ(0, ps_set_name(self->fd, "one"));
	ASSERT_EQ(0, ps_set_name(other, "two"));
	EXPECT_TRUE(name_is(self, "one")) TH_LOG("name is %s", self->value);
	close(other);
}

/* An object of a few pages. */
FIXTURE(object) {
	int fd;
	size_t page;
};

FIXTURE_SETUP(object)
{
	self->page = page_size();
	self->fd = ps_create(4 * self->page);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(object)
{
	close(self->fd);
}

TEST_F(object, fdinfo_shows_size_and_seals)
{
	char value[256];

	ASSERT_EQ(0, ps_resize(self->fd, 12345));
	ASSERT_EQ(0, ps_add_seals(self->fd, F_SEAL_SHRINK | F_SEAL_WRITE));
	ASSERT_EQ(0, fdinfo_value(self->fd, "size", value, sizeof(value)));
	EXPECT_STREQ("12345", value);
	ASSERT_EQ(0, fdinfo_value(self->fd, "seals", value, sizeof(value)));
	EXPECT_STREQ("0xa", value);
}

TEST_F(object, fdinfo_shows_no_seals_as_zero)
{
	char value[256];

	ASSERT_EQ(0, fdinfo_value(self->fd, "seals", value, sizeof(value)));
	EXPECT_STREQ("0x0", value);
}

TEST_HARNESS_MAIN
