// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A lease holder: works on pages of an object of another process, as a driver would, and
 * releases them on request.
 *
 *	lease_holder SOCKET [busy]
 *
 * It receives a descriptor of the object through the socket, takes a lease of the first four
 * pages, and writes to them. When a sealer requests the pages it ends its work and closes the
 * lease. With "busy" it goes on, and the lease is revoked after its grace.
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

/* Shows the requester. */
static void show_requester(int lease)
{
	struct pinseal_lease info;

	if (!ioctl(lease, PINSEAL_PIN_IOC_LEASE, &info) && info.state == PINSEAL_LEASE_ASKED)
		printf("holder: process %u requests the pages\n", info.asker);
}

int main(int argc, char **argv)
{
	struct pinseal_pin pin = {
		.count = 4,
		.grace_ns = GRACE_NS,
		.flags = PINSEAL_PIN_LEASED,
	};
	int busy = argc == 3 && !strcmp(argv[2], "busy");
	int object, lease, requested = 0, lost = 0;
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
			if (ready.revents & POLLPRI && !requested++)
				show_requester(lease);
			lost = ready.revents & POLLHUP;
			if (!busy || lost)
				break;
		}
		/* The work: one byte. */
		if (pwrite(lease, "w", 1, done % 4096) < 0) {
			lost = errno == ESTALE;
			if (!lost)
				perror("holder: pwrite");
			break;
		}
	}
	printf("holder: wrote %u times, %s\n", done, lost ? "lost the pages" : "releases them");
	/* This wakes the sealer. */
	close(lease);
	return 0;
}
