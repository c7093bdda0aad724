// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"
#include "pinseal_test.h"

void __log_begin(struct log *log, uint32_t seals, const char *via,
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

struct log_entry *log_last(struct log *log)
{
	return &log->entry[(log->n - 1) % LOG_ENTRIES];
}

long long log_end(struct log *log, long long ret)
{
	struct log_entry *e = log_last(log);

	e->ret = ret;
	e->took = now_ns() - e->began;
	__atomic_store_n(&e->done, true, __ATOMIC_RELEASE);
	return ret;
}

void __attribute__((format(printf, 2, 3)))
log_note(struct log *log, const char *format, ...)
{
	struct log_entry *e = log_last(log);
	va_list args;

	va_start(args, format);
	vsnprintf(e->note, sizeof(e->note), format, args);
	va_end(args);
}

uint64_t log_in_flight_ns(const struct log *log)
{
	unsigned long n = __atomic_load_n(&log->n, __ATOMIC_ACQUIRE);
	const struct log_entry *e = &log->entry[(n - 1) % LOG_ENTRIES];
	uint64_t began = e->began, now = now_ns();

	if (!n || __atomic_load_n(&e->done, __ATOMIC_ACQUIRE))
		return 0;
	/* The call may have ended meanwhile and the next one started. */
	return __atomic_load_n(&log->n, __ATOMIC_ACQUIRE) == n && now > began ? now - began : 0;
}

void log_print(const struct log *log, uint64_t zero)
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

bool is_broken(const struct verdict *v)
{
	return __atomic_load_n(&v->broken, __ATOMIC_ACQUIRE);
}

void __attribute__((format(printf, 3, 4)))
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
