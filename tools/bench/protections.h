/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTECTIONS_H
#define PROTECTIONS_H

/* protections() - rows of protections of single pages. */
void protections(void);

#endif /* PROTECTIONS_H */
