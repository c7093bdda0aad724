/* SPDX-License-Identifier: GPL-2.0-only */
/* A child that this process debugs. */
#ifndef TRACEE_H
#define TRACEE_H

#include <sys/ptrace.h>

#include "pinseal_test.h"

/*
 * trace_child() - a child that stops at once, traced; when it goes on, it calls @then(@p), if not NULL, and
 * exits: its PID, or -1.
 */
pid_t trace_child(void (*then)(char *p), char *p);

#endif /* TRACEE_H */
