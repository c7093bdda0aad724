/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each page of a worker's mapping may be accessed for, and which page of the object it shows.
 *
 * Only the worker itself changes its mappings, so this is known exactly, other than the size of
 * the objects: each access must get just what the rights allow. A child has its own copies, of the
 * mappings as of the rights.
 */
#ifndef FUZZER_PAGE_RIGHTS_H
#define FUZZER_PAGE_RIGHTS_H

#include "worker.h"

/* How a page is accessed. */
enum page_access {
	LOAD,		/* also by the kernel, as copy_from_user() does */
	STORE,
	PIN_TO_LOAD,	/* by process_vm_readv() */
	PIN_TO_STORE,
	PEEK,		/* by /proc/PID/mem */
	POKE,
};

/* All pages of @map have the protection @prot of the mapping. */
void rights_init(struct mapping *map, int prot);

/* Some pages of @map get another protection of the mapping, and lose their own. */
void rights_mprotect(struct mapping *map, size_t first, size_t n, int prot);

/* The first @n pages of @map are being removed. */
void rights_cut(struct mapping *map, size_t n);

/* @map, still of its old length, is to have @len bytes. */
void rights_resize(struct mapping *map, size_t len);

/* What the mapping itself allows at every page. */
int mapping_prot(const struct mapping *map);

/* The protection of its own that PROTECT(@prot) gives a page, or -EACCES. */
int own_prot(const struct mapping *map, size_t page, int prot);

/* What a page may be accessed for. */
int page_prot(const struct mapping *map, size_t page);

/* Whether a page of @map shows another page of the object than that at its place. */
bool is_remapped(const struct mapping *map, size_t page);

/* Whether a mapping of @t certainly has such pages. */
bool shows_elsewhere(struct worker *w, const struct target *t);

/* Compares @bytes, loaded at @at, with the image of the object, which exists. */
void check_shown_bytes(const struct mapping *map, const char *at, const unsigned char *bytes,
		       size_t len, const char *how);

/* Checks loads or stores of [@at, @at + @len) that ended with the signal @sig, or 0. */
void check_access(struct worker *w, struct mapping *map, const char *at, size_t len,
		  enum page_access access, int sig);

/*
 * Checks that a system call that returned @ret accessed only what it may of @memory, if that is in
 * a mapping. @sole: nothing but @memory, @len explains EFAULT.
 */
void check_call_access(struct worker *w, const void *memory, size_t len, long long ret,
		       enum page_access access, bool sole);

/* Checks that a mirror's access of @len bytes at @at, byte @offset of @t, was allowed. */
void check_mirrored_access(struct worker *w, struct target *t, uint64_t offset, const char *at,
			   size_t len, enum page_access access);

/*
 * Checks that exactly the allowed bytes of [@at, @at + @len) of @map were accessed, up to the first
 * that is not.
 */
void check_exact_access(struct worker *w, struct mapping *map, const char *at, size_t len,
			long long ret, enum page_access access);

#endif /* FUZZER_PAGE_RIGHTS_H */
