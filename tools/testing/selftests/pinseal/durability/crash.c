// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a stacked object promises when the machine is killed. The host kills it (scripts/guest/crash.py):
 *
 *   crash CHECKED PROMISED SEED
 *
 * looks at the file that the load of seed CHECKED has left, of which operation PROMISED was the last
 * one that a returned sync covered; then puts load on an object over a new file, by the operations of
 * SEED, and says after each sync how far that goes. With SEED 0 it ends after the check. The file is on
 * the virtio disk "pinseal-crash".
 *
 * A file has records. Some are there before the object is; those are of operation 0. Operation n writes
 * or removes one of them, or cuts off all from one on: which one, and how, the seed tells. So it is known
 * what a record may be: what the last promised operation on it made of it, or any later one. What is
 * written when the machine is killed may be there in part: that holds for each sector of a record.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "../lib/disk.h"
#include "../lib/pinseal_test.h"
#include "../lib/stacked.h"

#define DIR	"/tmp/crash"
#define PATH	DIR "/records"
#define RECORDS	1024
/* A page has several, so that it has what was there before, too. */
#define SIZE	2048
/* What a disk writes at once. A file system's block may have one only. */
#define SECTOR	512
/* More operations than there are between two promises that arrive. */
#define AHEAD	4000

enum kind { STORE, WRITE, PIN, PUNCH, SHRINK };

struct operation {
	enum kind kind;
	unsigned int record;
	bool sync;
	unsigned int how;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static struct operation operation(uint64_t seed, uint64_t n)
{
	static const enum kind kinds[] = { STORE, STORE, STORE, WRITE, WRITE, PIN, PUNCH };
	uint64_t h = mix(mix(seed) + n);

	return (struct operation){
		/* Few at first: the file grows. */
		.record = h % (n < RECORDS ? n / 2 + 1 : RECORDS),
		/* Seldom: it removes many. */
		.kind = (h >> 40) % 31 ? kinds[(h >> 16) % 7] : SHRINK,
		.sync = (h >> 24) % 11 == 0,
		.how = (h >> 32) % 3,
	};
}

/* Whether a record is another one after the operation. */
static bool changes(const struct operation *op, unsigned int record)
{
	return op->kind == SHRINK ? record >= op->record : record == op->record;
}

/* What operation @n makes of a record. */
static void make_record(uint64_t seed, uint64_t n, uint64_t record[SIZE / 8])
{
	record[0] = seed;
	record[1] = n;
	for (int i = 2; i < SIZE / 8; i++)
		record[i] = mix(seed + n * SIZE + i);
}

/* Whether a record is there before the first operation. */
static bool is_there_before(uint64_t seed, unsigned int record)
{
	return record < RECORDS / 2 && mix(seed + record) & 1;
}

static int fail(const char *what)
{
	printf("bad: %s: %s\n", what, strerror(errno));
	return 1;
}

/* What operation @n leaves of a record that it changes; 0, what is there before the first one. */
static void make_left(uint64_t seed, unsigned int record, uint64_t n, uint64_t left[SIZE / 8])
{
	if (n ? operation(seed, n).kind >= PUNCH : !is_there_before(seed, record))
		memset(left, 0, SIZE);
	else
		make_record(seed, n, left);
}

/* The sectors of @is that are as in @left, one bit each. */
static unsigned int same_sectors(const uint64_t is[SIZE / 8], const uint64_t left[SIZE / 8])
{
	unsigned int same = 0;

	for (int i = 0; i < SIZE / SECTOR; i++)
		if (!memcmp(is + i * SECTOR / 8, left + i * SECTOR / 8, SECTOR))
			same |= 1U << i;
	return same;
}

static int check(uint64_t seed, uint64_t promised)
{
	static uint64_t last[RECORDS], is[SIZE / 8], left[SIZE / 8];
	static struct operation later[AHEAD];
	const unsigned int all = (1U << SIZE / SECTOR) - 1;
	int fd = open(PATH, O_RDONLY | O_CLOEXEC), bad = 0;
	struct stat st;

	if (fd < 0)
		return promised ? fail(PATH) : 0;
	if (fstat(fd, &st))
		return fail("fstat");
	if (st.st_size > RECORDS * SIZE) {
		printf("bad: the file has %lld bytes\n", (long long)st.st_size);
		bad++;
	}
	for (uint64_t n = 1; n <= promised; n++) {
		struct operation op = operation(seed, n);

		for (unsigned int record = op.record; record < RECORDS && changes(&op, record); record++)
			last[record] = n;
	}
	for (unsigned int i = 0; i < AHEAD; i++)
		later[i] = operation(seed, promised + 1 + i);
	for (unsigned int record = 0; record < RECORDS; record++) {
		unsigned int good;

		memset(is, 0, sizeof(is));
		if (pread(fd, is, SIZE, (off_t)record * SIZE) < 0)
			return fail("read");
		make_left(seed, record, last[record], left);
		good = same_sectors(is, left);
		for (unsigned int i = 0; i < AHEAD && good != all; i++) {
			if (!changes(&later[i], record))
				continue;
			make_left(seed, record, promised + 1 + i, left);
			good |= same_sectors(is, left);
		}
		if (good == all)
			continue;
		printf("bad: record %u, promised of operation %llu, begins with %llx %llx; wrong sectors: %x\n",
		       record, (unsigned long long)last[record], (unsigned long long)is[0],
		       (unsigned long long)is[1], all & ~good);
		bad++;
	}
	close(fd);
	return !!bad;
}

/* Carries an operation out: 0, or -errno. */
static int carry_out(int fd, char *p, uint64_t seed, uint64_t n)
{
	struct operation op = operation(seed, n);
	size_t at = (size_t)op.record * SIZE, page = page_size();
	uint64_t record[SIZE / 8];
	int pin, ret = 0;

	make_record(seed, n, record);
	if (op.kind != WRITE && op.kind != SHRINK && ps_size(fd) < (int64_t)(at + SIZE))
		ret = ps_resize(fd, at + SIZE);
	if (ret)
		return ret;
	switch (op.kind) {
	case STORE:
		memcpy(p + at, record, SIZE);
		return 0;
	case WRITE:
		return pwrite(fd, record, SIZE, at) == SIZE ? 0 : -EIO;
	case PIN:
		pin = ps_pin(fd, at / page, 1, 0);
		if (pin < 0)
			return pin;
		ret = pwrite(pin, record, SIZE, at % page) == SIZE ? 0 : -EIO;
		close(pin);
		return ret;
	case PUNCH:
		return ps_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, SIZE);
	case SHRINK:
		return ps_size(fd) > (int64_t)at ? ps_resize(fd, at) : 0;
	}
	return -EINVAL;
}

static int prepare(int fd, uint64_t seed)
{
	uint64_t record[SIZE / 8];

	make_record(seed, 0, record);
	for (unsigned int i = 0; i < RECORDS; i++)
		if (is_there_before(seed, i) && pwrite(fd, record, SIZE, (off_t)i * SIZE) != SIZE)
			return -1;
	return fsync(fd);
}

static int load(uint64_t seed)
{
	int dir = open(DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int lower, fd = ps_open(O_RDWR), ret;
	struct operation op;
	char *p;

	unlink(PATH);
	lower = open(PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lower < 0 || prepare(lower, seed) || fsync(dir))
		return fail(PATH);
	ret = ps_attach(fd, lower, 0);
	errno = -ret;
	if (ret)
		return fail("attach");
	close(lower);
	p = ps_map(fd, RECORDS * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (p == MAP_FAILED)
		return fail("map");
	printf("loading\n");
	for (uint64_t n = 1;; n++) {
		ret = carry_out(fd, p, seed, n);
		errno = -ret;
		if (ret)
			return fail("operation");
		op = operation(seed, n);
		if (!op.sync)
			continue;
		ret = op.how == 0 ? fsync(fd) : op.how == 1 ? fdatasync(fd) :
			msync(p, RECORDS * SIZE, MS_SYNC);
		if (ret)
			return fail("sync");
		printf("synced %llu\n", (unsigned long long)n);
	}
}

int main(int argc, char **argv)
{
	uint64_t checked, promised, seed;
	char device[32];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4) {
		fprintf(stderr, "usage: %s CHECKED PROMISED SEED\n", argv[0]);
		return 2;
	}
	checked = strtoull(argv[1], NULL, 0);
	promised = strtoull(argv[2], NULL, 0);
	seed = strtoull(argv[3], NULL, 0);
	if (!disk_find("crash", device))
		return fail("there is no disk for it");
	if ((mkdir(DIR, 0700) && errno != EEXIST) || mount(device, DIR, "ext4", 0, NULL))
		return fail("mount");
	if (checked && check(checked, promised))
		return 1;
	printf("checked\n");
	return seed ? load(seed) : 0;
}
