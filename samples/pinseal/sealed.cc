// SPDX-License-Identifier: MIT OR Apache-2.0
/* What sealed.c does, in C++, and how a seal is refused: while a pin is in scope. */

#include <pinseal.h>

/* Owns a descriptor, and closes it. What pinseal.h returns instead of one is a negative errno. */
class descriptor {
public:
	explicit descriptor(int fd) : fd(fd) { }
	descriptor(const descriptor &) = delete;
	descriptor &operator=(const descriptor &) = delete;

	~descriptor()
	{
		if (fd >= 0)
			close(fd);
	}

	bool is_open() const { return fd >= 0; }
	int get() const { return fd; }

private:
	const int fd;
};

/* Seals, and prints how that ended: whether the memory is sealed. */
static bool seal(const descriptor &frame)
{
	struct pinseal_options options = {};
	struct pinseal_report report;
	char text[PINSEAL_SENTENCE];

	options.timeout_ns = 500 * 1000 * 1000;
	pinseal_seal(frame.get(), F_SEAL_WRITE | F_SEAL_SHRINK, &options, &report);
	pinseal_explain(text, sizeof(text), &report);
	puts(text);
	return !report.error;
}

int main()
{
	descriptor frame(pinseal_create("frame", 0));

	if (!frame.is_open() || write(frame.get(), "hello", 5) != 5) {
		fputs("no memory that can be sealed: is the module loaded?\n", stderr);
		return 1;
	}
	{
		descriptor pin(pinseal_pin(frame.get(), 0, 1, 0));

		if (!pin.is_open() || seal(frame))
			return 1;
	}
	return !seal(frame);
}
