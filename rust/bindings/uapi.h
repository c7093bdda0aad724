/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Input of bindgen for the uapi structs and constants.
 */
#include <linux/errno.h>
#include <linux/types.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <uapi/linux/pinseal.h>
