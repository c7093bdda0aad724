// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A small store: an append log in an object that is stacked on a file.
 *
 *	log_store FILE COMMAND...
 *
 * with the commands
 *
 *	put=TEXT	appends a record
 *	commit		makes all records durable, by msync()
 *	snapshot	prints all records from a sealed copy, as a reader would that must not see changes
 *
 * The file begins with a header: how many bytes of records are committed. Records are stored to the
 * mapping; a commit makes them durable first, then the header, so that a crash leaves the file as of
 * some commit. What was not committed is not in the file.
 */
#include <sys/mman.h>

#include <pinseal.h>

#define MOST	(1 << 20)

struct header {
	char magic[8];
	uint64_t committed;
};

static const char magic[8] = "LOGSTORE";

struct store {
	int object;
	struct header *header;	/* the mapping: of all of the object, whatever its size */
	uint64_t end;		/* of the records, committed or not */
};

/* These functions return 0, or a negative errno. */

static int store_open(struct store *s, const char *path)
{
	int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int ret = 0;

	if (file < 0)
		return -errno;
	s->object = pinseal_attach(file, 0);
	close(file);
	if (s->object < 0)
		return s->object;
	if (pinseal_size(s->object) < (int64_t)sizeof(*s->header))
		ret = pinseal_resize(s->object, sizeof(*s->header));
	if (ret)
		return ret;
	s->header = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, s->object, 0);
	if (s->header == MAP_FAILED)
		return -errno;
	if (!s->header->magic[0])
		memcpy(s->header->magic, magic, sizeof(magic));
	if (memcmp(s->header->magic, magic, sizeof(magic)))
		return -EINVAL;
	s->end = sizeof(*s->header) + s->header->committed;
	return 0;
}

static int store_put(struct store *s, const char *text)
{
	size_t len = strlen(text) + 1;
	int ret;

	if (s->end + len > MOST)
		return -ENOSPC;
	ret = pinseal_resize(s->object, s->end + len);
	if (ret)
		return ret;
	memcpy((char *)s->header + s->end, text, len);
	s->end += len;
	return 0;
}

static int store_commit(struct store *s)
{
	/* Only pages that were stored to are written. */
	if (msync(s->header, MOST, MS_SYNC))
		return -errno;
	s->header->committed = s->end - sizeof(*s->header);
	return msync(s->header, sizeof(*s->header), MS_SYNC) ? -errno : 0;
}

/* A reader gets a sealed object: nobody changes it any more, and it needs no lock. */
static int store_snapshot(const struct store *s)
{
	int fd = pinseal_create_by(s->object, "snapshot", 0);
	const char *p, *end;
	int ret;

	if (fd < 0)
		return fd;
	ret = write(fd, s->header, s->end) == (ssize_t)s->end ? 0 : -errno;
	if (!ret)
		ret = pinseal_seal(fd, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK, NULL, NULL);
	if (ret)
		goto out;
	p = mmap(NULL, s->end, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		ret = -errno;
		goto out;
	}
	end = p + s->end;
	for (const char *record = p + sizeof(struct header); record < end;
	     record += strlen(record) + 1)
		printf("%s\n", record);
	munmap((void *)p, s->end);
out:
	close(fd);
	return ret;
}

int main(int argc, char **argv)
{
	struct store s = { 0 };
	int ret;

	if (argc < 3) {
		fprintf(stderr, "usage: %s FILE put=TEXT|commit|snapshot...\n", argv[0]);
		return 2;
	}
	ret = store_open(&s, argv[1]);
	if (ret) {
		fprintf(stderr, "log_store: %s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	for (char **command = argv + 2; *command; command++) {
		if (!strncmp(*command, "put=", 4)) {
			ret = store_put(&s, *command + 4);
		} else if (!strcmp(*command, "commit")) {
			ret = store_commit(&s);
		} else if (!strcmp(*command, "snapshot")) {
			ret = store_snapshot(&s);
		} else {
			fprintf(stderr, "log_store: unknown command: %s\n", *command);
			return 2;
		}
		if (ret) {
			fprintf(stderr, "log_store: %s: %s\n", *command, strerror(-ret));
			return 1;
		}
	}
	return 0;
}
