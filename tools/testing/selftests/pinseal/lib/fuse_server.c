// SPDX-License-Identifier: GPL-2.0-only
#include "fuse_server.h"

static void fuse_server_reply(struct fuse_server *s, uint64_t unique, int error,
			      const void *data, size_t len)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + len,
		.error = error,
		.unique = unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)data, len } };

	/* ENOENT: the reader is gone. */
	if (writev(s->dev, iov, len ? 2 : 1) < 0 && errno != ENOENT)
		perror("# fuse server: reply");
}

static void fuse_server_reply_read(struct fuse_server *s, uint64_t unique, uint32_t size)
{
	void *data = malloc(size);

	if (!data) {
		fuse_server_reply(s, unique, -ENOMEM, NULL, 0);
		return;
	}
	memset(data, FUSE_SERVER_BYTE, size);
	fuse_server_reply(s, unique, 0, data, size);
	free(data);
}

static struct fuse_attr fuse_server_attr(uint64_t node)
{
	struct fuse_attr attr = {
		.ino = node,
		.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0600,
		.nlink = 1,
		.size = node == FUSE_ROOT_ID ? 0 : 1 << 30,
		.blksize = 4096,
	};

	return attr;
}

static void fuse_server_handle(struct fuse_server *s, const struct fuse_in_header *in,
			       const void *arg)
{
	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *init = arg;
		struct fuse_init_out out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = init->minor < FUSE_KERNEL_MINOR_VERSION ?
				 init->minor : FUSE_KERNEL_MINOR_VERSION,
			.flags = FUSE_MAX_PAGES | FUSE_ASYNC_DIO,
			.max_background = FUSE_SERVER_MAX_HELD,
			.congestion_threshold = FUSE_SERVER_MAX_HELD,
			.max_write = 4096,
			.max_pages = FUSE_SERVER_MAX_PAGES,
		};

		fuse_server_reply(s, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = {
			.nodeid = FUSE_ROOT_ID + 1,
			.entry_valid = 1 << 20,
			.attr_valid = 1 << 20,
			.attr = fuse_server_attr(FUSE_ROOT_ID + 1),
		};

		fuse_server_reply(s, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = {
			.attr_valid = 1 << 20,
			.attr = fuse_server_attr(in->nodeid),
		};

		fuse_server_reply(s, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_OPEN: {
		struct fuse_open_out out = {
			.open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH,
		};

		fuse_server_reply(s, in->unique, 0, &out, sizeof(out));
		break;
	}
	case FUSE_READ: {
		const struct fuse_read_in *read = arg;
		bool answer = true;

		pthread_mutex_lock(&s->lock);
		if (s->hold && s->held < FUSE_SERVER_MAX_HELD) {
			s->reads[s->held].unique = in->unique;
			s->reads[s->held].size = read->size;
			s->held++;
			answer = false;
			pthread_cond_broadcast(&s->changed);
		}
		pthread_mutex_unlock(&s->lock);
		if (answer)
			fuse_server_reply_read(s, in->unique, read->size);
		break;
	}
	case FUSE_IOCTL: {
		const struct fuse_ioctl_in *command = arg;
		/* As much as a struct of pinseal. */
		struct {
			struct fuse_ioctl_out out;
			uint32_t answer[64];
		} reply = { .answer = { 1 } };
		size_t len = command->out_size;

		if (len > sizeof(reply.answer))
			len = 0;
		fuse_server_reply(s, in->unique, 0, &reply, sizeof(reply.out) + len);
		break;
	}
	case FUSE_RELEASE:
		fuse_server_reply(s, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		/* These have no answer. */
		break;
	default:
		fuse_server_reply(s, in->unique, -ENOSYS, NULL, 0);
	}
}

static void *fuse_server_thread(void *data)
{
	struct fuse_server *s = data;
	struct pollfd fds[2] = {
		{ .fd = s->dev, .events = POLLIN },
		{ .fd = s->stop, .events = POLLIN },
	};
	union {
		struct fuse_in_header in;
		char bytes[64 * 1024];
	} *msg = malloc(sizeof(*msg));

	while (msg) {
		ssize_t len;

		poll(fds, 2, -1);
		if (fds[1].revents || fds[0].revents & (POLLERR | POLLHUP))
			break;
		len = read(s->dev, msg, sizeof(*msg));
		if (len >= (ssize_t)sizeof(msg->in))
			fuse_server_handle(s, &msg->in, msg->bytes + sizeof(msg->in));
		else if (len < 0 && errno == ENODEV)
			break;
	}
	free(msg);
	return NULL;
}

/* The descriptor of a mount, or -errno. */
static int fuse_server_mount(int dev)
{
	char dev_text[16], uid[16], gid[16];
	int fs, mnt = -1, error;

	snprintf(dev_text, sizeof(dev_text), "%d", dev);
	snprintf(uid, sizeof(uid), "%u", (unsigned int)getuid());
	snprintf(gid, sizeof(gid), "%u", (unsigned int)getgid());

	fs = fsopen("fuse", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (!fsconfig(fs, FSCONFIG_SET_STRING, "fd", dev_text, 0) &&
	    !fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", "40000", 0) &&
	    !fsconfig(fs, FSCONFIG_SET_STRING, "user_id", uid, 0) &&
	    !fsconfig(fs, FSCONFIG_SET_STRING, "group_id", gid, 0) &&
	    !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	error = errno;
	close(fs);
	return mnt < 0 ? -error : mnt;
}

int fuse_server_start(struct fuse_server *s)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->mnt = s->file = -1;
	s->hold = true;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);

	s->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (s->dev < 0)
		return -errno;
	s->stop = eventfd(0, EFD_CLOEXEC);
	if (s->stop < 0) {
		ret = -errno;
		close(s->dev);
		return ret;
	}
	s->mnt = fuse_server_mount(s->dev);
	if (s->mnt < 0) {
		ret = s->mnt;
		close(s->stop);
		close(s->dev);
		return ret;
	}
	ret = -pthread_create(&s->thread, NULL, fuse_server_thread, s);
	if (ret) {
		close(s->mnt);
		close(s->stop);
		close(s->dev);
		return ret;
	}
	s->file = openat(s->mnt, "file", O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (s->file < 0) {
		ret = -errno;
		fuse_server_stop(s);
		return ret;
	}
	return 0;
}

int fuse_server_wait_held(struct fuse_server *s, unsigned int n)
{
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SOON_NS / NSEC_PER_SEC;
	pthread_mutex_lock(&s->lock);
	while (s->held < n && !ret)
		ret = -pthread_cond_timedwait(&s->changed, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void fuse_server_release(struct fuse_server *s)
{
	unsigned int i;

	pthread_mutex_lock(&s->lock);
	s->hold = false;
	for (i = 0; i < s->held; i++)
		fuse_server_reply_read(s, s->reads[i].unique, s->reads[i].size);
	s->held = 0;
	pthread_mutex_unlock(&s->lock);
}

void fuse_server_stop(struct fuse_server *s)
{
	uint64_t one = 1;

	if (s->file >= 0)
		close(s->file);
	if (write(s->stop, &one, sizeof(one)) != sizeof(one))
		perror("# fuse server: stop");
	pthread_join(s->thread, NULL);
	/* The last close of the device aborts pending reads. */
	close(s->dev);
	close(s->mnt);
	close(s->stop);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
}

int fuse_server_only_this_file(struct fuse_server *s)
{
	if (s->file > 3 && close_range(3, s->file - 1, CLOSE_RANGE_UNSHARE))
		return -errno;
	if (close_range(s->file + 1, ~0U, CLOSE_RANGE_UNSHARE))
		return -errno;
	return 0;
}
