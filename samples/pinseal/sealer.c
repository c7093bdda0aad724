// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A sealer: seals an object whose pages are leased, by a request and, after the grace, by
 * revocation.
 *
 *	sealer SOCKET
 *
 * It sends a descriptor of the object to the first program that connects to the socket (see
 * lease_holder), waits until that holds pages, and seals the object for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/pinseal.h>

#include "pass.h"

/* Pages of the object with extra references. */
static unsigned long long held_pages(int object)
{
	struct pinseal_pins pins = { 0 };

	return ioctl(object, PINSEAL_IOC_PINS, &pins) ? 0 : pins.pinned_pages;
}

int main(int argc, char **argv)
{
	struct pinseal_seal seal = {
		.seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK,
		.flags = PINSEAL_SEAL_REVOKE,
		.timeout_ns = 5 * 1000 * 1000 * 1000ULL,
	};
	struct pinseal_resize resize = { .size = 1 << 20 };
	int object, tries;

	if (argc != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	object = open("/dev/pinseal", O_RDWR | O_CLOEXEC);
	if (object < 0 || ioctl(object, PINSEAL_IOC_RESIZE, &resize)) {
		perror("sealer: /dev/pinseal");
		return 1;
	}
	if (send_to_first(argv[1], object)) {
		fprintf(stderr, "sealer: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (tries = 0; !held_pages(object) && tries < 10000; tries++)
		usleep(1000);
	printf("sealer: %llu pages are held\n", held_pages(object));
	fflush(stdout);

	if (ioctl(object, PINSEAL_IOC_SEAL, &seal)) {
		printf("sealer: %s, outcome %u: %llu pages are held, page %llu is the first\n",
		       strerror(errno), seal.outcome, (unsigned long long)seal.pinned_pages,
		       (unsigned long long)seal.first_pinned);
		return 1;
	}
	printf("sealer: sealed after %llu ms; %llu pages were revoked\n",
	       (unsigned long long)seal.waited_ns / 1000000,
	       (unsigned long long)seal.revoked_pages);
	return 0;
}
