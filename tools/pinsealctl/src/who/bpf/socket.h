/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The pages in the queues of a socket: what waits to be received, to be sent, for TCP to be acknowledged,
 * or for what comes before it; for UDP, what a reader has taken over from those who send.
 */
#ifndef SOCKET_H
#define SOCKET_H

#include "pages.h"

#define AF_INET		2
#define AF_INET6	10
#define SOCK_STREAM	1
#define SOCK_DGRAM	2
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17

/* Limits of what is read while others change it: the length of a queue, and the height of its tree. */
#define MOST_BUFFERS	(1 << 17)
#define MOST_FRAGMENTS	1024
#define MOST_HEIGHT	64

__noinline bool look_at_fragments(__u64 address)
{
	struct skb_shared_info *info = (void *)address;
	__u64 size = bpf_core_type_size(struct skb_frag);
	__u32 i, n = BPF_CORE_READ(info, nr_frags);

	bpf_for(i, 0, n) {
		struct skb_frag *fragment = (void *)&info->frags + i * size;
		__u64 page = BPF_CORE_READ(fragment, netmem);
		__u32 offset = BPF_CORE_READ(fragment, offset);
		__u32 last = (offset + BPF_CORE_READ(fragment, len) - 1) >> question.page_shift;

		if (i >= MAX_SKB_FRAGS)
			break;
		/* A device's memory. */
		if (page & NET_IOV)
			continue;
		offset >>= question.page_shift;
		page += offset * bpf_core_type_size(struct page);
		/* Copies of a buffer share its fragments, and these references. */
		if (!hold_pages(page, last - offset + 1, 0, address))
			return false;
	}
	return true;
}

static __always_inline __u64 shared_info(struct sk_buff *skb)
{
	return (__u64)BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end);
}

__noinline bool look_at_skb(__u64 address)
{
	__u64 info = shared_info((struct sk_buff *)address);
	struct sk_buff *skb;

	if (!look_at_fragments(info))
		return false;
	skb = BPF_CORE_READ((struct skb_shared_info *)info, frag_list);
	bpf_repeat(MOST_FRAGMENTS) {
		if (!skb)
			break;
		if (!look_at_fragments(shared_info(skb)))
			return false;
		skb = BPF_CORE_READ(skb, next);
	}
	return true;
}

__noinline bool look_at_queue(__u64 address)
{
	struct sk_buff *skb = BPF_CORE_READ((struct sk_buff_head *)address, next);

	bpf_repeat(MOST_BUFFERS) {
		if (!skb || (__u64)skb == address)
			break;
		if (!look_at_skb((__u64)skb))
			return false;
		skb = BPF_CORE_READ(skb, next);
	}
	return true;
}

__noinline __u64 leftmost(__u64 address)
{
	struct rb_node *node = (void *)address;

	bpf_repeat(MOST_HEIGHT) {
		struct rb_node *left = BPF_CORE_READ(node, rb_left);

		if (!left)
			break;
		node = left;
	}
	return (__u64)node;
}

__noinline __u64 next_node(__u64 address)
{
	struct rb_node *node = (void *)address, *next = BPF_CORE_READ(node, rb_right);

	if (next)
		return leftmost((__u64)next);
	bpf_repeat(MOST_HEIGHT) {
		next = (void *)(BPF_CORE_READ(node, __rb_parent_color) & ~3UL);
		if (!next || BPF_CORE_READ(next, rb_right) != node)
			return (__u64)next;
		node = next;
	}
	return 0;
}

__noinline bool look_at_tree(__u64 address)
{
	__u64 node = (__u64)BPF_CORE_READ((struct rb_root *)address, rb_node);

	if (node)
		node = leftmost(node);
	bpf_repeat(MOST_BUFFERS) {
		if (!node)
			break;
		/* The node is the first member of the buffer. */
		if (!look_at_skb(node - bpf_core_field_offset(struct sk_buff, rbnode)))
			return false;
		node = next_node(node);
	}
	return true;
}

static __always_inline bool is_inet(struct sock *sock, __u16 type, __u16 protocol)
{
	__u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) && BPF_CORE_READ(sock, sk_type) == type &&
	       BPF_CORE_READ(sock, sk_protocol) == protocol;
}

__noinline __u64 look_at_socket(__u64 address)
{
	struct sock *sock = (void *)address;

	begin_owner(KIND_SOCKET, address);
	if (!look_at_queue((__u64)&sock->sk_receive_queue) || !look_at_queue((__u64)&sock->sk_write_queue))
		return end_owner();
	if (is_inet(sock, SOCK_STREAM, IPPROTO_TCP) && look_at_tree((__u64)&sock->tcp_rtx_queue))
		look_at_tree((__u64)&((struct tcp_sock *)sock)->out_of_order_queue);
	else if (is_inet(sock, SOCK_DGRAM, IPPROTO_UDP))
		look_at_queue((__u64)&((struct udp_sock *)sock)->reader_queue);
	return end_owner();
}

#endif /* SOCKET_H */
