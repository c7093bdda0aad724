// SPDX-License-Identifier: GPL-2.0-only
#include "async.h"

int ready_within(int fd, short events, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int ret = sys(poll(&pfd, 1, ms));

	return ret < 0 ? ret : pfd.revents;
}

bool async_ended(int fd)
{
	return ready_within(fd, POLLPRI, 0) == POLLPRI;
}

int async_wait(int fd, struct pinseal_seal *arg)
{
	if (ready_within(fd, POLLPRI, SOON_NS / NSEC_PER_MSEC) != POLLPRI)
		return -ETIME;
	return ps_seal(fd, arg);
}

int async_wait_scan(int fd, struct pinseal_seal *arg)
{
	uint64_t until = now_ns() + SOON_NS;
	int ret;

	do
		ret = ps_seal(fd, arg);
	while (!ret && arg->outcome == PINSEAL_OUTCOME_PENDING && !arg->scans && now_ns() < until);
	return ret;
}

int async_cancel(int fd, struct pinseal_seal *arg)
{
	int ret;

	arg->flags |= PINSEAL_SEAL_CANCEL;
	ret = ps_seal(fd, arg);
	arg->flags &= ~PINSEAL_SEAL_CANCEL;
	return ret;
}
