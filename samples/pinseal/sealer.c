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
#include <pinseal.h>

#include "pass.h"

/* Pages of the object with extra references. */
static unsigned long long held_pages(int object)
{
	struct pinseal_pins pins;

	return pinseal_pins_count(object, 0, 0, &pins) ? 0 : pins.pinned_pages;
}

int main(int argc, char **argv)
{
	struct pinseal_options options = {
		.timeout_ns = 5 * 1000 * 1000 * 1000ULL,
		.flags = PINSEAL_SEAL_REVOKE,
	};
	struct pinseal_report report;
	char text[PINSEAL_SENTENCE];
	int object, tries;

	if (argc != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	object = pinseal_open(O_RDWR);
	if (object < 0) {
		fprintf(stderr, "sealer: " PINSEAL_DEVICE ": %s\n", strerror(-object));
		return 1;
	}
	if (pinseal_resize(object, 1 << 20) || send_to_first(argv[1], object)) {
		fprintf(stderr, "sealer: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (tries = 0; !held_pages(object) && tries < 10000; tries++)
		usleep(1000);
	printf("sealer: %llu pages are held\n", held_pages(object));
	fflush(stdout);

	pinseal_seal(object, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK, &options, &report);
	pinseal_explain(text, sizeof(text), &report);
	printf("sealer: %s\n", text);
	return report.error != 0;
}
