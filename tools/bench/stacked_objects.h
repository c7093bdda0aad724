/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STACKED_OBJECTS_H
#define STACKED_OBJECTS_H

/* stacked_objects() - rows of files, and of objects that are stacked on such a file. */
void stacked_objects(void);

#endif /* STACKED_OBJECTS_H */
