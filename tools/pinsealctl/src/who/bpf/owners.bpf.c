// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Who holds pages of the memory: BPF iterators over what processes have, which report rings, pipes,
 * udmabufs and sockets with its pages in them.
 *
 * They read without locks. What changes meanwhile may be missed; a page is reported only if it was the
 * memory's when it was read.
 */
#include "kernel.h"
#include "record.h"
#include "pages.h"
#include "pipe.h"
#include "ring.h"
#include "socket.h"
#include "udmabuf.h"

/* Dual, as the kernel spells it: what is called here is for GPL programs. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The owners that were looked at, with the number of pages found: many processes may have one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} owners SEC(".maps");

struct owner {
	__u32 kind;
	__u64 address;
};

/* The owner that @file may be, if any. */
static __noinline bool owner_of(struct file *file, struct owner *owner)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	void *data = BPF_CORE_READ(file, private_data);
	const char ring[] = "[io_uring]";
	char name[sizeof(ring)] = "";

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFIFO) {
		*owner = (struct owner){ KIND_PIPE, (__u64)BPF_CORE_READ(inode, i_pipe) };
		return owner->address;
	}
	switch (BPF_CORE_READ(inode, i_sb, s_magic)) {
	case SOCKFS_MAGIC:
		*owner = (struct owner){ KIND_SOCKET, (__u64)BPF_CORE_READ((struct socket *)data, sk) };
		return owner->address;
	case DMA_BUF_MAGIC:
		*owner = (struct owner){ KIND_UDMABUF, (__u64)data };
		return is_udmabuf(data);
	case ANON_INODE_FS_MAGIC:
		/* Only the kernel gives these names. */
		bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
		*owner = (struct owner){ KIND_URING, (__u64)data };
		return !__builtin_memcmp(name, ring, sizeof(ring));
	default:
		return false;
	}
}

/* The number of pages that an owner holds. Those that it was not asked for before are reported. */
__noinline __u64 pages_of(__u32 kind, __u64 address)
{
	__u64 *known = bpf_map_lookup_elem(&owners, &address), n = 0;

	if (known)
		return *known;
	/* Looked at twice, it would be counted twice. */
	if (bpf_map_update_elem(&owners, &address, &n, BPF_ANY)) {
		lose();
		return 0;
	}
	switch (kind) {
	case KIND_URING:
		n = look_at_ring(address);
		break;
	case KIND_PIPE:
		n = look_at_pipe(address);
		break;
	case KIND_UDMABUF:
		n = look_at_udmabuf(address);
		break;
	case KIND_SOCKET:
		n = look_at_socket(address);
		break;
	}
	bpf_map_update_elem(&owners, &address, &n, BPF_ANY);
	return n;
}

/* The number of a thread, as the reader's PID namespace has it. */
static __always_inline __u32 number_of(struct task_struct *task)
{
	struct task_struct *reader = (void *)bpf_get_current_task();
	__u32 level = BPF_CORE_READ(reader, thread_pid, level);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);

	return BPF_CORE_READ((struct upid *)((void *)&pid->numbers + level * bpf_core_type_size(struct upid)), nr);
}

/* That of a process. */
static __always_inline __u32 pid_of(struct task_struct *task)
{
	return number_of(BPF_CORE_READ(task, group_leader));
}

/* The descriptors of threads: a table of them in a process, with the first thread that has it. */
struct table {
	__u64 process;
	__u64 files;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct table);
	__type(value, __u64);
} tables SEC(".maps");

/*
 * Whether the descriptors of @task are to be looked at. The iterator leaves out threads that share the
 * first one's, but not if that has ended.
 */
static __noinline bool is_first(struct task_struct *task)
{
	struct table table = {
		.process = (__u64)BPF_CORE_READ(task, group_leader),
		.files = (__u64)BPF_CORE_READ(task, files),
	};
	__u64 thread = (__u64)task, *first;

	if (thread == table.process)
		return true;
	first = bpf_map_lookup_elem(&tables, &table);
	if (first)
		return *first == thread;
	bpf_map_update_elem(&tables, &table, &thread, BPF_ANY);
	return true;
}

/* Reports @file of a process if it holds pages. */
static __noinline void look_at_file(struct file *file, struct record *where)
{
	struct owner owner = {};

	if (!owner_of(file, &owner) || !pages_of(owner.kind, owner.address))
		return;
	where->kind = owner.kind;
	where->owner = owner.address;
	report(where);
}

SEC("iter/task_file")
int descriptors(struct bpf_iter__task_file *ctx)
{
	struct record where = { .what = WHAT_FD };
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct inode *inode;

	if (!task || !file || !is_first(task))
		return 0;
	/* By that, /proc has its descriptors: they need not be its process'. */
	where.pid = number_of(task);
	where.fd = ctx->fd;
	inode = BPF_CORE_READ(file, f_inode);
	if (BPF_CORE_READ(inode, i_ino) == question.ino && BPF_CORE_READ(inode, i_sb, s_dev) == question.dev) {
		where.what = WHAT_MEMORY;
		where.mode = BPF_CORE_READ(file, f_mode);
		report(&where);
		return 0;
	}
	look_at_file(file, &where);
	return 0;
}

/* A file may be mapped and have no descriptor any more. */
SEC("iter/task_vma")
int mappings(struct bpf_iter__task_vma *ctx)
{
	struct record where = { .what = WHAT_MAPPED };
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	struct file *file;

	if (!task || !vma)
		return 0;
	file = BPF_CORE_READ(vma, vm_file);
	if (!file)
		return 0;
	where.pid = pid_of(task);
	where.start = BPF_CORE_READ(vma, vm_start);
	where.end = BPF_CORE_READ(vma, vm_end);
	look_at_file(file, &where);
	return 0;
}

/* A ring that a task has registered needs no descriptor. */
SEC("iter/task")
int registered_rings(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct io_uring_task *rings;
	__u32 i;

	if (!task)
		return 0;
	rings = BPF_CORE_READ(task, io_uring);
	if (!rings)
		return 0;
	bpf_for(i, 0, IO_RINGFD_REG_MAX) {
		struct record where = { .what = WHAT_REGISTERED };
		struct file *file = element(&rings->registered_rings, i);

		if (!file)
			continue;
		where.pid = pid_of(task);
		where.fd = i;
		look_at_file(file, &where);
	}
	return 0;
}

/* A dma-buf may be a driver's alone. */
SEC("iter/dmabuf")
int dmabufs(struct bpf_iter__dmabuf *ctx)
{
	struct record where = { .what = WHAT_DMABUF, .kind = KIND_UDMABUF };
	struct dma_buf *dmabuf = ctx->dmabuf;

	if (!dmabuf || !is_udmabuf(dmabuf))
		return 0;
	where.owner = (__u64)dmabuf;
	if (!pages_of(where.kind, where.owner))
		return 0;
	report(&where);
	return 0;
}
