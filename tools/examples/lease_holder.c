// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that works on pages of somebody else's object, as a driver would, and lets go
 * of them when it is asked to.
 *
 *	lease_holder SOCKET [busy]
 *
 * It is given a descriptor of the object through the socket, takes a lease of its first four
 * pages, and writes to them by and by. When somebody wants to seal the object it ends its work
 * and closes the lease. With "busy" it does not, and loses the pages when its time is up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/pinseal.h>

#include "pass.h"

#define GRACE_NS	(2 * 1000 * 1000 * 1000ULL)

/* What is known of who asks. */
static void show_asker(int lease)
{
	struct pinseal_lease info;

	if (!ioctl(lease, PINSEAL_PIN_IOC_LEASE, &info) && info.state == PINSEAL_LEASE_ASKED)
		printf("holder: process %u wants the pages\n", info.asker);
}

int main(int argc, char **argv)
{
	struct pinseal_pin pin = {
		.count = 4,
		.grace_ns = GRACE_NS,
		.flags = PINSEAL_PIN_LEASED,
	};
	int busy = argc == 3 && !strcmp(argv[2], "busy");
	int object, lease, asked = 0, lost = 0;
	unsigned int done;

	if (argc < 2) {
		fprintf(stderr, "usage: %s SOCKET [busy]\n", argv[0]);
		return 2;
	}
	object = receive_from(argv[1]);
	if (object < 0) {
		fprintf(stderr, "holder: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	lease = ioctl(object, PINSEAL_IOC_PIN, &pin);
	close(object);
	if (lease < 0) {
		perror("holder: PINSEAL_IOC_PIN");
		return 1;
	}
	printf("holder: has a lease of %llu pages\n", (unsigned long long)pin.count);
	fflush(stdout);

	for (done = 0;; done++) {
		struct pollfd ready = { .fd = lease, .events = POLLPRI };

		if (poll(&ready, 1, 10) == 1) {
			if (ready.revents & POLLPRI && !asked++)
				show_asker(lease);
			lost = ready.revents & POLLHUP;
			if (!busy || lost)
				break;
		}
		/* The work: here, one byte of it. */
		if (pwrite(lease, "w", 1, done % 4096) < 0) {
			lost = errno == ESTALE;
			if (!lost)
				perror("holder: pwrite");
			break;
		}
	}
	printf("holder: wrote %u times, %s\n", done, lost ? "lost the pages" : "lets go");
	/* Whoever waits is told at once. */
	close(lease);
	return 0;
}
