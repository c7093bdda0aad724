/* SPDX-License-Identifier: GPL-2.0-only */
/* Passing descriptors (SCM_RIGHTS): 1 or a descriptor, or -errno. */
#ifndef PASS_FD_H
#define PASS_FD_H

#include <sys/socket.h>

#include "pinseal_test.h"

int send_fd(int sock, int fd);

int receive_fd(int sock);

#endif /* PASS_FD_H */
