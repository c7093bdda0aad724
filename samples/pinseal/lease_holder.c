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
#include <pinseal.h>

#include "pass.h"

#define LEASED_PAGES	4
#define GRACE_NS	(2 * 1000 * 1000 * 1000ULL)

/* Shows the requester. */
static void show_requester(int lease)
{
	struct pinseal_lease info;

	if (!pinseal_lease_info(lease, &info) && info.state == PINSEAL_LEASE_ASKED)
		printf("holder: process %u requests the pages\n", info.asker);
}

int main(int argc, char **argv)
{
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
	lease = pinseal_lease(object, 0, LEASED_PAGES, 0, GRACE_NS);
	close(object);
	if (lease < 0) {
		fprintf(stderr, "holder: no lease: %s\n", strerror(-lease));
		return 1;
	}
	printf("holder: has a lease of %u pages\n", LEASED_PAGES);
	fflush(stdout);

	for (done = 0;; done++) {
		int state = pinseal_lease_poll(lease, 10);

		if (state == PINSEAL_LEASE_ASKED && !requested++)
			show_requester(lease);
		lost = state == PINSEAL_LEASE_REVOKED;
		if (lost || (state == PINSEAL_LEASE_ASKED && !busy))
			break;
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
