/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzer's workers did last, and the verdict: the first rule that was
 * broken. All of it is in memory that is shared with the children.
 *
 * A log keeps the arguments of a call; they become text only when somebody wants to
 * read it, so that logging costs next to nothing.
 */
#ifndef FUZZ_LOG_H
#define FUZZ_LOG_H

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

static inline void __log_begin(struct log *log, uint32_t seals, const char *via,
			       const char *what, const long long *arg)
{
	struct log_entry *e = &log->entry[log->n % LOG_ENTRIES];

	e->done = false;
	e->number = log->n;
	e->via = via;
	e->what = what;
	memcpy(e->arg, arg, sizeof(e->arg));
	e->seals = seals;
	e->note[0] = '\0';
	e->began = now_ns();
	__atomic_store_n(&log->n, log->n + 1, __ATOMIC_RELEASE);
}

static inline struct log_entry *log_last(struct log *log)
{
	return &log->entry[(log->n - 1) % LOG_ENTRIES];
}

/* Ends the entry that was started last; returns @ret. */
static inline long long log_end(struct log *log, long long ret)
{
	struct log_entry *e = log_last(log);

	e->ret = ret;
	e->took = now_ns() - e->began;
	__atomic_store_n(&e->done, true, __ATOMIC_RELEASE);
	return ret;
}

/* Says more about the last entry. */
static inline void __attribute__((format(printf, 2, 3)))
log_note(struct log *log, const char *format, ...)
{
	struct log_entry *e = log_last(log);
	va_list args;

	va_start(args, format);
	vsnprintf(e->note, sizeof(e->note), format, args);
	va_end(args);
}

/* For how long the call that is under way has lasted, or 0. */
static inline uint64_t log_under_way_ns(const struct log *log)
{
	unsigned long n = __atomic_load_n(&log->n, __ATOMIC_ACQUIRE);
	const struct log_entry *e = &log->entry[(n - 1) % LOG_ENTRIES];
	uint64_t began = e->began, now = now_ns();

	if (!n || __atomic_load_n(&e->done, __ATOMIC_ACQUIRE))
		return 0;
	/* It may have ended meanwhile, and another one begun. */
	return __atomic_load_n(&log->n, __ATOMIC_ACQUIRE) == n && now > began ? now - began : 0;
}

/*
 * Prints a log: the number of each call, the seals known before, when it began after
 * @zero, how long it took, what it was.
 */
static inline void log_print(const struct log *log, uint64_t zero)
{
	unsigned long i = log->n > LOG_ENTRIES ? log->n - LOG_ENTRIES : 0;

	for (; i < log->n; i++) {
		const struct log_entry *e = &log->entry[i % LOG_ENTRIES];
		const char *error = e->ret < 0 && e->ret > -4096 ? strerrorname_np(-e->ret) : NULL;

		printf("#   %4lu %#4x %+9.3f ms ", e->number, e->seals,
		       ((double)e->began - zero) / NSEC_PER_MSEC);
		if (e->done)
			printf("%7.3f ms  ", (double)e->took / NSEC_PER_MSEC);
		else
			printf("   ...      ");
		printf("%s", e->via);
		printf(e->what, e->arg[0], e->arg[1], e->arg[2], e->arg[3], e->arg[4], e->arg[5],
		       e->arg[6]);
		if (!e->done)
			printf(" has not returned\n");
		else if (error)
			printf(" = -%s%s%s\n", error, e->note[0] ? "; " : "", e->note);
		else
			printf(" = %lld%s%s\n", e->ret, e->note[0] ? "; " : "", e->note);
	}
}

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
	unsigned int broken;		/* 1: somebody is writing it down, 2: it can be read */
	enum rule rule;
	uint64_t at;
	char text[300];
};

static inline bool is_broken(const struct verdict *v)
{
	return __atomic_load_n(&v->broken, __ATOMIC_ACQUIRE);
}

/* A rule was broken. Only the first time counts: what comes after may follow from it. */
static inline void __attribute__((format(printf, 3, 4)))
verdict_break(struct verdict *v, enum rule rule, const char *format, ...)
{
	unsigned int unbroken = 0;
	va_list args;

	if (!__atomic_compare_exchange_n(&v->broken, &unbroken, 1, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return;
	v->at = now_ns();
	v->rule = rule;
	va_start(args, format);
	vsnprintf(v->text, sizeof(v->text), format, args);
	va_end(args);
	__atomic_store_n(&v->broken, 2, __ATOMIC_RELEASE);
}

#endif /* FUZZ_LOG_H */
