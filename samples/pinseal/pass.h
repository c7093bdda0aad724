/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Passing a descriptor to another program through a socket in the file system. */
#ifndef PASS_H
#define PASS_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline struct sockaddr_un pass_address(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* Waits for a connection, and sends @fd through it: 0, or -1 and errno. */
static inline int send_to_first(const char *path, int fd)
{
	struct sockaddr_un address = pass_address(path);
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
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
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ret = sendmsg(peer, &msg, 0) == 1 ? 0 : -1;
	close(peer);
	return ret;
}

/* Receives a descriptor through the socket @path: the descriptor, or -1 and errno. */
static inline int receive_from(const char *path)
{
	struct sockaddr_un address = pass_address(path);
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1;
	struct cmsghdr *cmsg;

	if (peer < 0)
		return -1;
	if (!connect(peer, (struct sockaddr *)&address, sizeof(address)) &&
	    recvmsg(peer, &msg, MSG_CMSG_CLOEXEC) == 1) {
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
		else
			errno = EPROTO;
	}
	close(peer);
	return fd;
}

#endif /* PASS_H */
