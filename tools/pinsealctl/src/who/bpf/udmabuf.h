/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The pages of a udmabuf, which another driver may use for DMA.
 */
#ifndef UDMABUF_H
#define UDMABUF_H

#include "pages.h"

static __always_inline bool is_udmabuf(struct dma_buf *dmabuf)
{
	const char *name = BPF_CORE_READ(dmabuf, exp_name);
	char text[8] = "";

	bpf_probe_read_kernel(text, sizeof(text), name);
	return *(__u64 *)text == *(__u64 *)"udmabuf";
}

/*
 * Pages that follow each other in a folio. (Not on the stack: the verifier would follow each value of
 * the number.)
 */
static struct {
	__u64 first;
	__u64 head;
	__u64 pages;
} part;

/* A udmabuf has one pin of each folio, however many of its pages it has. */
static __always_inline bool end_part(__u64 address)
{
	return !part.pages || hold_pages(part.first, part.pages, 0, address);
}

__noinline __u64 look_at_udmabuf(__u64 address)
{
	__u64 size = bpf_core_type_size(struct page);
	struct udmabuf *udmabuf;
	struct page **pages;
	__u32 i, n;

	begin_owner(KIND_UDMABUF, address);
	/* A module whose types are not known is not there. */
	if (!bpf_core_type_exists(struct udmabuf))
		return 0;
	udmabuf = BPF_CORE_READ((struct dma_buf *)address, priv);
	pages = BPF_CORE_READ(udmabuf, pages);
	n = BPF_CORE_READ(udmabuf, pagecount);
	part.pages = 0;
	bpf_for(i, 0, n) {
		__u64 page = (__u64)element(pages, i);
		__u64 head = head_of(page);

		if (part.pages && part.head == head && page == part.first + part.pages * size) {
			part.pages++;
			continue;
		}
		if (!end_part(address))
			return end_owner();
		part.first = page;
		part.head = head;
		part.pages = 1;
	}
	end_part(address);
	return end_owner();
}

#endif /* UDMABUF_H */
