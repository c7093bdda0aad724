/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's test harness, with patience.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "kselftest_harness.h"

/*
 * The harness ends a test after 30 s; under kernels with KASAN and lockdep that is
 * not much. What hangs is ended by whoever runs the program.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	240

#endif /* HARNESS_H */
