// SPDX-License-Identifier: MIT OR Apache-2.0
/* Makes memory that nothing can change any more. Documentation/userspace-api/libraries.rst shows it. */

#include <pinseal.h>

int main(void)
{
	struct pinseal_options options = { .timeout_ns = 500 * 1000 * 1000 };
	struct pinseal_report report;
	char text[PINSEAL_SENTENCE];
	int fd = pinseal_create("frame", 0);

	if (fd < 0 || write(fd, "hello", 5) != 5) {
		fputs("no memory that can be sealed: is the module loaded?\n", stderr);
		return 1;
	}
	pinseal_seal(fd, F_SEAL_WRITE | F_SEAL_SHRINK, &options, &report);
	pinseal_explain(text, sizeof(text), &report);
	puts(text);
	return report.error != 0;
}
