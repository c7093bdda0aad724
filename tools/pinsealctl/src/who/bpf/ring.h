/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The registered buffers of an io_uring, and its own memory where that is the program's
 * (IORING_SETUP_NO_MMAP, IORING_REGISTER_MEM_REGION).
 */
#ifndef RING_H
#define RING_H

#include "pages.h"

__noinline bool look_at_buffer(__u64 address, __u32 slot)
{
	struct io_mapped_ubuf *buffer = (void *)address;
	__u64 size = bpf_core_type_size(struct bio_vec);
	__u32 i, n = BPF_CORE_READ(buffer, nr_bvecs);

	/* Of a kernel's request, which has its own pages. */
	if (BPF_CORE_READ(buffer, flags) & IO_REGBUF_F_KBUF)
		return true;
	bpf_for(i, 0, n) {
		struct bio_vec *bvec = (void *)&buffer->bvec + i * size;
		__u32 offset = BPF_CORE_READ(bvec, bv_offset);
		__u64 page = (__u64)BPF_CORE_READ(bvec, bv_page);
		__u32 last = (offset + BPF_CORE_READ(bvec, bv_len) - 1) >> question.page_shift;

		/* Of a large folio, the first page may be the folio's, not the buffer's. */
		offset >>= question.page_shift;
		page += offset * bpf_core_type_size(struct page);
		if (!hold_pages(page, last - offset + 1, slot, address))
			return false;
	}
	return true;
}

__noinline bool look_at_region(__u64 address)
{
	struct io_mapped_region *region = (void *)address;
	struct page **pages = BPF_CORE_READ(region, pages);
	__u32 i, n = BPF_CORE_READ(region, nr_pages);

	if (!pages)
		return true;
	bpf_for(i, 0, n) {
		if (!hold_pages((__u64)element(pages, i), 1, SLOT_RING, address))
			return false;
	}
	return true;
}

__noinline __u64 look_at_ring(__u64 address)
{
	struct io_ring_ctx *ring = (void *)address;
	struct io_rsrc_node **nodes = BPF_CORE_READ(ring, buf_table.nodes);
	__u32 i, n = BPF_CORE_READ(ring, buf_table.nr);

	begin_owner(KIND_URING, address);
	bpf_for(i, 0, n) {
		struct io_rsrc_node *node = element(nodes, i);

		if (node && !look_at_buffer((__u64)BPF_CORE_READ(node, buf), i))
			break;
	}
	if (look_at_region((__u64)&ring->sq_region) && look_at_region((__u64)&ring->ring_region))
		look_at_region((__u64)&ring->param_region);
	return end_owner();
}

#endif /* RING_H */
