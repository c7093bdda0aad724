// SPDX-License-Identifier: GPL-2.0-only
#include "holders.h"

const char *hold_name(enum hold_kind kind)
{
	static const char *const names[HOLD_KINDS + 1] = {
		[HOLD_URING]		= "io_uring registered buffer",
		[HOLD_DIRECT_READ]	= "direct read in flight",
		[HOLD_VM_WRITEV]	= "process_vm_writev in flight",
		[HOLD_VMSPLICE]		= "vmsplice into a pipe",
		[HOLD_SPLICE]		= "splice into a pipe",
		[HOLD_HANDLE]		= "pin handle",
	};

	return names[kind];
}

bool hold_is_dma(enum hold_kind kind)
{
	return kind == HOLD_URING || kind == HOLD_DIRECT_READ || kind == HOLD_VM_WRITEV ||
	       kind == HOLD_HANDLE;
}

static void *hold_direct_read_thread(void *data)
{
	struct hold *h = data;

	h->fuse.got = fuse_server_only_this_file(&h->fuse.server);
	if (!h->fuse.got)
		h->fuse.got = pread(h->fuse.server.file, h->map, h->len, 0);
	if (h->fuse.got < 0)
		h->fuse.got = -errno;
	return NULL;
}

static int hold_direct_read(struct hold *h)
{
	int ret = fuse_server_start(&h->fuse.server);

	if (ret)
		return ret;
	ret = -pthread_create(&h->fuse.reader, NULL, hold_direct_read_thread, h);
	if (!ret) {
		ret = fuse_server_wait_held(&h->fuse.server, 1);
		if (!ret)
			return 0;
		fuse_server_release(&h->fuse.server);
		pthread_join(h->fuse.reader, NULL);
	}
	fuse_server_stop(&h->fuse.server);
	return ret;
}

static int hold_pipe(struct hold *h, int fd, off_t offset)
{
	size_t done = 0;
	int ret;

	if (pipe2(h->pipe, O_CLOEXEC))
		return -errno;
	/* The capacity is counted in pages. */
	if (fcntl(h->pipe[1], F_SETPIPE_SZ, (int)h->len) < 0)
		goto undo;
	while (done < h->len) {
		struct iovec iov = { (char *)h->map + done, h->len - done };
		ssize_t n;

		if (h->kind == HOLD_VMSPLICE)
			n = vmsplice(h->pipe[1], &iov, 1, SPLICE_F_NONBLOCK);
		else
			n = splice(fd, &offset, h->pipe[1], NULL, h->len - done,
				   SPLICE_F_NONBLOCK);
		if (n <= 0) {
			if (!n)
				errno = EIO;
			goto undo;
		}
		done += n;
	}
	return 0;
undo:
	ret = -errno;
	close(h->pipe[0]);
	close(h->pipe[1]);
	return ret;
}

/* Empties the pipe, which drops its references. */
static int hold_drain(struct hold *h)
{
	char buf[4096];
	size_t done = 0;

	while (done < h->len) {
		ssize_t n = read(h->pipe[0], buf, sizeof(buf));

		if (n <= 0)
			return n ? -errno : -EIO;
		done += n;
	}
	return 0;
}

int hold_begin(struct hold *h, enum hold_kind kind, int fd,
	       uint64_t first, uint64_t pages)
{
	off_t offset = first * page_size();
	int ret;

	memset(h, 0, sizeof(*h));
	h->kind = kind;
	h->len = pages * page_size();
	h->map = mmap(NULL, h->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	if (h->map == MAP_FAILED)
		return -errno;

	switch (kind) {
	case HOLD_URING:
		ret = uring_open(&h->ring, 4, 0);
		if (ret)
			break;
		ret = uring_register_buffer(&h->ring, h->map, h->len);
		if (ret)
			uring_close(&h->ring);
		break;
	case HOLD_DIRECT_READ:
		ret = hold_direct_read(h);
		break;
	case HOLD_VM_WRITEV:
		ret = stalled_writev_begin(&h->writev, h->map, h->len);
		break;
	case HOLD_VMSPLICE:
	case HOLD_SPLICE:
		ret = hold_pipe(h, fd, offset);
		break;
	case HOLD_HANDLE:
		ret = h->handle = ps_pin(fd, first, pages, 0);
		ret = ret < 0 ? ret : 0;
		break;
	default:
		ret = -EINVAL;
	}
	munmap(h->map, h->len);
	return ret;
}

int hold_end(struct hold *h)
{
	int ret = 0;

	switch (h->kind) {
	case HOLD_URING:
		ret = uring_unregister_buffers(&h->ring);
		uring_close(&h->ring);
		break;
	case HOLD_DIRECT_READ:
		fuse_server_release(&h->fuse.server);
		pthread_join(h->fuse.reader, NULL);
		fuse_server_stop(&h->fuse.server);
		if (h->fuse.got != (ssize_t)h->len)
			ret = h->fuse.got < 0 ? h->fuse.got : -EIO;
		break;
	case HOLD_VM_WRITEV:
		ret = stalled_writev_end(&h->writev);
		break;
	case HOLD_VMSPLICE:
	case HOLD_SPLICE:
		ret = hold_drain(h);
		close(h->pipe[0]);
		close(h->pipe[1]);
		break;
	case HOLD_HANDLE:
		close(h->handle);
		break;
	default:
		ret = -EINVAL;
	}
	return ret;
}

static void *hold_ender_thread(void *data)
{
	struct hold_ender *e = data;

	sleep_ns(e->delay_ns);
	e->began = now_ns();
	e->ret = hold_end(e->hold);
	e->ended = now_ns();
	return NULL;
}

int hold_end_later(struct hold_ender *e, struct hold *h, uint64_t delay_ns)
{
	*e = (struct hold_ender){ .hold = h, .delay_ns = delay_ns };
	return -pthread_create(&e->thread, NULL, hold_ender_thread, e);
}

int hold_ender_join(struct hold_ender *e)
{
	pthread_join(e->thread, NULL);
	return e->ret;
}
