// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "io.h"
#include "log.h"
#include "model.h"
#include "page_rights.h"
#include "pinseal_test.h"
#include "random.h"
#include "worker.h"

/* Returns a random offset into the object, or beyond its end. */
static uint64_t random_offset(struct worker *w, struct target *t)
{
	uint64_t at = random_below(&w->r, t->span + t->span / 16);

	if (once_in(&w->r, 2))
		at -= at % page_size();
	if (once_in(&w->r, 64))
		at = one_of(&w->r, 1ULL << 40, INT64_MAX, UINT64_MAX);
	return at;
}

size_t random_len(struct worker *w)
{
	size_t page = page_size();

	return once_in(&w->r, 4) ? page * (1 + random_below(&w->r, 2)) :
				   1 + random_below(&w->r, 3 * page);
}

void *random_memory(struct worker *w, size_t *len)
{
	struct mapping *map = &w->mapping[random_below(&w->r, MAPPINGS)];

	if (once_in(&w->r, 24))
		return (void *)one_of(&w->r, 0, 1ULL << 47, 1ULL << 63, UINT64_MAX);
	if (!map->t || once_in(&w->r, 2))
		return w->buf;
	*len = *len < map->len ? *len : map->len;
	return map->at + random_below(&w->r, map->len - *len + 1);
}

void mapping_was_filled(struct worker *w, const void *memory)
{
	for (int i = 0; i < MAPPINGS; i++) {
		struct mapping *map = &w->mapping[i];

		if (map->t && (char *)memory >= map->at && (char *)memory < map->at + map->len)
			map->own_bytes |= !map->shared;
	}
}

void op_read(struct worker *w, struct target *t)
{
	uint64_t at = random_offset(w, t);
	size_t len = random_len(w);
	unsigned char *memory = random_memory(w, &len);
	unsigned int how = random_below(&w->r, 4);
	struct iovec iov[2] = { { memory, len / 3 }, { memory + len / 3, len - len / 3 } };
	bool image = has_image(t);
	ssize_t ret;

	/* The read may give a private mapping pages of its own. */
	mapping_was_filled(w, memory);
	choose_fd(w, t, true);
	call_begin(w, t, "read(%lld, %#llx, %lld at %#llx, way %lld)", t->number,
		   address(memory), len, at, how);
	switch (how) {
	case 0:
		ret = sys(read(w->fd, memory, len));
		break;
	case 1:
		ret = sys(preadv2(w->fd, iov, 2, at, one_of(&w->r, 0, RWF_NOWAIT, RWF_HIPRI)));
		break;
	default:
		ret = sys(pread(w->fd, memory, len, at));
	}
	call_end(w, ret);
	check_call_access(w, memory, len, ret, STORE, true);
	if (!w->inner)
		call_allows(w, ret, EFAULT, EINVAL, EBADF, EOPNOTSUPP);
	if (ret > 0 && how && memory == w->buf && image)
		check_bytes(t, at, memory, ret, "read");
}

void op_write(struct worker *w, struct target *t)
{
	uint64_t at = random_offset(w, t);
	size_t len = random_len(w);
	unsigned char *memory = random_memory(w, &len);
	unsigned int how = random_below(&w->r, 8);
	struct iovec iov[2] = { { memory, len / 3 }, { memory + len / 3, len - len / 3 } };
	ssize_t ret;

	if (memory == w->buf)
		memset(memory, 1 + random_below(&w->r, 255), len);
	choose_fd(w, t, true);
	sizing_begins(t);
	call_begin(w, t, "write(%lld, %#llx, %lld at %#llx, way %lld)", t->number,
		   address(memory), len, at, how);
	switch (how) {
	case 0:
		ret = sys(write(w->fd, memory, len));
		break;
	case 1:
		ret = sys(pwritev2(w->fd, iov, 2, at, RWF_APPEND));
		break;
	case 2:
		ret = sys(pwritev2(w->fd, iov, 2, at, one_of(&w->r, 0, RWF_NOWAIT, RWF_DSYNC)));
		break;
	default:
		ret = sys(pwrite(w->fd, memory, len, at));
	}
	call_end(w, ret);
	sizing_ends(t);
	check_call_access(w, memory, len, ret, LOAD, true);
	/* A sealer does not block writes through the inner file, so their errors differ. */
	if (!w->inner)
		call_allows(w, ret, EFAULT, EINVAL, EBADF, EFBIG, EPERM, EINTR, EAGAIN, ENOSPC,
			    ENOMEM, EOPNOTSUPP);
	call_forbidden_by(w, ret, WRITE_SEALS | F_SEAL_GROW);
	if (ret == -EPERM)
		note(N_WRITES_REFUSED);
	if (ret <= 0)
		return;
	note(N_WRITES);
	write_once(t->used, true);
	call_wrote_bytes(w, "write() wrote");
	if (how > 1 && w->before.known & F_SEAL_GROW && at + ret > w->before.size_max)
		break_rule(RULE_STATE, "worker %u: write() up to %#llx of object %lld, which "
			   "cannot grow", w->number, (long long)(at + ret), t->number);
}

void op_seek(struct worker *w, struct target *t)
{
	int whence = one_of(&w->r, SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, 17);
	int64_t at = whence == SEEK_END ? 0 : random_offset(w, t);
	int64_t ret;

	choose_fd(w, t, true);
	call_begin(w, t, "lseek(%lld, %#llx, %lld)", t->number, at, whence);
	ret = call_end(w, sys(lseek(w->fd, at, whence)));
	call_allows(w, ret, EINVAL, ENXIO, EOVERFLOW);
	if (ret < 0)
		return;
	if (whence == SEEK_END)
		check_size(t, &w->before, ret);
	if ((whence == SEEK_DATA || whence == SEEK_HOLE) &&
	    (ret < at || (w->before.known & F_SEAL_GROW && (uint64_t)ret > w->before.size_max)))
		break_rule(RULE_RESULTS, "object %lld: data or hole at %#llx, searched from %#llx",
			   t->number, (long long)ret, (long long)at);
	if (whence > SEEK_HOLE)
		break_rule(RULE_RESULTS, "object %lld: lseek() accepted an unknown whence",
			   t->number);
}

/*
 * Pipes
 */

/* Empties the worker's pipe, which drops its page references. */
static void empty_pipe(struct worker *w)
{
	while (read(w->pipe[0], w->buf, page_size()) > 0)
		;
}

void op_splice(struct worker *w, struct target *t)
{
	loff_t at = random_offset(w, t);
	size_t len = random_len(w);
	struct iovec iov = { random_memory(w, &len), len };
	unsigned int way = random_below(&w->r, 5);
	ssize_t ret;

	iov.iov_len = len;
	choose_fd(w, t, true);
	sizing_begins(t);
	call_begin(w, t, "splice(%lld, %lld at %#llx, way %lld)", t->number, len,
		   at, way);
	switch (way) {
	case 0:
		ret = sys(vmsplice(w->pipe[1], &iov, 1, SPLICE_F_NONBLOCK));
		break;
	case 1:
	case 2:
		ret = sys(splice(w->fd, &at, w->pipe[1], NULL, len, SPLICE_F_NONBLOCK));
		break;
	case 3:
		ret = sys(sendfile(w->pipe[1], w->fd, &at, len));
		break;
	default:
		/* Into the object; the pipe may contain the object's own pages. */
		ret = sys(splice(w->pipe[0], NULL, w->fd, &at, len, SPLICE_F_NONBLOCK));
	}
	call_end(w, ret);
	sizing_ends(t);
	if (way == 0)
		check_call_access(w, iov.iov_base, iov.iov_len, ret, LOAD, false);
	if (way == 4) {
		call_forbidden_by(w, ret, WRITE_SEALS | F_SEAL_GROW);
		if (ret > 0)
			call_wrote_bytes(w, "splice() wrote");
		if (ret > 0)
			write_once(t->used, true);
	}
	if (once_in(&w->r, 2))
		empty_pipe(w);
}

/*
 * Descriptors
 */

void op_doomed_fd(struct worker *w, struct target *t)
{
	bool open = once_in(&w->r, 2);

	call_begin(w, t, open ? "dup(%lld to its doomed fd)" : "close(doomed fd of %lld)",
		   t->number);
	call_end(w, open ? sys(dup3(t->fd, t->doomed, O_CLOEXEC)) : sys(close(t->doomed)));
}

void op_nonblock(struct worker *w, struct target *t)
{
	bool set = once_in(&w->r, 4);

	if (set)
		write_once(t->nonblock, true);
	call_begin(w, t, "O_NONBLOCK(%lld, %lld)", t->number, set);
	call_end(w, sys(fcntl(t->fd, F_SETFL, set ? O_NONBLOCK : 0)));
}

void op_pass_fd(struct worker *w, struct target *t)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte = 's';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int pair[2], got;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return;
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &t->fd, sizeof(int));
	call_begin(w, t, "SCM_RIGHTS(%lld)", t->number);
	call_end(w, sys(sendmsg(pair[0], &msg, 0)));
	if (once_in(&w->r, 2) && recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC) == 1 &&
	    (head = CMSG_FIRSTHDR(&msg))) {
		int64_t size;

		memcpy(&got, CMSG_DATA(head), sizeof(int));
		call_begin(w, t, "INFO(%lld, received through a socket)", t->number);
		size = call_end(w, ps_size(got));
		if (size >= 0)
			check_size(t, &w->before, size);
		close(got);
	}
	close(pair[0]);
	close(pair[1]);
}

void op_other(struct worker *w, struct target *t)
{
	/* The first two are regular calls of a created object, which RESIZE and FALLOCATE make. */
	unsigned int which = random_below(&w->r, 6);
	struct pollfd ready = { .events = POLLIN | POLLOUT | POLLPRI };
	int64_t ret;

	if (t->created && which < 2)
		return;

	choose_fd(w, t, false);
	ready.fd = w->fd;
	call_begin(w, t, "other(%lld, %lld)", t->number, which);
	switch (which) {
	case 0:
		ret = sys(ftruncate(w->fd, t->span / 2));
		break;
	case 1:
		ret = sys(fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, 1));
		break;
	case 2:
		ret = sys(fsync(w->fd));
		break;
	case 3:
		ret = sys(poll(&ready, 1, 0));
		break;
	case 4:
		ret = posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
		break;
	default:
		ret = sys(copy_file_range(w->fd, NULL, w->fd, NULL, 10, 0));
	}
	call_end(w, ret);
	if (which < 2 && ret >= 0)
		break_rule(RULE_RESULTS, "object %lld: the VFS allowed a call that devices do not "
			   "support: %u", t->number, which);
}
