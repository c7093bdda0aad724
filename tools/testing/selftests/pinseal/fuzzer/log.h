/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last calls of each worker, and the verdict: the first broken rule. Both are in memory
 * shared with the children.
 *
 * A log keeps the arguments of a call and formats them only when it is printed: formatting
 * every call would slow the races down.
 */
#ifndef FUZZER_LOG_H
#define FUZZER_LOG_H

#include <stdarg.h>

#include "pinseal_test.h"

#define LOG_ENTRIES	40
#define LOG_ARGS	7

/* A call. */
struct log_entry {
	unsigned long number;
	const char *via;
	const char *what;		/* format of @arg, all long long */
	long long arg[LOG_ARGS];
	long long ret;
	uint64_t began, took;
	uint32_t seals;			/* known to be set when the call began */
	bool done;
	char note[80];
};

/* A ring of the last calls; @n: calls so far. */
struct log {
	unsigned long n;
	struct log_entry entry[LOG_ENTRIES];
};

/* Starts an entry. Surplus arguments of @what are ignored. */
#define log_begin(log, seals, via, what, ...) \
	__log_begin(log, seals, via, what, (const long long[LOG_ARGS]){ __VA_ARGS__ })

/* @arg: LOG_ARGS values; use log_begin(). */
void __log_begin(struct log *log, uint32_t seals, const char *via,
		 const char *what, const long long *arg);
/* The entry that was started last. */
struct log_entry *log_last(struct log *log);

/* Ends the last entry; returns @ret. */
long long log_end(struct log *log, long long ret);

/* Adds a note to the last entry. */
void __attribute__((format(printf, 2, 3)))
log_note(struct log *log, const char *format, ...);

/* Time since the start of the call in flight, or 0 if there is none. */
uint64_t log_in_flight_ns(const struct log *log);

/*
 * Prints a log: number of each call, seals known before it, start relative to @zero,
 * duration, call and result.
 */
void log_print(const struct log *log, uint64_t zero);

/* The rules; each is one result of the test. */
enum rule {
	RULE_BYTES,
	RULE_WRITERS,
	RULE_STATE,
	RULE_LEASES,
	RULE_RIGHTS,
	RULE_RESULTS,
	RULE_TIME,
	RULE_RELEASE,
	RULE_LEAKS,
	RULES,
};

/* The first broken rule. */
struct verdict {
	unsigned int broken;		/* 1: being written, 2: complete */
	enum rule rule;
	uint64_t at;
	char text[300];
};

/* Whether a rule was broken. */
bool is_broken(const struct verdict *v);

/* Records a broken rule. Only the first counts: later ones may follow from it. */
void __attribute__((format(printf, 3, 4)))
verdict_break(struct verdict *v, enum rule rule, const char *format, ...);

#endif /* FUZZER_LOG_H */
