/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Passing a descriptor to another program, beside a message or alone. */
#ifndef PASS_H
#define PASS_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Room for one descriptor, aligned as the kernel's header is. */
union pass_control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header;
};

/* Sends a message of @len bytes, and with it @fd unless that is -1: 0, or -1 and errno. */
static inline int pass_send(int sock, const void *message, size_t len, int fd)
{
	union pass_control control = { { 0 } };
	struct iovec iov = { (void *)message, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/*
 * Receives a message of @len bytes, and in *@fd the descriptor that came with it, or -1: 0, or -1 and
 * errno, which is ENODATA if the other side has ended.
 */
static inline int pass_receive(int sock, void *message, size_t len, int *fd)
{
	union pass_control control;
	struct iovec iov = { message, len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* Not the padding, in which the kernel would leave another one. */
		.msg_controllen = CMSG_LEN(sizeof(*fd)),
	};
	ssize_t got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*fd = -1;
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	if (got == (ssize_t)len)
		return 0;
	if (got >= 0)
		errno = ENODATA;
	return -1;
}

static inline struct sockaddr_un pass_address(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* Waits for a connection at a socket in the file system, and sends @fd through it: 0, or -1 and errno. */
static inline int send_to_first(const char *path, int fd)
{
	struct sockaddr_un address = pass_address(path);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, ret;

	if (listener < 0)
		return -1;
	/* Renamed once it listens: a program that finds the name can connect. */
	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s.new", path);
	unlink(address.sun_path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1) ||
	    rename(address.sun_path, path)) {
		close(listener);
		return -1;
	}
	peer = accept(listener, NULL, NULL);
	close(listener);
	unlink(path);
	if (peer < 0)
		return -1;
	ret = pass_send(peer, "", 1, fd);
	close(peer);
	return ret;
}

/* Receives a descriptor through the socket @path: the descriptor, or -1 and errno. */
static inline int receive_from(const char *path)
{
	struct sockaddr_un address = pass_address(path);
	int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1;
	char byte;

	if (peer < 0)
		return -1;
	if (!connect(peer, (struct sockaddr *)&address, sizeof(address)) &&
	    !pass_receive(peer, &byte, sizeof(byte), &fd) && fd < 0)
		errno = EPROTO;
	close(peer);
	return fd;
}

#endif /* PASS_H */
