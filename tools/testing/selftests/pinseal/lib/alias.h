/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two descriptors of one memory: an object's, and an alias of it.
 */
#ifndef ALIAS_H
#define ALIAS_H

#include "object.h"

enum alias {
	ALIAS_DUP,		/* the same descriptor */
	ALIAS_REOPENED,		/* another descriptor of the object */
	ALIAS_EXPORTED,		/* the memory, exported */
	ALIAS_SOURCE,		/* the memfd that is imported into the object */
	ALIAS_SECOND_IMPORT,	/* another object that imports the same memfd */
	ALIAS_CREATED_DUP,	/* the same descriptor of a created memfd */
	ALIAS_CREATED_REOPENED,	/* another descriptor of the object */
	ALIAS_CREATED_PLAIN,	/* the memfd, opened by /proc/self/fd */
	ALIAS_CREATED_IMPORT,	/* an object that imports the created memfd */
};

/* Fixture variants: every test of @fixture with each alias. */
#define BY_EVERY_ALIAS(fixture)								\
	FIXTURE_VARIANT(fixture) { enum alias alias; };					\
	FIXTURE_VARIANT_ADD(fixture, dup) { .alias = ALIAS_DUP };			\
	FIXTURE_VARIANT_ADD(fixture, reopened) { .alias = ALIAS_REOPENED };		\
	FIXTURE_VARIANT_ADD(fixture, exported) { .alias = ALIAS_EXPORTED };		\
	FIXTURE_VARIANT_ADD(fixture, source_memfd) { .alias = ALIAS_SOURCE };		\
	FIXTURE_VARIANT_ADD(fixture, second_import) { .alias = ALIAS_SECOND_IMPORT };	\
	FIXTURE_VARIANT_ADD(fixture, created_dup) { .alias = ALIAS_CREATED_DUP };	\
	FIXTURE_VARIANT_ADD(fixture, created_reopened) { .alias = ALIAS_CREATED_REOPENED }; \
	FIXTURE_VARIANT_ADD(fixture, created_plain) { .alias = ALIAS_CREATED_PLAIN };	\
	FIXTURE_VARIANT_ADD(fixture, created_import) { .alias = ALIAS_CREATED_IMPORT }

struct aliased {
	int fd;			/* a pinseal object */
	int other;		/* its alias, of kind memfd or pinseal (object.h) */
};

void aliased_close(struct aliased *b);

/* aliased_open() - an object of @size bytes and its @alias: 0, or -errno. */
int aliased_open(struct aliased *b, enum alias alias, uint64_t size);

#endif /* ALIAS_H */
