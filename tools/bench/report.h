/* SPDX-License-Identifier: GPL-2.0-only */
/* Which measurements are wanted, and their results: rows of a table, and lines for programs. */
#ifndef REPORT_H
#define REPORT_H

#include "contest.h"

/* want() - only measurements whose names begin with one of @names, or all if there are none. */
void want(char **names, unsigned int n);

bool is_wanted(const char *name);

/* is_any_wanted() - whether any name that begins with @prefix may be wanted. */
bool is_any_wanted(const char *prefix);

/*
 * columns_begin() - a table, with what is compared in place of memfd and of pinseal. Without rows
 * it is not shown.
 */
void columns_begin(const char *memfd, const char *pinseal);

void columns_end(void);

/* result() - a row of times in nanoseconds. */
void result(const char *name, const char *what, double memfd, double pinseal);

/* result_number() - a row of numbers in @unit, a word for programs. */
void result_number(const char *name, const char *what, const char *unit, double memfd,
		   double pinseal);

/* medians() - a row of the medians of each kind. */
void medians(const char *name, const char *what, struct samples *time);

/*
 * percentiles() - a row for each percentile; and all samples, for programs. With their names less
 * "_p50".
 */
void percentiles(const char *name, const char *what, struct samples *time);

/* rate() - a row of how often it happened to each kind, of @of times. */
void rate(const char *name, const char *what, const unsigned int happened[KINDS], unsigned int of);

/* result_lines() - all results as lines for programs. */
void result_lines(void);

#endif /* REPORT_H */
