// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work on a file and making it durable: on the file itself, in the column of memfd, and on an object that is
 * stacked on it. The file is a memfd, or on the virtio disk with XFS if there is one.
 */
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "bytes.h"
#include "disk.h"
#include "report.h"
#include "stacked.h"
#include "stacked_objects.h"

#define FILE_MIB	256
#define CHUNK		(64 * KIB)
#define RANDOM_WRITES	65536
#define ROUNDS		3

/* A file with content, or an object over one. */
struct subject {
	enum object_kind kind;
	int fd, lower;
	size_t len;
	char *p;
};

static struct subject subject_new(enum object_kind kind, struct disk *disk, size_t len, bool is_empty)
{
	struct subject s = { .kind = kind, .len = len };

	s.lower = must(disk ? new_lower(disk, NULL) : memfd_create("lower", MFD_CLOEXEC), "a file");
	if (!is_empty)
		must(fill_lower(s.lower, len), "filling a file");
	must(sys(fsync(s.lower)), "fsync");
	s.fd = s.lower;
	if (kind == PINSEAL) {
		s.fd = must(ps_open(O_RDWR), "an object");
		must(ps_attach(s.fd, s.lower, 0), "PINSEAL_IOC_ATTACH");
	}
	s.p = ps_map(s.fd, len, RW, MAP_SHARED);
	if (s.p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return s;
}

static void subject_end(struct subject *s)
{
	munmap(s->p, s->len);
	if (s->kind == PINSEAL)
		close(s->fd);
	close(s->lower);
}

static void write_in_order(struct subject *s)
{
	static char chunk[CHUNK];

	memset(chunk, 'w', sizeof(chunk));
	for (size_t at = 0; at < s->len; at += sizeof(chunk))
		if (pwrite(s->fd, chunk, sizeof(chunk), at) != (ssize_t)sizeof(chunk))
			die("write: %s", strerror(errno));
	must(sys(fsync(s->fd)), "fsync");
}

static void write_at_random(struct subject *s)
{
	char page[4096] = "random";
	uint64_t x = 1;

	for (int i = 0; i < RANDOM_WRITES; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		if (pwrite(s->fd, page, sizeof(page), (x >> 33) % (s->len / 4096) * 4096) != 4096)
			die("write: %s", strerror(errno));
	}
	must(sys(fsync(s->fd)), "fsync");
}

static void store_in_order(struct subject *s)
{
	for (size_t at = 0; at < s->len; at += page_size())
		memset(s->p + at, 's', page_size());
	must(sys(msync(s->p, s->len, MS_SYNC)), "msync");
}

/* Ten dirty pages, whatever the size. */
static void sync_few(struct subject *s)
{
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 10; i++)
			s->p[s->len / 10 * i] = round;
		must(sys(fsync(s->fd)), "fsync");
	}
}

static void load_in_order(struct subject *s)
{
	for (size_t at = 0; at < s->len; at += page_size())
		*(volatile char *)(s->p + at);
}

static void compare(const char *name, const char *what, struct disk *disk, size_t len, bool is_empty,
		    void (*work)(struct subject *))
{
	struct samples time[KINDS] = {};

	for (int i = 0; i < ROUNDS; i++) {
		for (int kind = 0; kind < KINDS; kind++) {
			struct subject s = subject_new(kind, disk, len, is_empty);
			uint64_t began;

			if (work == sync_few)
				work(&s);
			began = now_ns();
			work(&s);
			add_sample(&time[kind], now_ns() - began);
			subject_end(&s);
		}
	}
	medians(name, what, time);
}

static void over(const char *lower, struct disk *disk)
{
	static const struct {
		const char *name, *what;
		size_t mib;
		bool is_empty;
		void (*work)(struct subject *);
	} all[] = {
		{ "write", "write() of a new file in order, fsync()", FILE_MIB, true, write_in_order },
		{ "overwrite", "write() of all of a file, fsync()", FILE_MIB, false, write_in_order },
		{ "random", "65,536 random writes of 4 KiB, fsync()", FILE_MIB, false, write_at_random },
		{ "store", "stores to all pages, msync()", FILE_MIB, false, store_in_order },
		{ "few_1m", "10 dirty pages of 1 MiB, 20 fsync()s", 1, false, sync_few },
		{ "few_256m", "10 dirty pages of 256 MiB, 20 fsync()s", FILE_MIB, false, sync_few },
		{ "touch", "first touch of all pages", FILE_MIB, false, load_in_order },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		char name[64], what[96];

		snprintf(name, sizeof(name), "stacked_%s_%s", lower, all[i].name);
		snprintf(what, sizeof(what), "%s: %s", lower, all[i].what);
		if (is_wanted(name))
			compare(name, what, disk, all[i].mib * MIB, all[i].is_empty, all[i].work);
	}
}

/* An emulated machine gets its memory when it is first used, which is slow. An object uses more than a file. */
static void use_memory(void)
{
	struct sysinfo info;
	size_t len;
	char *p;

	sysinfo(&info);
	len = info.freeram / 4 * 3 * info.mem_unit;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p != MAP_FAILED)
		munmap(p, len);
}

void stacked_objects(void)
{
	struct disk disk;

	use_memory();
	over("memfd", NULL);
	if (!disk_is_there("xfs"))
		return;
	must(disk_mount(&disk, "xfs"), "the disk with XFS");
	over("xfs", &disk);
	disk_unmount(&disk);
}
