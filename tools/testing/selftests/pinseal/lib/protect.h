/* SPDX-License-Identifier: GPL-2.0-only */
/* Protections of pages: by PINSEAL_IOC_PROTECT, or by mprotect(), whose effect they must have. */
#ifndef PROTECT_H
#define PROTECT_H

#include "object.h"

/* ps_protect() - gives pages of a mapping of @fd a protection: 0, or -errno. */
int ps_protect(int fd, const void *p, size_t len, int prot);

/* ps_remap() - shows pages of the object from @pgoff on there: 0, or -errno. */
int ps_remap(int fd, const void *p, size_t len, uint64_t pgoff, int prot);

/* ps_protect_ranges() - gives each range its protection, in one call: 0, or -errno. */
int ps_protect_ranges(int fd, const struct pinseal_protect_range *ranges, uint64_t nr);

/* ps_protections() - lists ranges with protections: how many, or -errno. */
int ps_protections(int fd, const void *p, size_t len, struct pinseal_protect_range *ranges,
		   uint64_t nr);

/* a_range() - a range of pages with a protection. */
struct pinseal_protect_range a_range(const void *p, size_t len, int prot);

/* protect_pages() - as @kind does it: PROTECT for an object, mprotect() for a memfd. */
int protect_pages(enum object_kind kind, int fd, void *p, size_t len, int prot);

/* count_mappings() - number of mappings of the process. */
long count_mappings(void);

/* mapping_has_flag() - whether smaps shows that VmFlag of the mapping at @p. */
bool mapping_has_flag(const void *p, const char *flag);

#endif /* PROTECT_H */
