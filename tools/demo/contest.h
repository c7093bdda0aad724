/* SPDX-License-Identifier: GPL-2.0-only */
/* The same seal of a memfd and of an object, timed; samples of it; numbers as text. */
#ifndef CONTEST_H
#define CONTEST_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"

#define KIB		1024ULL
#define MIB		(1024 * KIB)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define KINDS		2	/* MEMFD, PINSEAL */

static const char *const kind_name[KINDS] = { [MEMFD] = "memfd", [PINSEAL] = "pinseal" };

/* Ends the program when a measurement cannot be made. */
static inline void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* @ret, or die() if it is -errno. */
static inline int must(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

/* A seal for write. */
struct timed_seal {
	int error;			/* 0 or -errno */
	uint64_t began, ended;
	struct pinseal_seal report;	/* pinseal only */
};

/* Waits at most @timeout_ns, with @flags; memfd has a fixed timeout and no flags. */
static inline struct timed_seal seal_object(enum object_kind kind, int fd, uint64_t timeout_ns,
					    uint32_t flags)
{
	struct timed_seal a = {
		.report = { .seals = F_SEAL_WRITE, .flags = flags, .timeout_ns = timeout_ns },
	};

	a.began = now_ns();
	if (kind == PINSEAL)
		a.error = ps_seal(fd, &a.report);
	else
		a.error = sys(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	a.ended = now_ns();
	return a;
}

static inline uint64_t took(const struct timed_seal *a)
{
	return a->ended - a->began;
}

#define MAX_SAMPLES	1000

struct samples {
	unsigned int n;
	double at[MAX_SAMPLES];
};

static inline void add_sample(struct samples *s, double value)
{
	if (s->n == MAX_SAMPLES)
		die("more than %d samples", MAX_SAMPLES);
	s->at[s->n++] = value;
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The value that @percent of the samples do not exceed. */
static inline double percentile(struct samples *s, unsigned int percent)
{
	unsigned int rank;

	if (!s->n)
		die("no samples");
	qsort(s->at, s->n, sizeof(*s->at), compare_doubles);
	rank = (s->n * percent + 99) / 100;
	return s->at[rank ? rank - 1 : 0];
}

static inline double median(struct samples *s)
{
	return percentile(s, 50);
}

/* A number as text, with about three digits and a fitting unit. */
struct text {
	char s[64];
};

static inline struct text format_time(double ns)
{
	static const struct { double unit; const char *name; } units[] = {
		{ 1e9, "s" }, { 1e6, "ms" }, { 1e3, "µs" }, { 1, "ns" },
	};
	double size = ns < 0 ? -ns : ns;
	unsigned int i = 0;
	struct text t;

	while (i < 3 && size < units[i].unit)
		i++;
	size /= units[i].unit;
	snprintf(t.s, sizeof(t.s), "%.*f %s", size < 10 ? 2 : size < 100 ? 1 : 0,
		 ns / units[i].unit, units[i].name);
	return t;
}

static inline struct text format_size(uint64_t bytes)
{
	struct text t;

	if (bytes >= MIB)
		snprintf(t.s, sizeof(t.s), "%llu MiB", bytes / MIB);
	else
		snprintf(t.s, sizeof(t.s), "%llu KiB", bytes / KIB);
	return t;
}

static inline struct text __attribute__((format(printf, 1, 2))) format_text(const char *format, ...)
{
	struct text t;
	va_list args;

	va_start(args, format);
	vsnprintf(t.s, sizeof(t.s), format, args);
	va_end(args);
	return t;
}

#endif /* CONTEST_H */
