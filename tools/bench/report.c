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
	char name[48], what[64];
	const char *unit;
	double value[KINDS];
} results[96];
static unsigned int n_results;

/* The same for all samples, and for rates. */
static struct text_lines {
	char *text;
	size_t size;
	FILE *file;
} lines;

static void __attribute__((format(printf, 1, 2))) add_text(const char *format, ...)
{
	va_list args;

	if (!lines.file)
		lines.file = open_memstream(&lines.text, &lines.size);
	if (!lines.file)
		die("no memory");
	va_start(args, format);
	vfprintf(lines.file, format, args);
	va_end(args);
}

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
	snprintf(results[n_results].what, sizeof(results[0].what), "%s", what);
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
	unsigned int i, kind;

	for (i = 0; i < ARRAY_SIZE(percents); i++)
		result(format_text("%s_p%u", name, percents[i]).s,
		       format_text("%s, p%u", what, percents[i]).s,
		       percentile(&time[MEMFD], percents[i]),
		       percentile(&time[PINSEAL], percents[i]));
	for (kind = 0; kind < KINDS; kind++) {
		add_text("samples\t%s\t%s\tns\t%s\t", name, what, kind_name[kind]);
		for (i = 0; i < time[kind].n; i++)
			add_text("%s%.0f", i ? " " : "", time[kind].at[i]);
		add_text("\n");
	}
}

void rate(const char *name, const char *what, const unsigned int happened[KINDS], unsigned int of)
{
	struct text text[KINDS];
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		text[i] = format_text("%u of %u", happened[i], of);
	if (!is_begun)
		table_begin(&columns, head);
	is_begun = true;
	table_row(&columns, (const char *[]){ what, text[MEMFD].s, text[PINSEAL].s, "" });
	add_text("rate\t%s\t%s\t%u\t%u\t%u\n", name, what, of, happened[MEMFD], happened[PINSEAL]);
}

void result_lines(void)
{
	unsigned int i;

	printf("\n");
	for (i = 0; i < n_results; i++)
		printf("bench\t%s\t%s\t%.1f\t%.1f\t%.4f\t%s\n", results[i].name, results[i].unit,
		       results[i].value[MEMFD], results[i].value[PINSEAL],
		       results[i].value[PINSEAL] / results[i].value[MEMFD], results[i].what);
	if (lines.file) {
		fclose(lines.file);
		fputs(lines.text, stdout);
	}
}
