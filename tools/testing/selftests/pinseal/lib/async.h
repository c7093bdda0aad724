/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sealing in the background: begin, wait with poll(), fetch, cancel.
 */
#ifndef ASYNC_H
#define ASYNC_H

#include <poll.h>

#include "object.h"
#include "sealer.h"

/* What poll() says of an object at all times. */
#define ALWAYS_READY	(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

static inline struct pinseal_seal seal_async(uint32_t seals, uint64_t timeout_ns)
{
	return (struct pinseal_seal){
		.seals = seals,
		.flags = PINSEAL_SEAL_ASYNC,
		.timeout_ns = timeout_ns,
	};
}

/* What is ready of an object within @ms milliseconds, or -errno. */
int ready_within(int fd, short events, int ms);

/* Whether an asynchronous seal has ended by now. */
bool async_ended(int fd);

/* Waits until it has, and fetches: what SEAL returns; -ETIME when it goes on and on. */
int async_wait(int fd, struct pinseal_seal *arg);

/* Waits until a seal that goes on has looked at the pages: what SEAL returns. */
int async_wait_for_a_look(int fd, struct pinseal_seal *arg);

/* Puts an end to it: what SEAL returns. */
int async_cancel(int fd, struct pinseal_seal *arg);

/* Nobody seals the memory, and nobody ever did. */
#define EXPECT_UNTOUCHED(memory)						\
	do {									\
		EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory));			\
		EXPECT_EQ(1, sys(pwrite(memory, "u", 1, 0)));			\
		EXPECT_EQ(0, ps_try_map(memory, page_size(),			\
					PROT_READ | PROT_WRITE, MAP_SHARED));	\
	} while (0)

#endif /* ASYNC_H */
