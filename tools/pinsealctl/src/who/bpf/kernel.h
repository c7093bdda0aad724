/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The kernel's types that are read here, each with the members that are read. Their offsets, and the
 * sizes that bpf_core_type_size() asks for, come from the running kernel's BTF (CO-RE).
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Of <linux/magic.h> and <linux/stat.h>, which do not change. */
#define ANON_INODE_FS_MAGIC	0x09041934
#define DMA_BUF_MAGIC		0x444d4142
#define SOCKFS_MAGIC		0x534f434b
#define S_IFMT			0170000
#define S_IFIFO			0010000

/* Of the kernel's own headers. */
#define IO_REGBUF_F_KBUF	1
#define IO_RINGFD_REG_MAX	16
#define NET_IOV			1
#define MAX_SKB_FRAGS		17

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Files */

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct pipe_inode_info;

struct inode {
	__u16 i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
	struct pipe_inode_info *i_pipe;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	__u32 f_mode;
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};

/* Pages */

struct address_space {
	struct inode *host;
};

struct page {
	unsigned long compound_info;
};

struct folio {
	struct address_space *mapping;
	unsigned long index;
};

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len;
	unsigned int bv_offset;
};

/* Tasks */

struct upid {
	int nr;
	void *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct io_uring_task {
	struct file *registered_rings[IO_RINGFD_REG_MAX];
};

struct task_struct {
	struct task_struct *group_leader;
	struct pid *thread_pid;
	void *files;
	struct io_uring_task *io_uring;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	struct file *vm_file;
};

/* io_uring */

struct io_mapped_ubuf {
	unsigned int nr_bvecs;
	__u8 flags;
	struct bio_vec bvec[1];
};

struct io_rsrc_node {
	struct io_mapped_ubuf *buf;
};

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};

struct io_mapped_region {
	struct page **pages;
	unsigned int nr_pages;
};

struct io_ring_ctx {
	struct io_rsrc_data buf_table;
	struct io_mapped_region sq_region;
	struct io_mapped_region ring_region;
	struct io_mapped_region param_region;
};

/* Pipes */

struct pipe_buffer {
	struct page *page;
};

struct pipe_inode_info {
	unsigned int head;
	unsigned int tail;
	unsigned int ring_size;
	struct pipe_buffer *bufs;
};

/* dma-bufs */

struct dma_buf {
	const char *exp_name;
	void *priv;
};

struct udmabuf {
	unsigned long pagecount;
	struct page **pages;
};

/* Sockets */

struct rb_node {
	unsigned long __rb_parent_color;
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct sk_buff {
	struct sk_buff *next;
	struct rb_node rbnode;
	unsigned int end;
	unsigned char *head;
};

struct skb_frag {
	unsigned long netmem;
	unsigned int len;
	unsigned int offset;
};

struct skb_shared_info {
	__u8 nr_frags;
	struct sk_buff *frag_list;
	struct skb_frag frags[1];
};

struct sk_buff_head {
	struct sk_buff *next;
};

struct sock_common {
	unsigned short skc_family;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct sk_buff_head sk_write_queue;
	struct rb_root tcp_rtx_queue;
	__u16 sk_protocol;
	__u16 sk_type;
};

struct tcp_sock {
	struct rb_root out_of_order_queue;
};

struct udp_sock {
	struct sk_buff_head reader_queue;
};

struct socket {
	struct sock *sk;
};

/* Iterators */

struct bpf_iter__task {
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__task_vma {
	struct task_struct *task;
	struct vm_area_struct *vma;
};

struct bpf_iter__dmabuf {
	struct dma_buf *dmabuf;
};

#pragma clang attribute pop

#endif /* KERNEL_H */
