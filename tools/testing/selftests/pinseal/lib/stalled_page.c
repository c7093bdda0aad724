// SPDX-License-Identifier: GPL-2.0-only
#include "stalled_page.h"

int stalled_page_make(struct stalled_page *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int ret;

	s->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (s->uffd < 0)
		return -errno;
	s->page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	reg.range.start = (uintptr_t)s->page;
	reg.range.len = page_size();
	if (s->page != MAP_FAILED && !ioctl(s->uffd, UFFDIO_API, &api) &&
	    !ioctl(s->uffd, UFFDIO_REGISTER, &reg))
		return 0;
	ret = -errno;
	if (s->page != MAP_FAILED)
		munmap(s->page, page_size());
	close(s->uffd);
	return ret;
}

int stalled_page_wait(const struct stalled_page *s)
{
	struct pollfd ready = { .fd = s->uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&ready, 1, SOON_NS / NSEC_PER_MSEC) == 1 &&
	    read(s->uffd, &msg, sizeof(msg)) == sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT)
		return 0;
	return -ETIME;
}

int stalled_page_release(struct stalled_page *s)
{
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)s->page, page_size() },
	};
	int ret = sys(ioctl(s->uffd, UFFDIO_ZEROPAGE, &zero));

	/* Wakes the accesses as well, if that failed. */
	close(s->uffd);
	return ret;
}

void stalled_page_free(struct stalled_page *s)
{
	munmap(s->page, page_size());
}
