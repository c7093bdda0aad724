// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A pool of buffers, as a client of Wayland shares with its compositor.
 *
 *	buffer_pool
 *
 * The client draws frames into the buffers of one object. It passes a descriptor of it to the compositor once, by
 * SCM_RIGHTS, and then says which buffer has a new frame. The compositor shows it until there is the next
 * one, and gives the buffer back.
 *
 * The compositor cannot trust its clients:
 *
 * - One that makes the pool smaller would end the compositor with SIGBUS. It maps a pool only if its size is
 *   sealed (F_SEAL_SHRINK); then the client cannot do that, and no signal handler is needed.
 * - The display reads a frame from pinned pages. They are pinned on lease: a client that wants its memory back
 *   gets it within a bounded time, and a compositor that does not answer loses the pages, not the client.
 *
 * The descriptor that it gets cannot write, so the client need not trust the compositor, either.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include <pinseal.h>

#include "pass.h"

#define BUFFERS		3
#define BUFFER_BYTES	(256 * 1024)	/* whole pages, also of 64 KiB */
#define POOL_BYTES	(BUFFERS * BUFFER_BYTES)
#define FRAMES		20

#define GRACE_NS	(2 * 1000 * 1000 * 1000ULL)

struct pool_message {
	enum {
		POOL,		/* to the compositor, with a descriptor */
		ACCEPTED,	/* and its answers */
		REFUSED,
		SHOW,		/* to the compositor: a frame is in the buffer */
		RELEASED,	/* to the client: the buffer can be drawn to */
	} what;
	unsigned int buffer, frame;
};

static int tell(int sock, int what, unsigned int buffer, unsigned int frame, int fd)
{
	struct pool_message message = { .what = what, .buffer = buffer, .frame = frame };

	return pass_send(sock, &message, sizeof(message), fd);
}

/*
 * The compositor
 */

struct compositor {
	int sock;
	int pool;			/* -1 without one */
	const unsigned char *map;	/* what it copies from */
	int lease;			/* of the buffer that is shown, or -1 */
	unsigned int shown, frames, asked;
};

/* Takes the pool, or refuses it. */
static int take_pool(struct compositor *c, int pool)
{
	void *p;

	if (!pinseal_is_object(pool) || !(pinseal_get_seals(pool) & F_SEAL_SHRINK) ||
	    pinseal_size(pool) < POOL_BYTES) {
		printf("compositor: refuses a pool that may shrink\n");
		close(pool);
		return tell(c->sock, REFUSED, 0, 0, -1);
	}
	p = mmap(NULL, POOL_BYTES, PROT_READ, MAP_SHARED, pool, 0);
	if (p == MAP_FAILED)
		return -1;
	c->pool = pool;
	c->map = p;
	return tell(c->sock, ACCEPTED, 0, 0, -1);
}

/* Gives back the buffer that is shown. */
static int release_buffer(struct compositor *c)
{
	if (c->lease < 0)
		return 0;
	/* This wakes a client that waits for the pages. */
	close(c->lease);
	c->lease = -1;
	return tell(c->sock, RELEASED, c->shown, 0, -1);
}

/*
 * Shows a frame: pins its buffer as the display would, and checks what the display reads. Then the buffer
 * before is given back, which tells the client that this one is on the display.
 */
static int show(struct compositor *c, unsigned int buffer, unsigned int frame)
{
	size_t page_bytes = sysconf(_SC_PAGESIZE), pages = BUFFER_BYTES / page_bytes;
	unsigned char byte;
	int lease;

	if (c->pool < 0 || buffer >= BUFFERS)
		return -1;
	lease = pinseal_lease(c->pool, buffer * pages, pages, PINSEAL_PIN_READONLY, GRACE_NS);
	if (lease < 0) {
		fprintf(stderr, "compositor: no lease: %s\n", strerror(-lease));
		return -1;
	}
	for (size_t at = 0; at < BUFFER_BYTES; at += page_bytes)
		if (pread(lease, &byte, 1, at) != 1 || byte != (unsigned char)frame ||
		    c->map[buffer * BUFFER_BYTES + at] != byte) {
			fprintf(stderr, "compositor: frame %u is not as drawn\n", frame);
			close(lease);
			return -1;
		}
	if (release_buffer(c)) {
		close(lease);
		return -1;
	}
	c->lease = lease;
	c->shown = buffer;
	c->frames++;
	return 0;
}

/* Does what the client says: 0, 1 if it has ended, or -1. */
static int take_message(struct compositor *c)
{
	struct pool_message message;
	int fd;

	if (pass_receive(c->sock, &message, sizeof(message), &fd))
		return errno == ENODATA ? 1 : -1;
	if (message.what == POOL && fd >= 0 && c->pool < 0)
		return take_pool(c, fd);
	if (message.what == SHOW && fd < 0)
		return show(c, message.buffer, message.frame);
	return -1;
}

/* Until the client ends: 0, or -1. */
static int compositor_main(int sock)
{
	struct compositor c = { .sock = sock, .pool = -1, .lease = -1 };
	int ret = 0;

	while (!ret) {
		struct pollfd ready[] = {
			{ .fd = sock, .events = POLLIN },
			{ .fd = c.lease, .events = POLLPRI },
		};

		if (poll(ready, 2, -1) < 0)
			return -1;
		if (ready[1].revents) {
			c.asked++;
			ret = release_buffer(&c);
		} else if (ready[0].revents) {
			ret = take_message(&c);
		}
	}
	printf("compositor: showed %u frames, and was asked for the pages of %u\n", c.frames, c.asked);
	return ret < 0 ? -1 : 0;
}

/*
 * The client
 */

struct client {
	int sock, pool;
	unsigned char *map;
	int is_shown[BUFFERS];
	unsigned int n_shown;
};

/* Passes the pool on, for reading: 0 if it was taken, 1 if not, or -1. */
static int pass_pool(struct client *c)
{
	struct pool_message answer;
	int view = pinseal_reopen(c->pool, O_RDONLY), fd;

	if (view < 0 || tell(c->sock, POOL, 0, 0, view))
		return -1;
	close(view);
	if (pass_receive(c->sock, &answer, sizeof(answer), &fd))
		return -1;
	return answer.what == ACCEPTED ? 0 : 1;
}

/* Waits until the compositor has at most @most buffers: 0, or -1. */
static int await_release(struct client *c, unsigned int most)
{
	struct pool_message message;
	int fd;

	while (c->n_shown > most) {
		if (pass_receive(c->sock, &message, sizeof(message), &fd) || message.what != RELEASED ||
		    message.buffer >= BUFFERS || !c->is_shown[message.buffer])
			return -1;
		c->is_shown[message.buffer] = 0;
		c->n_shown--;
	}
	return 0;
}

static int draw(struct client *c, unsigned int frame)
{
	unsigned int buffer = 0;

	if (await_release(c, BUFFERS - 1))
		return -1;
	while (c->is_shown[buffer])
		buffer++;
	memset(c->map + buffer * BUFFER_BYTES, frame, BUFFER_BYTES);
	c->is_shown[buffer] = 1;
	c->n_shown++;
	return tell(c->sock, SHOW, buffer, frame, -1);
}

/* The window was closed: its memory is taken back, also from under the display. */
static int take_back(struct client *c)
{
	struct pinseal_fallocate report;
	int ret = pinseal_punch_wait(c->pool, 0, POOL_BYTES, 2 * GRACE_NS, 0, &report);

	if (ret) {
		fprintf(stderr, "client: %llu pages are in use: %s\n",
			(unsigned long long)report.pinned_pages, strerror(-ret));
		return -1;
	}
	printf("client: has its memory back, %llu pages were revoked\n",
	       (unsigned long long)report.revoked_pages);
	return 0;
}

static int client_main(int sock)
{
	struct client c = { .sock = sock, .pool = pinseal_open(O_RDWR) };

	if (c.pool < 0 || pinseal_resize(c.pool, POOL_BYTES)) {
		fprintf(stderr, "client: no memory by " PINSEAL_DEVICE "\n");
		return -1;
	}
	c.map = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, c.pool, 0);
	if (c.map == MAP_FAILED)
		return -1;
	/* It may still shrink, and is refused. It may always grow. */
	if (pass_pool(&c) != 1 || pinseal_seal(c.pool, F_SEAL_SHRINK, NULL, NULL) || pass_pool(&c))
		return -1;
	if (pinseal_resize(c.pool, 0) != -EPERM)
		return -1;
	for (unsigned int frame = 1; frame <= FRAMES; frame++)
		if (draw(&c, frame))
			return -1;
	/* The last frame stays on the display. */
	if (await_release(&c, 1) || take_back(&c))
		return -1;
	return await_release(&c, 0);
}

int main(void)
{
	int socks[2], status, ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks)) {
		perror("buffer_pool: socketpair");
		return 1;
	}
	if (!fork()) {
		close(socks[0]);
		ret = compositor_main(socks[1]) != 0;
		fflush(stdout);
		_exit(ret);
	}
	close(socks[1]);
	ret = client_main(socks[0]);
	close(socks[0]);
	return wait(&status) < 0 || status || ret;
}
