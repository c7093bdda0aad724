/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's test harness. */
#ifndef HARNESS_H
#define HARNESS_H

#include "kselftest_harness.h"

/* 30 s are too short with KASAN and lockdep; the runner ends programs that hang. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	240

#endif /* HARNESS_H */
