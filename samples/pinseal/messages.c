// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A producer of messages, and a consumer that does not trust it.
 *
 *	messages
 *
 * A message is a memfd, passed by SCM_RIGHTS: a header with a length, and so many bytes. The consumer checks
 * the length, then uses it. In between the bytes must not change, so it seals what it has received first. With
 * pinseal_seal_fd() it need not know whether the producer made an object or a memfd. Where there is no module,
 * the kernel's seal promises less: there it takes a copy, and checks that.
 *
 * Of four messages the consumer takes the first. The producer keeps a way to write to the next two: a mapping, and a
 * pipe that has their first page, as a driver or an io_uring might have it. The consumer is told so, and does
 * not read them. The length of the last one is wrong.
 */
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <pinseal.h>

#include "pass.h"

#define MESSAGE_BYTES	10000
#define MESSAGE_SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

/* How a message is sent. */
enum producer { HONEST, KEEPS_MAPPING, KEEPS_PAGE_IN_PIPE, LIES_ABOUT_LENGTH, PRODUCERS };

struct message_header {
	uint64_t length;	/* of what follows */
};

/* A mapping of the message, for writing; NULL without one. */
static struct message_header *map_message(int fd)
{
	void *p = MAP_FAILED;

	if (!ftruncate(fd, MESSAGE_BYTES))
		p = mmap(NULL, MESSAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* Makes and sends a message: 0, or -1. Nothing but what @how keeps is left of it. */
static int produce(int sock, enum producer how, int pipe_end)
{
	int fd = pinseal_create("message", PINSEAL_CREATE_ALLOW_SEALING), ret;
	struct message_header *header;

	if (fd < 0)
		fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	header = fd < 0 ? NULL : map_message(fd);
	if (!header)
		return -1;
	header->length = MESSAGE_BYTES - sizeof(*header);
	memset(header + 1, 'm', header->length);
	if (how == LIES_ABOUT_LENGTH)
		header->length++;
	if (how == KEEPS_PAGE_IN_PIPE) {
		struct iovec page = { header, 1 };

		if (vmsplice(pipe_end, &page, 1, 0) != 1)
			return -1;
	}
	if (how != KEEPS_MAPPING)
		munmap(header, MESSAGE_BYTES);
	ret = pass_send(sock, "m", 1, fd);
	close(fd);
	return ret;
}

/* The bytes of a message, to be read: its own if pinseal has sealed it, else a copy. */
static void *open_message(int fd, size_t size, enum pinseal_method method)
{
	void *p;

	if (method == PINSEAL_BY_MODULE)
		return mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	printf("consumer: has it sealed without pinseal, and takes a copy\n");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || pread(fd, p, size, 0) == (ssize_t)size)
		return p;
	munmap(p, size);
	return MAP_FAILED;
}

/* Seals a message, checks and reads it. Says what comes of it. */
static void consume(int fd, unsigned int number)
{
	struct pinseal_options options = {
		.timeout_ns = 500 * 1000 * 1000,
		.flags = PINSEAL_SEAL_WAIT_MAPPED,
	};
	const struct message_header *header;
	struct pinseal_report report;
	char text[PINSEAL_SENTENCE];
	off_t size;

	if (pinseal_seal_fd(fd, MESSAGE_SEALS, &options, &report)) {
		pinseal_explain(text, sizeof(text), &report);
		printf("consumer: refuses message %u: %s\n", number, text);
		return;
	}
	size = lseek(fd, 0, SEEK_END);
	header = open_message(fd, size, report.method);
	if (header == MAP_FAILED) {
		printf("consumer: message %u: %s\n", number, strerror(errno));
		return;
	}
	/* What is checked here is so for good. */
	if (size < (off_t)sizeof(*header) || header->length != (uint64_t)size - sizeof(*header))
		printf("consumer: refuses message %u: its length is wrong\n", number);
	else
		printf("consumer: takes message %u, of %llu bytes\n", number,
		       (unsigned long long)header->length);
	munmap((void *)header, size);
}

int main(void)
{
	int socks[2], pipe_ends[2], fd, status;
	char byte;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks)) {
		perror("messages: socketpair");
		return 1;
	}
	if (!fork()) {
		close(socks[0]);
		if (pipe(pipe_ends))
			_exit(1);
		for (int how = HONEST; how < PRODUCERS; how++)
			if (produce(socks[1], how, pipe_ends[1]))
				_exit(1);
		/* What it keeps, it keeps until the consumer has ended. */
		_exit(read(socks[1], &byte, 1) != 0);
	}
	close(socks[1]);
	for (unsigned int number = 1; number <= PRODUCERS; number++) {
		if (pass_receive(socks[0], &byte, 1, &fd) || fd < 0) {
			perror("messages: receiving");
			return 1;
		}
		consume(fd, number);
		close(fd);
	}
	close(socks[0]);
	return wait(&status) < 0 || status;
}
