/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer's mappings: made, stored through, changed in every way, unmapped.
 */
#ifndef FUZZER_MAPPING_H
#define FUZZER_MAPPING_H

#include "worker.h"

/* An object sealed for write has no shared mapping that is writable or can be made so. */
void check_mappings(struct worker *w);

/* A mapping of @t, chosen at random; with @t NULL, a free slot. NULL if there is none. */
struct mapping *find_mapping(struct worker *w, struct target *t);

/* Unmaps @map and frees its slot. */
void unmap(struct worker *w, struct mapping *map);

/* Makes a random mapping of @t. NULL if mmap() fails or no slot is free. */
struct mapping *make_mapping(struct worker *w, struct target *t);

/* Makes a random mapping and keeps it. */
void op_map(struct worker *w, struct target *t);

/* Unmaps a mapping of @t, if the worker has one. */
void op_unmap(struct worker *w, struct target *t);

/* Stores random bytes through @map, at most @times times: the first fault ends it. */
void store(struct worker *w, struct mapping *map, unsigned int times);

/* Stores through a mapping of @t, if the worker has one. */
void op_store(struct worker *w, struct target *t);

/* Loads through a mapping of @t and compares the bytes with the image, if both exist. */
void op_load(struct worker *w, struct target *t);

/*
 * Maps, stores and unmaps: most mappings are short-lived, so that they do not block a seal
 * for long. Repeated at times, so that a sealer meets a mapping that is being made.
 */
void op_map_and_store(struct worker *w, struct target *t);

/* Moves or resizes @map with mremap(). */
void move(struct worker *w, struct mapping *map);

/* Changes the protection of @map, or of a part. */
void change_prot(struct worker *w, struct mapping *map);

/* Loads @len bytes that @map shows, from its byte @at on. */
void load_at(struct worker *w, struct mapping *map, size_t at, size_t len);

/* Loads what @map shows, or some pages of it. */
void load(struct worker *w, struct mapping *map);

/* Unmaps some pages at the start or the end of @map. */
void cut(struct worker *w, struct mapping *map);

/* Changes a mapping of @t in one random way: protection, place, extent, advice, bytes. */
void op_change_mapping(struct worker *w, struct target *t);

#endif /* FUZZER_MAPPING_H */
