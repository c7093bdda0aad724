/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The pages in a pipe.
 */
#ifndef PIPE_H
#define PIPE_H

#include "pages.h"

__noinline __u64 look_at_pipe(__u64 address)
{
	struct pipe_inode_info *pipe = (void *)address;
	__u64 size = bpf_core_type_size(struct pipe_buffer);
	struct pipe_buffer *buffers = BPF_CORE_READ(pipe, bufs);
	__u32 slots = BPF_CORE_READ(pipe, ring_size);
	__u32 tail = BPF_CORE_READ(pipe, tail);
	__u32 i, n = BPF_CORE_READ(pipe, head) - tail;

	begin_owner(KIND_PIPE, address);
	bpf_for(i, 0, n) {
		struct pipe_buffer *buffer = (void *)buffers + ((tail + i) & (slots - 1)) * size;

		if (!hold_pages((__u64)BPF_CORE_READ(buffer, page), 1, 0, address))
			break;
	}
	return end_owner();
}

#endif /* PIPE_H */
