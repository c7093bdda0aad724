/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instructions between which the plugin counts. They change nothing, and no compiler emits them.
 */
#ifndef MARKS_H
#define MARKS_H

/* Machine code, as the plugin sees it. */
#define X86_BEGIN	"\x66\x87\xdb"		/* xchg %bx,%bx */
#define X86_END		"\x66\x87\xc9"		/* xchg %cx,%cx */
#define ARM64_BEGIN	"\xfe\x03\x1e\xaa"	/* mov x30, x30 */
#define ARM64_END	"\xfd\x03\x1d\xaa"	/* mov x29, x29 */

#if defined(__x86_64__)
#define mark_begin()	asm volatile("xchg %%bx, %%bx" : : : "memory")
#define mark_end()	asm volatile("xchg %%cx, %%cx" : : : "memory")
#elif defined(__aarch64__)
#define mark_begin()	asm volatile("mov x30, x30" : : : "memory")
#define mark_end()	asm volatile("mov x29, x29" : : : "memory")
#endif

#endif /* MARKS_H */
