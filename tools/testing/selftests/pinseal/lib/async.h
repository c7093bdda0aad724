/* SPDX-License-Identifier: GPL-2.0-only */
/* Asynchronous seals: begin, wait with poll(), fetch, cancel. */
#ifndef ASYNC_H
#define ASYNC_H

#include <poll.h>

#include "object.h"
#include "sealer.h"

/* Events that poll() always reports of an object. */
#define ALWAYS_READY	(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

static inline struct pinseal_seal seal_async(uint32_t seals, uint64_t timeout_ns)
{
	return (struct pinseal_seal){
		.seals = seals,
		.flags = PINSEAL_SEAL_ASYNC,
		.timeout_ns = timeout_ns,
	};
}

/* ready_within() - events of an object within @ms milliseconds, or -errno. */
int ready_within(int fd, short events, int ms);

/* async_ended() - whether an asynchronous seal has ended and was not fetched. */
bool async_ended(int fd);

/* async_wait() - waits for the end and fetches: the result of SEAL, or -ETIME. */
int async_wait(int fd, struct pinseal_seal *arg);

/* async_wait_scan() - begins or queries, and waits for the first scan: the result of SEAL. */
int async_wait_scan(int fd, struct pinseal_seal *arg);

/* async_cancel() - the result of SEAL. */
int async_cancel(int fd, struct pinseal_seal *arg);

/* The exported memory is neither sealed nor being sealed. */
#define EXPECT_UNTOUCHED(memory)						\
	do {									\
		EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory));			\
		EXPECT_EQ(1, sys(pwrite(memory, "u", 1, 0)));			\
		EXPECT_EQ(0, ps_try_map(memory, page_size(),			\
					PROT_READ | PROT_WRITE, MAP_SHARED));	\
	} while (0)

#endif /* ASYNC_H */
