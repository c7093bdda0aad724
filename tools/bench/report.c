// SPDX-License-Identifier: GPL-2.0-only
#include "report.h"
#include "table.h"

static const struct table columns = { 4, { 44, 12, 12, 12 } };

/* The head of a table without rows yet, which is not shown. */
static const char *head[TABLE_COLUMNS];
static bool is_begun;

static char **wanted;
static unsigned int n_wanted;

/* Lines for programs, printed at the end. */
static struct {
	char name[48];
	const char *unit;
	double value[KINDS];
} results[96];
static unsigned int n_results;

void want(char **names, unsigned int n)
{
	wanted = names;
	n_wanted = n;
}

bool is_wanted(const char *name)
{
	unsigned int i;

	for (i = 0; i < n_wanted; i++)
		if (!strncmp(name, wanted[i], strlen(wanted[i])))
			return true;
	return !n_wanted;
}

bool is_any_wanted(const char *prefix)
{
	unsigned int i;

	for (i = 0; i < n_wanted; i++) {
		size_t len = strlen(wanted[i]);

		if (!strncmp(prefix, wanted[i], len < strlen(prefix) ? len : strlen(prefix)))
			return true;
	}
	return !n_wanted;
}

void columns_begin(const char *memfd, const char *pinseal)
{
	memcpy(head, (const char *[]){ "", memfd, pinseal, "ratio" }, sizeof(head));
	is_begun = false;
}

void columns_end(void)
{
	if (is_begun)
		table_end(&columns);
}

/* A result, and its row with the numbers as @text. */
static void add_result(const char *name, const char *what, const char *unit,
		       const double value[KINDS], const struct text text[KINDS])
{
	double quotient = value[PINSEAL] / value[MEMFD];
	struct text ratio = format_text(quotient < 0.1 ? "%.4f" : "%.3f", quotient);

	if (n_results == ARRAY_SIZE(results))
		die("too many results");
	snprintf(results[n_results].name, sizeof(results[0].name), "%s", name);
	results[n_results].unit = unit;
	memcpy(results[n_results].value, value, sizeof(results[0].value));
	n_results++;
	if (!is_begun)
		table_begin(&columns, head);
	is_begun = true;
	table_row(&columns, (const char *[]){ what, text[MEMFD].s, text[PINSEAL].s, ratio.s });
}

void result(const char *name, const char *what, double memfd, double pinseal)
{
	add_result(name, what, "ns", (double[]){ memfd, pinseal },
		   (struct text[]){ format_time(memfd), format_time(pinseal) });
}

void result_number(const char *name, const char *what, const char *unit, double memfd,
		   double pinseal)
{
	const double value[KINDS] = { memfd, pinseal };
	struct text text[KINDS];
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		text[i] = format_text(value[i] && value[i] < 100 ? "%.1f" : "%.0f", value[i]);
	add_result(name, what, unit, value, text);
}

void medians(const char *name, const char *what, struct samples *time)
{
	result(name, what, median(&time[MEMFD]), median(&time[PINSEAL]));
}

void percentiles(const char *name, const char *what, struct samples *time)
{
	static const unsigned int percents[] = { 50, 99 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(percents); i++)
		result(format_text("%s_p%u", name, percents[i]).s,
		       format_text("%s, p%u", what, percents[i]).s,
		       percentile(&time[MEMFD], percents[i]),
		       percentile(&time[PINSEAL], percents[i]));
}

void result_lines(void)
{
	unsigned int i;

	printf("\n");
	for (i = 0; i < n_results; i++)
		printf("bench\t%s\t%s\t%.1f\t%.1f\t%.4f\n", results[i].name, results[i].unit,
		       results[i].value[MEMFD], results[i].value[PINSEAL],
		       results[i].value[PINSEAL] / results[i].value[MEMFD]);
}
