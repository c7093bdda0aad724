/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sending descriptors to other processes (SCM_RIGHTS). Each returns 1 or a descriptor,
 * or -errno.
 */
#ifndef PASS_FD_H
#define PASS_FD_H

#include <sys/socket.h>

#include "pinseal_test.h"

int send_fd(int sock, int fd);

int receive_fd(int sock);

#endif /* PASS_FD_H */
