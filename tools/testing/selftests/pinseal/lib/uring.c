// SPDX-License-Identifier: GPL-2.0-only
#include "uring.h"

int uring_open(struct uring *u, unsigned int entries, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	size_t sq_len, cq_len;

	memset(u, 0, sizeof(*u));
	u->fd = syscall(SYS_io_uring_setup, entries, &p);
	if (u->fd < 0)
		return -errno;

	/* One mapping holds both rings (IORING_FEAT_SINGLE_MMAP, Linux 5.4). */
	sq_len = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	u->rings_len = sq_len > cq_len ? sq_len : cq_len;
	u->rings = mmap(NULL, u->rings_len, PROT_READ | PROT_WRITE, MAP_SHARED,
			u->fd, IORING_OFF_SQ_RING);
	u->sqes_len = p.sq_entries * sizeof(struct io_uring_sqe);
	u->sqes = mmap(NULL, u->sqes_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		       u->fd, IORING_OFF_SQES);
	if (u->rings == MAP_FAILED || u->sqes == MAP_FAILED) {
		close(u->fd);
		return -ENOMEM;
	}

	u->sq_tail = u->rings + p.sq_off.tail;
	u->sq_array = u->rings + p.sq_off.array;
	u->sq_mask = *(unsigned int *)(u->rings + p.sq_off.ring_mask);
	u->cq_head = u->rings + p.cq_off.head;
	u->cq_tail = u->rings + p.cq_off.tail;
	u->cq_mask = *(unsigned int *)(u->rings + p.cq_off.ring_mask);
	u->cqes = u->rings + p.cq_off.cqes;
	return 0;
}

void uring_close(struct uring *u)
{
	munmap(u->sqes, u->sqes_len);
	munmap(u->rings, u->rings_len);
	close(u->fd);
	u->fd = -1;
}

static int uring_enter(struct uring *u, unsigned int submit,
		       unsigned int wait, unsigned int flags)
{
	int ret = syscall(SYS_io_uring_enter, u->fd, submit, wait, flags, NULL, 0);

	return ret < 0 ? -errno : ret;
}

int uring_submit(struct uring *u, const struct io_uring_sqe *sqe)
{
	unsigned int tail = *u->sq_tail;
	int ret;

	u->sqes[tail & u->sq_mask] = *sqe;
	u->sq_array[tail & u->sq_mask] = tail & u->sq_mask;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	ret = uring_enter(u, 1, 0, 0);
	return ret == 1 ? 0 : ret < 0 ? ret : -EIO;
}

int uring_reap(struct uring *u, struct io_uring_cqe *cqe)
{
	unsigned int head = *u->cq_head;

	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
		return -EAGAIN;
	*cqe = u->cqes[head & u->cq_mask];
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return 0;
}

int uring_wait(struct uring *u, struct io_uring_cqe *cqe)
{
	int ret;

	while ((ret = uring_reap(u, cqe)) == -EAGAIN) {
		ret = uring_enter(u, 0, 1, IORING_ENTER_GETEVENTS);
		if (ret < 0 && ret != -EINTR)
			return ret;
	}
	return ret;
}

int uring_register_buffer(struct uring *u, void *addr, size_t len)
{
	struct iovec iov = { addr, len };
	int ret = syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_BUFFERS, &iov, 1);

	return ret < 0 ? -errno : 0;
}

int uring_unregister_buffers(struct uring *u)
{
	int ret = syscall(SYS_io_uring_register, u->fd, IORING_UNREGISTER_BUFFERS, NULL, 0);

	return ret < 0 ? -errno : 0;
}
