/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What is asked, and the records of the answer. ../answer.rs reads them.
 */
#ifndef RECORD_H
#define RECORD_H

#include "kernel.h"

/* The memory, and the reader: set before the programs are loaded. */
struct question {
	__u64 ino;
	__u32 dev;		/* the kernel's: major << 20 | minor */
	__u32 page_shift;
};

const volatile struct question question SEC(".rodata.question");

/* What holds pages. */
enum kind {
	KIND_URING	= 1,
	KIND_PIPE	= 2,
	KIND_UDMABUF	= 3,
	KIND_SOCKET	= 4,
};

enum what {
	WHAT_PAGES	= 1,	/* pages that an owner holds */
	WHAT_FD		= 2,	/* an owner of pages is a descriptor of a process */
	WHAT_REGISTERED	= 3,	/* it is a ring that a task has registered, without a descriptor */
	WHAT_MAPPED	= 4,	/* it is mapped by a process */
	WHAT_DMABUF	= 5,	/* it is a dma-buf, which need not have a process */
	WHAT_MEMORY	= 6,	/* a descriptor of the memory itself */
	WHAT_PARTIAL	= 7,	/* an owner was too large to be looked at in full */
};

/* The slot of a ring's own memory. */
#define SLOT_RING	(~0ULL)

struct record {
	__u32 what;
	__u32 kind;
	__u64 owner;		/* the same for the same owner */
	union {
		struct {
			__u64 hold;	/* the same for references that several owners share */
			__u64 first;
			__u32 pages;
			__u32 refs;
			__u64 slot;	/* the registered buffer, or SLOT_RING */
		};
		struct {
			__u64 start;	/* of the mapping */
			__u64 end;
			__u32 pid;	/* of a descriptor, that of the thread */
			__u32 fd;
			__u64 mode;	/* of the descriptor: FMODE_READ and FMODE_WRITE */
		};
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} records SEC(".maps");

/* The number of records that did not fit, and of owners that were not looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __noinline void lose(void)
{
	__u32 key = 0;
	__u64 *n = bpf_map_lookup_elem(&lost, &key);

	if (n)
		++*n;
}

static __noinline void report(struct record *record)
{
	if (bpf_ringbuf_output(&records, record, sizeof(*record), 0))
		lose();
}

#endif /* RECORD_H */
