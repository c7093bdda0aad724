// SPDX-License-Identifier: GPL-2.0-only
/*
 * A generational garbage collector's write barrier: a store to a read-only page is refused, the
 * page is made writable, the store is made again, and then the page is read-only again.
 *
 * With mprotect() and PROTECT a SIGSEGV handler makes the page writable, with userfaultfd's write
 * protection another thread, which gets a message.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "bytes.h"
#include "protect.h"
#include "report.h"
#include "userfaultfd.h"
#include "write_barrier.h"

/* Pages of the heap, all of them in memory. */
#define PAGES	1024

enum way {
	BY_MPROTECT = MEMFD,
	BY_PROTECT = PINSEAL,
	BY_USERFAULTFD,
	WAYS,
};

struct heap {
	enum way way;
	int fd;
	char *p;
	size_t page;
	/* How often a page was made writable. */
	unsigned int refused;
	/* With userfaultfd only. */
	int uffd, stop;
	pthread_t thread;
};

/* The heap that is stored to, for the signal handler. */
static struct heap *current;

static int heap_protect(struct heap *h, void *p, size_t len, int prot)
{
	if (h->way == BY_USERFAULTFD)
		return uffd_write_protect(h->uffd, p, len, !(prot & PROT_WRITE));
	return protect_pages((enum object_kind)h->way, h->fd, p, len, prot);
}

/* Makes the page at @address writable. */
static void refused_at(struct heap *h, uintptr_t address)
{
	void *page = (void *)(address & ~(h->page - 1));

	__atomic_add_fetch(&h->refused, 1, __ATOMIC_RELAXED);
	must(heap_protect(h, page, h->page, RW), "making a page writable");
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	refused_at(current, (uintptr_t)info->si_addr);
}

static void *uffd_thread(void *data)
{
	struct heap *h = data;
	struct pollfd fds[] = {
		{ .fd = h->uffd, .events = POLLIN },
		{ .fd = h->stop, .events = POLLIN },
	};
	struct uffd_msg msg;

	while (poll(fds, ARRAY_SIZE(fds), -1) > 0 && !fds[1].revents) {
		if (read(h->uffd, &msg, sizeof(msg)) == sizeof(msg))
			refused_at(h, msg.arg.pagefault.address);
	}
	return NULL;
}

/* Has userfaultfd watch the heap: 0, or -errno if the kernel cannot. */
static int heap_watch(struct heap *h)
{
	int ret;

	h->uffd = uffd_open();
	if (h->uffd < 0)
		return -errno;
	ret = uffd_register(h->uffd, h->p, PAGES * h->page, UFFDIO_REGISTER_MODE_WP);
	if (ret) {
		close(h->uffd);
		return ret;
	}
	h->stop = must(sys(eventfd(0, EFD_CLOEXEC)), "eventfd");
	must(-pthread_create(&h->thread, NULL, uffd_thread, h), "thread");
	return 0;
}

/* A heap whose pages are all read-only: 0, or -errno if userfaultfd cannot. */
static int heap_begin(struct heap *h, enum way way)
{
	int ret;

	*h = (struct heap){ .way = way, .page = page_size() };
	h->fd = must(obj_create(way == BY_PROTECT ? PINSEAL : MEMFD, PAGES * h->page), "object");
	h->p = ps_map(h->fd, PAGES * h->page, RW, MAP_SHARED);
	if (h->p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	memset(h->p, 'h', PAGES * h->page);
	ret = way == BY_USERFAULTFD ? heap_watch(h) : 0;
	if (!ret)
		must(heap_protect(h, h->p, PAGES * h->page, PROT_READ), "protecting the heap");
	return ret;
}

static void heap_end(struct heap *h)
{
	if (h->thread) {
		must(sys(eventfd_write(h->stop, 1)), "eventfd");
		pthread_join(h->thread, NULL);
		close(h->stop);
		close(h->uffd);
	}
	munmap(h->p, PAGES * h->page);
	close(h->fd);
}

/* Of each way: the store, with the barrier; the page read-only again; both. */
struct times {
	struct samples store, again, both;
};

static void barrier_once(struct heap *h, unsigned int page, struct times *t)
{
	unsigned int before = h->refused;
	volatile char *at = h->p + page * h->page;
	uint64_t began, stored, ended;

	current = h;
	began = now_ns();
	*at = 's';
	stored = now_ns();
	must(heap_protect(h, (void *)at, h->page, PROT_READ), "protecting a page");
	ended = now_ns();
	if (__atomic_load_n(&h->refused, __ATOMIC_RELAXED) != before + 1)
		die("a store to a read-only page was not refused once");
	add_sample(&t->store, stored - began);
	add_sample(&t->again, ended - stored);
	add_sample(&t->both, ended - began);
}

/* A row of medians, and of userfaultfd's in place of mprotect()'s. */
static void barrier_row(const char *name, const char *what, enum way other, struct samples *other_time,
			struct samples *time)
{
	bool is_uffd = other == BY_USERFAULTFD;

	result(format_text("protect_barrier_%s%s", is_uffd ? "uffd_" : "", name).s,
	       format_text("%s%s", what, is_uffd ? "; userfaultfd" : "").s, median(other_time),
	       median(time));
}

void write_barriers(void)
{
	enum { ROUNDS = 500 };
	struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO }, before;
	static struct times times[WAYS];
	static struct heap heaps[WAYS];
	unsigned int ways, n, other;
	int ret = 0;

	if (!is_any_wanted("protect_barrier"))
		return;
	must(sys(sigaction(SIGSEGV, &action, &before)), "sigaction");
	for (ways = 0; ways < WAYS && !ret; ways++)
		ret = heap_begin(&heaps[ways], ways);
	if (ret)
		heap_end(&heaps[--ways]);
	for (n = 0; n < ROUNDS * ways; n++)
		/* All over the heap: 37 and the number of pages have no common factor. */
		barrier_once(&heaps[n % ways], n / ways * 37 % PAGES, &times[n % ways]);
	for (n = 0; n < ways; n++)
		heap_end(&heaps[n]);
	sigaction(SIGSEGV, &before, NULL);

	for (other = 0; other < ways; other++) {
		if (other == BY_PROTECT)
			continue;
		barrier_row("store", "write barrier: the store", other, &times[other].store,
			    &times[BY_PROTECT].store);
		barrier_row("again", "    read-only again", other, &times[other].again,
			    &times[BY_PROTECT].again);
		barrier_row("both", "    both", other, &times[other].both, &times[BY_PROTECT].both);
	}
	if (ret)
		printf("     (userfaultfd cannot write-protect shared memory here: %s)\n",
		       strerror(-ret));
}
