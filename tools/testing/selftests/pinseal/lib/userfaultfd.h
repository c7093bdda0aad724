/* SPDX-License-Identifier: GPL-2.0-only */
/* Filling pages of a mapping with userfaultfd: 0 or a descriptor, or -errno. */
#ifndef USERFAULTFD_H
#define USERFAULTFD_H

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "pinseal_test.h"

int uffd_open(void);

int uffd_register(int uffd, void *p, size_t len, uint64_t mode);

int uffd_copy(int uffd, void *to, void *from, size_t len);

/* uffd_write_protect() - write-protects pages, or lets who waits store to them. */
int uffd_write_protect(int uffd, void *p, size_t len, bool is_protected);

#endif /* USERFAULTFD_H */
