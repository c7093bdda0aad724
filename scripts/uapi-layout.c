/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layout that <linux/pinseal.h> must keep for ever, and that each field
 * must have for every compiler and word size. check-uapi compiles this as C and
 * as C++, in several dialects of each. Every struct is listed in full: its fields
 * must fill it without a gap. A test of the Rust crate (tools/lib/pinseal) compares its own
 * structs with these lines.
 */
#include <linux/pinseal.h>

#include <stddef.h>

#define GLUE_(a, b)	a##b
#define GLUE(a, b)	GLUE_(a, b)
#define ASSERT(what)	typedef char GLUE(assertion_, __LINE__)[(what) ? 1 : -1]

#define SIZE(type, bytes)	ASSERT(sizeof(struct type) == (bytes))
#define FIELD(type, field, at, bytes)				\
	ASSERT(offsetof(struct type, field) == (at) &&		\
	       sizeof(((struct type *)0)->field) == (bytes))
#define COMMAND(name, word)	ASSERT((name) == (word))

SIZE(pinseal_info, 32);
FIELD(pinseal_info, version, 0, 4);
FIELD(pinseal_info, features, 4, 4);
FIELD(pinseal_info, seals, 8, 4);
FIELD(pinseal_info, seal_flags, 12, 4);
FIELD(pinseal_info, size, 16, 8);
FIELD(pinseal_info, default_timeout_ns, 24, 8);

SIZE(pinseal_resize, 56);
FIELD(pinseal_resize, size, 0, 8);
FIELD(pinseal_resize, timeout_ns, 8, 8);
FIELD(pinseal_resize, flags, 16, 4);
FIELD(pinseal_resize, pad, 20, 4);
FIELD(pinseal_resize, waited_ns, 24, 8);
FIELD(pinseal_resize, pinned_pages, 32, 8);
FIELD(pinseal_resize, first_pinned, 40, 8);
FIELD(pinseal_resize, revoked_pages, 48, 8);

SIZE(pinseal_fallocate, 64);
FIELD(pinseal_fallocate, mode, 0, 4);
FIELD(pinseal_fallocate, flags, 4, 4);
FIELD(pinseal_fallocate, offset, 8, 8);
FIELD(pinseal_fallocate, len, 16, 8);
FIELD(pinseal_fallocate, timeout_ns, 24, 8);
FIELD(pinseal_fallocate, waited_ns, 32, 8);
FIELD(pinseal_fallocate, pinned_pages, 40, 8);
FIELD(pinseal_fallocate, first_pinned, 48, 8);
FIELD(pinseal_fallocate, revoked_pages, 56, 8);

SIZE(pinseal_seal, 72);
FIELD(pinseal_seal, seals, 0, 4);
FIELD(pinseal_seal, flags, 4, 4);
FIELD(pinseal_seal, timeout_ns, 8, 8);
FIELD(pinseal_seal, max_scans, 16, 4);
FIELD(pinseal_seal, scans, 20, 4);
FIELD(pinseal_seal, waited_ns, 24, 8);
FIELD(pinseal_seal, pinned_pages, 32, 8);
FIELD(pinseal_seal, first_pinned, 40, 8);
FIELD(pinseal_seal, isolated_pages, 48, 8);
FIELD(pinseal_seal, revoked_pages, 56, 8);
FIELD(pinseal_seal, outcome, 64, 4);
FIELD(pinseal_seal, pad, 68, 4);

SIZE(pinseal_page, 32);
FIELD(pinseal_page, index, 0, 8);
FIELD(pinseal_page, pages, 8, 4);
FIELD(pinseal_page, mapped, 12, 4);
FIELD(pinseal_page, extra, 16, 4);
FIELD(pinseal_page, dma_pins, 20, 4);
FIELD(pinseal_page, flags, 24, 4);
FIELD(pinseal_page, pad, 28, 4);

SIZE(pinseal_pins, 72);
FIELD(pinseal_pins, start, 0, 8);
FIELD(pinseal_pins, count, 8, 8);
FIELD(pinseal_pins, vec, 16, 8);
FIELD(pinseal_pins, vec_len, 24, 8);
FIELD(pinseal_pins, found, 32, 8);
FIELD(pinseal_pins, next, 40, 8);
FIELD(pinseal_pins, pinned_pages, 48, 8);
FIELD(pinseal_pins, dma_pinned_pages, 56, 8);
FIELD(pinseal_pins, flags, 64, 4);
FIELD(pinseal_pins, pad, 68, 4);

SIZE(pinseal_pin, 48);
FIELD(pinseal_pin, start, 0, 8);
FIELD(pinseal_pin, count, 8, 8);
FIELD(pinseal_pin, grace_ns, 16, 8);
FIELD(pinseal_pin, flags, 24, 4);
FIELD(pinseal_pin, pad, 28, 4);
FIELD(pinseal_pin, address, 32, 8);
FIELD(pinseal_pin, timeout_ns, 40, 8);

SIZE(pinseal_lease, 48);
FIELD(pinseal_lease, start, 0, 8);
FIELD(pinseal_lease, count, 8, 8);
FIELD(pinseal_lease, grace_ns, 16, 8);
FIELD(pinseal_lease, until_ns, 24, 8);
FIELD(pinseal_lease, asker, 32, 4);
FIELD(pinseal_lease, state, 36, 4);
FIELD(pinseal_lease, flags, 40, 4);
FIELD(pinseal_lease, pad, 44, 4);

SIZE(pinseal_import, 8);
FIELD(pinseal_import, fd, 0, 4);
FIELD(pinseal_import, flags, 4, 4);

SIZE(pinseal_export, 8);
FIELD(pinseal_export, flags, 0, 4);
FIELD(pinseal_export, pad, 4, 4);

SIZE(pinseal_reopen, 8);
FIELD(pinseal_reopen, flags, 0, 4);
FIELD(pinseal_reopen, pad, 4, 4);

SIZE(pinseal_name, 64);
FIELD(pinseal_name, name, 0, 64);

SIZE(pinseal_protect_range, 32);
FIELD(pinseal_protect_range, addr, 0, 8);
FIELD(pinseal_protect_range, len, 8, 8);
FIELD(pinseal_protect_range, pgoff, 16, 8);
FIELD(pinseal_protect_range, prot, 24, 4);
FIELD(pinseal_protect_range, flags, 28, 4);

SIZE(pinseal_protect, 48);
FIELD(pinseal_protect, addr, 0, 8);
FIELD(pinseal_protect, len, 8, 8);
FIELD(pinseal_protect, pgoff, 16, 8);
FIELD(pinseal_protect, prot, 24, 4);
FIELD(pinseal_protect, flags, 28, 4);
FIELD(pinseal_protect, ranges, 32, 8);
FIELD(pinseal_protect, nr, 40, 8);

SIZE(pinseal_attach, 8);
FIELD(pinseal_attach, fd, 0, 4);
FIELD(pinseal_attach, flags, 4, 4);

SIZE(pinseal_create, 72);
FIELD(pinseal_create, flags, 0, 4);
FIELD(pinseal_create, pad, 4, 4);
FIELD(pinseal_create, name, 8, 64);

COMMAND(PINSEAL_IOC_INFO, 0x8020b900);
COMMAND(PINSEAL_IOC_RESIZE, 0x4038b901);
COMMAND(PINSEAL_IOC_FALLOCATE, 0x4040b902);
COMMAND(PINSEAL_IOC_SEAL, 0xc048b903);
COMMAND(PINSEAL_IOC_GET_SEALS, 0x8004b904);
COMMAND(PINSEAL_IOC_PINS, 0xc048b905);
COMMAND(PINSEAL_IOC_PIN, 0x4030b906);
COMMAND(PINSEAL_PIN_IOC_LEASE, 0x8030b920);
COMMAND(PINSEAL_IOC_IMPORT, 0x4008b907);
COMMAND(PINSEAL_IOC_EXPORT, 0x4008b908);
COMMAND(PINSEAL_IOC_REOPEN, 0x4008b909);
COMMAND(PINSEAL_IOC_SET_NAME, 0x4040b90a);
COMMAND(PINSEAL_IOC_PROTECT, 0x4030b90b);
COMMAND(PINSEAL_IOC_ATTACH, 0x4008b90c);
COMMAND(PINSEAL_IOC_CREATE, 0x4048b90d);
