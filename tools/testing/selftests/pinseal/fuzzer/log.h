/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzer's workers did last, and the verdict: the first rule that was
 * broken. All of it is in memory that is shared with the children.
 *
 * A log keeps the arguments of a call; they become text only when they are printed,
 * so that logging costs next to nothing.
 */
#ifndef FUZZER_LOG_H
#define FUZZER_LOG_H

#include <stdarg.h>

#include "pinseal_test.h"

#define LOG_ENTRIES	40
#define LOG_ARGS	7

struct log_entry {
	unsigned long number;
	const char *via;
	const char *what;		/* a format for @arg, all of them long long */
	long long arg[LOG_ARGS];
	long long ret;
	uint64_t began, took;
	uint32_t seals;			/* known to be set when it began */
	bool done;
	char note[80];
};

struct log {
	unsigned long n;
	struct log_entry entry[LOG_ENTRIES];
};

/* Starts an entry. The last @arg that @what has no use for are not looked at. */
#define log_begin(log, seals, via, what, ...) \
	__log_begin(log, seals, via, what, (const long long[LOG_ARGS]){ __VA_ARGS__ })

void __log_begin(struct log *log, uint32_t seals, const char *via,
		 const char *what, const long long *arg);
struct log_entry *log_last(struct log *log);

/* Ends the entry that was started last; returns @ret. */
long long log_end(struct log *log, long long ret);

/* Says more about the last entry. */
void __attribute__((format(printf, 2, 3)))
log_note(struct log *log, const char *format, ...);

/* For how long the call that is under way has lasted, or 0. */
uint64_t log_under_way_ns(const struct log *log);

/*
 * Prints a log: the number of each call, the seals known before, when it began after
 * @zero, how long it took, what it was.
 */
void log_print(const struct log *log, uint64_t zero);

/* What must hold; each is one result of the test. */
enum rule {
	RULE_BYTES,
	RULE_WRITERS,
	RULE_STATE,
	RULE_LEASES,
	RULE_RESULTS,
	RULE_TIME,
	RULE_RELEASE,
	RULE_LEFT_BEHIND,
	RULES,
};

struct verdict {
	unsigned int broken;		/* 1: being written, 2: complete */
	enum rule rule;
	uint64_t at;
	char text[300];
};

bool is_broken(const struct verdict *v);

/* A rule was broken. Only the first time counts: what comes after may follow from it. */
void __attribute__((format(printf, 3, 4)))
verdict_break(struct verdict *v, enum rule rule, const char *format, ...);

#endif /* FUZZER_LOG_H */
