/* SPDX-License-Identifier: GPL-2.0-only */
/* What a clean seal takes for each page. */
#ifndef PAGE_SCANS_H
#define PAGE_SCANS_H

void page_scans(void);

#endif /* PAGE_SCANS_H */
