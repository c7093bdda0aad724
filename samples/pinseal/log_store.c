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
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/pinseal.h>

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

static int set_size(int object, uint64_t size)
{
	struct pinseal_resize resize = { .size = size };

	return ioctl(object, PINSEAL_IOC_RESIZE, &resize);
}

static int store_open(struct store *s, const char *path)
{
	struct pinseal_attach attach = { .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) };
	struct pinseal_info info;

	s->object = open("/dev/pinseal", O_RDWR | O_CLOEXEC);
	if (attach.fd < 0 || s->object < 0 || ioctl(s->object, PINSEAL_IOC_ATTACH, &attach) ||
	    ioctl(s->object, PINSEAL_IOC_INFO, &info))
		return -1;
	close(attach.fd);
	if (info.size < sizeof(*s->header) && set_size(s->object, sizeof(*s->header)))
		return -1;
	s->header = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_SHARED, s->object, 0);
	if (s->header == MAP_FAILED)
		return -1;
	if (!s->header->magic[0])
		memcpy(s->header->magic, magic, sizeof(magic));
	if (memcmp(s->header->magic, magic, sizeof(magic))) {
		errno = EINVAL;
		return -1;
	}
	s->end = sizeof(*s->header) + s->header->committed;
	return 0;
}

static int store_put(struct store *s, const char *text)
{
	size_t len = strlen(text) + 1;

	if (s->end + len > MOST) {
		errno = ENOSPC;
		return -1;
	}
	if (set_size(s->object, s->end + len))
		return -1;
	memcpy((char *)s->header + s->end, text, len);
	s->end += len;
	return 0;
}

static int store_commit(struct store *s)
{
	/* Only pages that were stored to are written. */
	if (msync(s->header, MOST, MS_SYNC))
		return -1;
	s->header->committed = s->end - sizeof(*s->header);
	return msync(s->header, sizeof(*s->header), MS_SYNC);
}

/* A reader gets a sealed object: nobody changes it any more, and it needs no lock. */
static int store_snapshot(const struct store *s)
{
	struct pinseal_create create = { .name = "snapshot" };
	struct pinseal_seal seal = { .seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK };
	int fd = ioctl(s->object, PINSEAL_IOC_CREATE, &create);
	const char *p, *end;
	int ret = -1;

	if (fd < 0)
		return -1;
	if (write(fd, s->header, s->end) != (ssize_t)s->end || ioctl(fd, PINSEAL_IOC_SEAL, &seal))
		goto out;
	p = mmap(NULL, s->end, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto out;
	end = p + s->end;
	for (const char *record = p + sizeof(struct header); record < end;
	     record += strlen(record) + 1)
		printf("%s\n", record);
	munmap((void *)p, s->end);
	ret = 0;
out:
	close(fd);
	return ret;
}

int main(int argc, char **argv)
{
	struct store s;

	if (argc < 3) {
		fprintf(stderr, "usage: %s FILE put=TEXT|commit|snapshot...\n", argv[0]);
		return 2;
	}
	if (store_open(&s, argv[1])) {
		fprintf(stderr, "log_store: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (char **command = argv + 2; *command; command++) {
		int ret = 0;

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
			fprintf(stderr, "log_store: %s: %s\n", *command, strerror(errno));
			return 1;
		}
	}
	return 0;
}
