// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel crate's flags::MAYSHARE has the value of VM_MAYEXEC: see
 * Documentation/upstream/rust-mayshare.rst. The constant is in the source alone, so this program is
 * built with what rust/bindings/bindings_helper.h of its kernel says: the Makefile defines MAYSHARE.
 *
 * Exit status: 0 the fault was seen, 1 it was not, 4 it cannot be tried here.
 */
#include <stdio.h>
#include <string.h>

enum { SEEN = 0, NOT_SEEN = 1, CANNOT_TRY = 4 };

#define TEXT(name)	TEXT_OF(name)
#define TEXT_OF(name)	#name

int main(void)
{
	const char *value = TEXT(MAYSHARE);

	if (!*value) {
		printf("the source that this was built with has no RUST_CONST_HELPER_VM_MAYSHARE\n");
		return CANNOT_TRY;
	}
	printf("RUST_CONST_HELPER_VM_MAYSHARE = %s\n", value);
	return strcmp(value, "VM_MAYSHARE") ? SEEN : NOT_SEEN;
}
