/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables on a terminal, row by row: the first column aligned left, the others right. Text is
 * UTF-8, width counts characters.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdio.h>

#define TABLE_COLUMNS	4

struct table {
	unsigned int columns;
	unsigned int width[TABLE_COLUMNS];
};

static inline unsigned int text_width(const char *s)
{
	unsigned int n = 0;

	/* All bytes but continuation bytes. */
	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static inline void table_line(const struct table *t, const char *left, const char *middle,
			      const char *right)
{
	unsigned int i, j;

	printf("   %s", left);
	for (i = 0; i < t->columns; i++) {
		for (j = 0; j < t->width[i] + 2; j++)
			printf("─");
		printf("%s", i + 1 < t->columns ? middle : right);
	}
	printf("\n");
}

static inline void table_row(const struct table *t, const char *const *cells)
{
	unsigned int i;

	printf("   │");
	for (i = 0; i < t->columns; i++) {
		unsigned int width = text_width(cells[i]);
		int pad = t->width[i] > width ? t->width[i] - width : 0;

		if (i)
			printf(" %*s%s │", pad, "", cells[i]);
		else
			printf(" %s%*s │", cells[i], pad, "");
	}
	printf("\n");
	fflush(stdout);
}

static inline void table_begin(const struct table *t, const char *const *head)
{
	table_line(t, "┌", "┬", "┐");
	table_row(t, head);
	table_line(t, "├", "┼", "┤");
}

static inline void table_end(const struct table *t)
{
	table_line(t, "└", "┴", "┘");
}

#endif /* TABLE_H */
