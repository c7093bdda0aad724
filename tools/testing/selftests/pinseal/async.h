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
static inline int ready_within(int fd, short events, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int ret = sys(poll(&pfd, 1, ms));

	return ret < 0 ? ret : pfd.revents;
}

/* Whether an asynchronous seal has ended by now. */
static inline bool async_ended(int fd)
{
	return ready_within(fd, POLLPRI, 0) == POLLPRI;
}

/* Waits until it has, and fetches: what SEAL returns; -ETIME when it goes on and on. */
static inline int async_wait(int fd, struct pinseal_seal *arg)
{
	if (ready_within(fd, POLLPRI, SOON_NS / NSEC_PER_MSEC) != POLLPRI)
		return -ETIME;
	return ps_seal(fd, arg);
}

/* Waits until a seal that goes on has looked at the pages: what SEAL returns. */
static inline int async_wait_for_a_look(int fd, struct pinseal_seal *arg)
{
	uint64_t until = now_ns() + SOON_NS;
	int ret;

	do
		ret = ps_seal(fd, arg);
	while (!ret && arg->outcome == PINSEAL_OUTCOME_PENDING && !arg->scans && now_ns() < until);
	return ret;
}

/* Puts an end to it: what SEAL returns. */
static inline int async_cancel(int fd, struct pinseal_seal *arg)
{
	int ret;

	arg->flags |= PINSEAL_SEAL_CANCEL;
	ret = ps_seal(fd, arg);
	arg->flags &= ~PINSEAL_SEAL_CANCEL;
	return ret;
}

/* Nobody seals the memory, and nobody ever did. */
#define EXPECT_UNTOUCHED(memory)						\
	do {									\
		EXPECT_EQ(F_SEAL_SEAL, obj_get_seals(memory));			\
		EXPECT_EQ(1, sys(pwrite(memory, "u", 1, 0)));			\
		EXPECT_EQ(0, ps_try_map(memory, page_size(),			\
					PROT_READ | PROT_WRITE, MAP_SHARED));	\
	} while (0)

#endif /* ASYNC_H */
