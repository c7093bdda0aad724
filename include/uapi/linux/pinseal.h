/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/pinseal: shared memory that can be sealed safely while its pages are
 * pinned.
 *
 * This header specifies the interface;
 * Documentation/userspace-api/pinseal.rst introduces it.
 *
 * Each open("/dev/pinseal") creates an empty object: memory like a memfd's,
 * charged, swappable, and shared by dup(), fork() and SCM_RIGHTS.
 *
 * Rules for all commands:
 *
 * - A command is identified by its type (PINSEAL_IOC_MAGIC) and number. The
 *   size in the command word is the size of the caller's struct. A longer
 *   struct than the kernel's is accepted if its tail is zero (else E2BIG). A
 *   shorter one is extended with zeroes, but must have at least the size of
 *   the struct's first version (else EINVAL).
 * - An unknown number is ENOTTY. An unknown flag, or padding that is not zero,
 *   is EINVAL. A bad pointer is EFAULT. In each case nothing has changed.
 * - The layout is the same for 32-bit and 64-bit callers.
 *
 * An "extra reference" to a page is one besides those of the page cache and of
 * page tables: a pin (FOLL_PIN), a pipe buffer, a read under way, an LRU batch.
 */
#ifndef _UAPI_LINUX_PINSEAL_H
#define _UAPI_LINUX_PINSEAL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PINSEAL_IOC_MAGIC	0xB9

/* Value of pinseal_info.version for this interface. */
#define PINSEAL_VERSION		1

/*
 * Bits of pinseal_info.features.
 *
 * _MIRROR: PINSEAL_PIN_MIRROR is supported.
 * _CREATE: PINSEAL_IOC_CREATE is supported.
 * _PROTECT: PINSEAL_IOC_PROTECT is supported, with PINSEAL_PROTECT_REMAP.
 * _ATTACH: PINSEAL_IOC_ATTACH is supported.
 * _LOOK: PINSEAL_IMPORT_LOOK is supported, and pages are reported with
 *	PINSEAL_PAGE_OFF_LRU, _MLOCKED, _SWAPCACHE and _WRITEBACK.
 */
#define PINSEAL_FEATURE_MIRROR	(1U << 0)
#define PINSEAL_FEATURE_CREATE	(1U << 1)
#define PINSEAL_FEATURE_PROTECT	(1U << 2)
#define PINSEAL_FEATURE_ATTACH	(1U << 3)
#define PINSEAL_FEATURE_LOOK	(1U << 4)

/**
 * struct pinseal_info - what this build of pinseal supports
 * @version: out: %PINSEAL_VERSION
 * @features: out: mask of %PINSEAL_FEATURE_*
 * @seals: out: mask of the seals that &pinseal_seal.seals accepts
 * @seal_flags: out: mask of the flags that &pinseal_seal.flags accepts
 * @size: out: size of the object in bytes
 * @default_timeout_ns: out: the timeout in nanoseconds of a call that passes 0
 */
struct pinseal_info {
	__u32 version;
	__u32 features;
	__u32 seals;
	__u32 seal_flags;
	__u64 size;
	__u64 default_timeout_ns;
};

/*
 * Flags of struct pinseal_resize and struct pinseal_fallocate.
 *
 * _WAIT: wait until no page that is removed has extra references; at the
 * deadline, fail with EBUSY and leave the object as it is. Pages that are
 * removed in part do not count. Leases of removed pages (PINSEAL_PIN_LEASED) are
 * broken as with PINSEAL_SEAL_REVOKE.
 *
 * _KEEP_LEASES, with _WAIT (else EINVAL): wait for leases as for other pins.
 */
#define PINSEAL_RESIZE_WAIT		(1U << 0)
#define PINSEAL_RESIZE_KEEP_LEASES	(1U << 1)
#define PINSEAL_FALLOCATE_WAIT		(1U << 0)
#define PINSEAL_FALLOCATE_KEEP_LEASES	(1U << 1)

/**
 * struct pinseal_resize - set the size of an object
 * @size: in: the new size in bytes, at most 2^63 - 1
 * @timeout_ns: in: with %PINSEAL_RESIZE_WAIT, the longest wait in nanoseconds;
 *	0 for &pinseal_info.default_timeout_ns; otherwise ignored
 * @flags: in: %PINSEAL_RESIZE_*
 * @pad: in: must be 0
 * @waited_ns: in/out: with %PINSEAL_RESIZE_WAIT, the time waited in
 *	nanoseconds, counted against @timeout_ns; start with 0
 * @pinned_pages: out: with %PINSEAL_RESIZE_WAIT, pages of the removed range
 *	that had extra references at the last scan (of a large folio that is
 *	removed in part, all pages). EBUSY with 0: a write() or another
 *	sealer was under way.
 * @first_pinned: out: with %PINSEAL_RESIZE_WAIT, index of the first such page,
 *	or %PINSEAL_NO_PAGE
 * @revoked_pages: in/out: with %PINSEAL_RESIZE_WAIT, leased pages that were
 *	revoked; start with 0
 *
 * With %PINSEAL_RESIZE_WAIT the fields from @waited_ns on are written for 0,
 * EBUSY and EINTR. For any other error the struct is as the caller passed it,
 * unless the call was restarted transparently before (for task work, say): then
 * these fields are as the interrupted part of the call left them.
 *
 * The first version of the struct ends with @pad. A caller that passes it gets
 * no report. If its wait is interrupted, @timeout_ns becomes what is left of it,
 * at least 1, for the restarted call or with EINTR.
 */
struct pinseal_resize {
	__u64 size;
	__u64 timeout_ns;
	__u32 flags;
	__u32 pad;
	__u64 waited_ns;
	__u64 pinned_pages;
	__u64 first_pinned;
	__u64 revoked_pages;
};

/**
 * struct pinseal_fallocate - allocate memory for a range, or punch a hole
 * @mode: in: 0, %FALLOC_FL_KEEP_SIZE, or
 *	%FALLOC_FL_PUNCH_HOLE | %FALLOC_FL_KEEP_SIZE, from <linux/falloc.h>
 * @flags: in: %PINSEAL_FALLOCATE_*
 * @offset: in: first byte of the range
 * @len: in: length of the range in bytes, not 0; @offset + @len is at most
 *	2^63 - 1
 * @timeout_ns: in: with %PINSEAL_FALLOCATE_WAIT, as in &struct pinseal_resize
 * @waited_ns: in/out: likewise
 * @pinned_pages: out: likewise
 * @first_pinned: out: likewise
 * @revoked_pages: in/out: likewise
 *
 * When the fields are written is as in &struct pinseal_resize. The first version
 * of the struct ends with @timeout_ns.
 */
struct pinseal_fallocate {
	__u32 mode;
	__u32 flags;
	__u64 offset;
	__u64 len;
	__u64 timeout_ns;
	__u64 waited_ns;
	__u64 pinned_pages;
	__u64 first_pinned;
	__u64 revoked_pages;
};

/*
 * Flags of struct pinseal_seal. Those that pinseal_info.seal_flags does not have
 * are refused with EINVAL.
 *
 * PINSEAL_SEAL_NOWAIT: do not wait for extra references. Only what ends soon by
 * itself is given 10 ms: LRU batches, a write() under way, another sealer.
 *
 * PINSEAL_SEAL_ISOLATE: at the deadline, replace pages that still have extra
 * references by copies, at most 1024 in a call. The holder of a reference keeps
 * the old page, which is not the object's any more: what is written to it does
 * not reach the object.
 *
 * PINSEAL_SEAL_REVOKE: if pages have extra references, request to break all
 * leases (PINSEAL_PIN_LEASED), and revoke each lease as a whole when its grace
 * is over. With PINSEAL_SEAL_NOWAIT only leases without grace are broken.
 *
 * PINSEAL_SEAL_ASYNC: seal in the background, see PINSEAL_IOC_SEAL. All such
 * seals together take a small part of one CPU, shared by the callers' users: the
 * more a user has pending, the longer each pauses between scans.
 *
 * PINSEAL_SEAL_CANCEL: with PINSEAL_SEAL_ASYNC (else EINVAL), cancel that.
 *
 * PINSEAL_SEAL_WAIT_MAPPED: wait for shared writable mappings as for extra
 * references, within the same bounds: a child that has not called exec() yet, a
 * thread about to unmap. Meanwhile new ones are refused (EBUSY), except through
 * descriptors that are not the object's and by fork(). (One that is refused with
 * MAP_FIXED has removed what was there.) Each time that one is found counts as a
 * scan. With PINSEAL_SEAL_NOWAIT none is waited for.
 */
#define PINSEAL_SEAL_NOWAIT	(1U << 0)
#define PINSEAL_SEAL_ISOLATE	(1U << 1)
#define PINSEAL_SEAL_REVOKE	(1U << 2)
#define PINSEAL_SEAL_ASYNC	(1U << 3)
#define PINSEAL_SEAL_CANCEL	(1U << 4)
#define PINSEAL_SEAL_WAIT_MAPPED	(1U << 5)

/**
 * enum pinseal_outcome - why a seal call ended, finer than errno
 * @PINSEAL_OUTCOME_SEALED: 0: the seals are set
 * @PINSEAL_OUTCOME_WRITABLE_MAPPING: EBUSY: a shared mapping exists that is, or
 *	could be made, writable. It is waited for with
 *	%PINSEAL_SEAL_WAIT_MAPPED only.
 * @PINSEAL_OUTCOME_PINNED: EBUSY: pages had extra references until the bounds
 *	were used up; or, if &pinseal_seal.pinned_pages is 0, a write() or
 *	another sealer was under way all that time
 * @PINSEAL_OUTCOME_INTERRUPTED: EINTR: a signal handler ran
 * @PINSEAL_OUTCOME_NO_MEMORY: ENOMEM: no memory for a copy (isolating), or to
 *	swap in a page that has to be scanned
 * @PINSEAL_OUTCOME_LARGE_FOLIO: EBUSY: isolation met a pinned large folio
 * @PINSEAL_OUTCOME_PENDING: 0: the asynchronous seal has not ended
 * @PINSEAL_OUTCOME_CANCELLED: 0: %PINSEAL_SEAL_CANCEL has cancelled the
 *	asynchronous seal, and the object is as it was
 * @PINSEAL_OUTCOME_NOT_FILLED: EBUSY: the object is stacked on a file
 *	(PINSEAL_IOC_ATTACH), and the timeout did not suffice to read the rest
 *	of it, or to write what changed. Another call goes on from there. A read,
 *	a write or a flush of the file that is under way at the deadline is waited
 *	for; a write waits for others who have locked the file.
 */
enum pinseal_outcome {
	PINSEAL_OUTCOME_SEALED			= 0,
	PINSEAL_OUTCOME_WRITABLE_MAPPING	= 1,
	PINSEAL_OUTCOME_PINNED			= 2,
	PINSEAL_OUTCOME_INTERRUPTED		= 3,
	PINSEAL_OUTCOME_NO_MEMORY		= 4,
	PINSEAL_OUTCOME_LARGE_FOLIO		= 5,
	PINSEAL_OUTCOME_PENDING			= 6,
	PINSEAL_OUTCOME_CANCELLED		= 7,
	PINSEAL_OUTCOME_NOT_FILLED		= 8,
};

/* Value of first_pinned when no page had extra references. */
#define PINSEAL_NO_PAGE		(~(__u64)0)

/**
 * struct pinseal_seal - add seals to an object
 * @seals: in: the seals to add, %F_SEAL_* of <linux/fcntl.h> or <fcntl.h>
 *	(either can be included beside this header) and
 *	%PINSEAL_F_SEAL_FUTURE_EXEC; see &pinseal_info.seals. 0 adds none and
 *	tells whether any could be added.
 * @flags: in: %PINSEAL_SEAL_*
 * @timeout_ns: in: longest wait in nanoseconds, 0 for
 *	&pinseal_info.default_timeout_ns. A scan that has begun runs to its end,
 *	which takes long if it swaps pages in; a signal ends it.
 * @max_scans: in: limit of scans, 0 for none. A call that has to scan (for
 *	%F_SEAL_WRITE) scans at least once.
 * @scans: in/out: number of scans; start with 0
 * @waited_ns: in/out: time waited in nanoseconds, counted against @timeout_ns;
 *	start with 0
 * @pinned_pages: out: pages that had extra references at the last scan
 * @first_pinned: out: index of the first such page, or %PINSEAL_NO_PAGE
 * @isolated_pages: out: pages that were replaced by copies
 * @revoked_pages: out: leased pages that were revoked
 * @outcome: out: &enum pinseal_outcome
 * @pad: in: must be 0
 *
 * The in/out and out fields are written for 0, and for EBUSY, EINTR and ENOMEM
 * with a reason in &enum pinseal_outcome. For any other error the struct is as
 * the caller passed it, unless the call was restarted transparently before (for
 * task work, say): then these fields are as the interrupted part of the call
 * left them, with %PINSEAL_OUTCOME_INTERRUPTED.
 *
 * If @scans or @waited_ns is not 0, the call continues an earlier one, and
 * counts on from @isolated_pages and @revoked_pages too. An asynchronous seal
 * does not: there these fields are out only.
 */
struct pinseal_seal {
	__u32 seals;
	__u32 flags;
	__u64 timeout_ns;
	__u32 max_scans;
	__u32 scans;
	__u64 waited_ns;
	__u64 pinned_pages;
	__u64 first_pinned;
	__u64 isolated_pages;
	__u64 revoked_pages;
	__u32 outcome;
	__u32 pad;
};

/*
 * A seal for pinseal_seal.seals besides F_SEAL_*: no mapping through
 * /dev/pinseal becomes executable that is not yet, neither by mmap() (EPERM) nor
 * by mprotect() (EACCES). The kernel does not know this seal: it does not hold
 * for mappings of an exported or imported file, nor for what remap_file_pages()
 * makes of a mapping, and F_GET_SEALS does not show it.
 */
#define PINSEAL_F_SEAL_FUTURE_EXEC	(1U << 16)

/* Flags of struct pinseal_page. */

/* The page belongs to a large folio: @mapped, @extra, @dma_pins are the folio's. */
#define PINSEAL_PAGE_LARGE	(1U << 0)

/*
 * A pin handle of the object has pins in the range. Without this flag, no pin is
 * a handle's. (With it, some pins may be others', or all: a handle also keeps
 * pages that the object has since replaced.)
 */
#define PINSEAL_PAGE_HANDLE	(1U << 1)

/*
 * What the kernel does with the folio, which may explain plain references. They
 * go by themselves: a sealer does not wait for them in vain.
 *
 * _OFF_LRU: it is on no LRU list. An LRU batch, or a task that moves the folio,
 *	may have a reference. A folio stays there while it has pins, too, if it was
 *	pinned before it got to a list.
 * _MLOCKED: it is locked into memory.
 * _SWAPCACHE: it is in the swap cache, on its way to or from swap.
 * _WRITEBACK: it is being written to swap. The kernels of today take a page out of
 *	the object before they do that.
 */
#define PINSEAL_PAGE_OFF_LRU	(1U << 2)
#define PINSEAL_PAGE_MLOCKED	(1U << 3)
#define PINSEAL_PAGE_SWAPCACHE	(1U << 4)
#define PINSEAL_PAGE_WRITEBACK	(1U << 5)

/**
 * struct pinseal_page - a folio with extra references
 * @index: index of the folio's first page in the object
 * @pages: number of pages of the folio
 * @mapped: number of page table entries that map its pages
 * @extra: number of extra references
 * @dma_pins: number of pins (%FOLL_PIN) among them. A pin counts as 1024
 *	(GUP_PIN_COUNTING_BIAS) in @extra if the folio has one page, else as 1.
 *	The rest of @extra are plain references: pipes, reads under way, LRU
 *	batches.
 * @flags: %PINSEAL_PAGE_*
 * @pad: 0
 *
 * This is a snapshot. The counters are read one after the other, and may have
 * changed when the caller reads them.
 */
struct pinseal_page {
	__u64 index;
	__u32 pages;
	__u32 mapped;
	__u32 extra;
	__u32 dma_pins;
	__u32 flags;
	__u32 pad;
};

/**
 * struct pinseal_pins - list the folios that have extra references
 * @start: in: first page of the range
 * @count: in: number of pages, 0 for all from @start on. @start + @count must
 *	not overflow; pages past the end of the object are ignored.
 * @vec: in: address of an array of &struct pinseal_page, 0 to count only
 * @vec_len: in: number of elements of @vec
 * @found: out: number of elements that were filled in
 * @next: out: the page to continue from if @vec is full (with @vec_len 0, that
 *	is @start), else the end of the range
 * @pinned_pages: out: pages before @next with extra references
 * @dma_pinned_pages: out: those of them with pins (%FOLL_PIN)
 * @flags: in: must be 0
 * @pad: in: must be 0
 */
struct pinseal_pins {
	__u64 start;
	__u64 count;
	__u64 vec;
	__u64 vec_len;
	__u64 found;
	__u64 next;
	__u64 pinned_pages;
	__u64 dma_pinned_pages;
	__u32 flags;
	__u32 pad;
};

/*
 * Flags of struct pinseal_pin.
 *
 * PINSEAL_PIN_READONLY: the handle cannot be written to. An object that is
 * sealed for writing can be pinned in no other way.
 *
 * PINSEAL_PIN_LEASED: a sealer with PINSEAL_SEAL_REVOKE, or a call that removes
 * the pages with _WAIT, may break the lease: the handle reports POLLPRI, and the
 * pages are revoked after @grace_ns.
 *
 * PINSEAL_PIN_MIRROR: the handle pins nothing, and gives access to what the
 * caller's shared mapping of the pages shows (CONFIG_HMM_MIRROR; else
 * EOPNOTSUPP). Not with PINSEAL_PIN_LEASED or PINSEAL_PIN_WAIT.
 *
 * PINSEAL_PIN_WAIT: wait for extra references that keep a page from being moved.
 * A page in ZONE_MOVABLE or CMA is moved before it is pinned for long, and cannot
 * be while it has any. Without this flag, or for a descriptor with O_NONBLOCK, the
 * call does not wait for them.
 */
#define PINSEAL_PIN_READONLY	(1U << 0)
#define PINSEAL_PIN_LEASED	(1U << 1)
#define PINSEAL_PIN_MIRROR	(1U << 2)
#define PINSEAL_PIN_WAIT	(1U << 3)

/**
 * enum pinseal_lease_state - state of a pin handle
 * @PINSEAL_LEASE_HELD: no break is requested
 * @PINSEAL_LEASE_ASKED: a break is requested; poll() reports POLLPRI
 * @PINSEAL_LEASE_REVOKED: the pages were revoked; poll() reports POLLHUP, read()
 *	and write() fail with ESTALE
 */
enum pinseal_lease_state {
	PINSEAL_LEASE_HELD	= 0,
	PINSEAL_LEASE_ASKED	= 1,
	PINSEAL_LEASE_REVOKED	= 2,
};

/**
 * struct pinseal_lease - state and terms of a pin handle
 * @start: out: the first page
 * @count: out: number of pages
 * @grace_ns: out: time from a request until the pages are revoked, in
 *	nanoseconds; 0 without %PINSEAL_PIN_LEASED
 * @until_ns: out: when the pages are revoked, in nanoseconds of
 *	CLOCK_MONOTONIC, if a break is requested, else 0. If the requester
 *	withdraws before, they are not.
 * @asker: out: the process that requests the break, as a PID of the caller's PID
 *	namespace; 0 if there is none, or none in that namespace
 * @state: out: &enum pinseal_lease_state
 * @flags: out: %PINSEAL_PIN_*, without %PINSEAL_PIN_WAIT
 * @pad: out: 0
 */
struct pinseal_lease {
	__u64 start;
	__u64 count;
	__u64 grace_ns;
	__u64 until_ns;
	__u32 asker;
	__u32 state;
	__u32 flags;
	__u32 pad;
};

/**
 * struct pinseal_pin - pin pages of an object
 * @start: in: the first page
 * @count: in: number of pages, not 0
 * @grace_ns: in: with %PINSEAL_PIN_LEASED, the time in nanoseconds from a
 *	request until the pages are revoked; otherwise ignored
 * @flags: in: %PINSEAL_PIN_*
 * @pad: in: must be 0
 * @address: in: with %PINSEAL_PIN_MIRROR, the address at which the caller has
 *	the first page mapped; else 0. The first version of the struct ends
 *	before it.
 * @timeout_ns: in: with %PINSEAL_PIN_WAIT, the longest wait for extra references
 *	in nanoseconds, 0 for &pinseal_info.default_timeout_ns; else 0
 *
 * If the wait is interrupted, @timeout_ns becomes what is left of it, at least 1,
 * for the restarted call or with EINTR. If the struct cannot be written, or ends
 * before @timeout_ns, the call is not restarted (for task work, say), but fails
 * with EINTR.
 */
struct pinseal_pin {
	__u64 start;
	__u64 count;
	__u64 grace_ns;
	__u32 flags;
	__u32 pad;
	__u64 address;
	__u64 timeout_ns;
};

/* Size of pinseal_name.name in bytes, with its terminating NUL. */
#define PINSEAL_NAME_MAX	64

/**
 * struct pinseal_name - name an object
 * @name: in: the name, UTF-8 without control characters, terminated by NUL
 */
struct pinseal_name {
	char name[PINSEAL_NAME_MAX];
};

/*
 * For pinseal_import.flags: the memory is to be looked at alone. See
 * PINSEAL_IOC_IMPORT.
 */
#define PINSEAL_IMPORT_LOOK	(1U << 0)

/**
 * struct pinseal_import - make a memfd the object's memory
 * @fd: in: a descriptor of the memfd, opened for reading and writing; with
 *	%PINSEAL_IMPORT_LOOK, for reading
 * @flags: in: 0 or %PINSEAL_IMPORT_LOOK
 */
struct pinseal_import {
	__s32 fd;
	__u32 flags;
};

/* For pinseal_export.flags: a descriptor for reading only. */
#define PINSEAL_EXPORT_RDONLY	(1U << 0)

/**
 * struct pinseal_export - open the object's memory as a file
 * @flags: in: 0 for a descriptor with the access of this one, or
 *	%PINSEAL_EXPORT_RDONLY
 * @pad: in: must be 0
 */
struct pinseal_export {
	__u32 flags;
	__u32 pad;
};

/**
 * struct pinseal_reopen - open the object once more
 * @flags: in: %O_RDONLY or %O_RDWR
 * @pad: in: must be 0
 */
struct pinseal_reopen {
	__u32 flags;
	__u32 pad;
};

/*
 * Flags of struct pinseal_create: MFD_ALLOW_SEALING, MFD_EXEC and
 * MFD_NOEXEC_SEAL of memfd_create(), with the same meaning.
 */
#define PINSEAL_CREATE_ALLOW_SEALING	(1U << 0)
#define PINSEAL_CREATE_EXEC		(1U << 1)
#define PINSEAL_CREATE_NOEXEC_SEAL	(1U << 2)

/**
 * struct pinseal_create - create an object that is a memfd
 * @flags: in: %PINSEAL_CREATE_*
 * @pad: in: must be 0
 * @name: in: the name, as in &struct pinseal_name; may be empty
 */
struct pinseal_create {
	__u32 flags;
	__u32 pad;
	char name[PINSEAL_NAME_MAX];
};

/*
 * Flags of struct pinseal_protect, and (PINSEAL_PROTECT_REMAP alone) of struct
 * pinseal_protect_range.
 *
 * PINSEAL_PROTECT_REMAP: show the page @pgoff of the object at @addr, with those
 * behind it. See PINSEAL_IOC_PROTECT.
 *
 * PINSEAL_PROTECT_RANGES: change all ranges of the array @ranges, in one call and
 * all or none. Where they overlap, the later one wins.
 *
 * PINSEAL_PROTECT_QUERY: change nothing, but fill @ranges with those in @addr,
 * @len whose pages do not have the protection of their mapping, or are shown
 * elsewhere than at their place, in ascending order, and return how many these
 * are: at most @nr, or with @nr 0 how many there are. Addresses where nothing of
 * the object is mapped are skipped.
 */
#define PINSEAL_PROTECT_REMAP	(1U << 0)
#define PINSEAL_PROTECT_RANGES	(1U << 1)
#define PINSEAL_PROTECT_QUERY	(1U << 2)

/* Limit of pinseal_protect.nr. */
#define PINSEAL_PROTECT_MAX	65536

/**
 * struct pinseal_protect_range - pages, and their protection
 * @addr: address of the first page
 * @len: length in bytes
 * @pgoff: the page of the object at @addr: out with %PINSEAL_PROTECT_QUERY, in
 *	with %PINSEAL_PROTECT_REMAP, else must be 0
 * @prot: PROT_NONE, or a mask of PROT_READ, PROT_WRITE and PROT_EXEC, from
 *	<sys/mman.h>
 * @flags: in/out: %PINSEAL_PROTECT_REMAP
 */
struct pinseal_protect_range {
	__u64 addr;
	__u64 len;
	__u64 pgoff;
	__u32 prot;
	__u32 flags;
};

/**
 * struct pinseal_protect - give pages protections, or ask for them
 * @addr: in: address of the first page; 0 with %PINSEAL_PROTECT_RANGES
 * @len: in: length in bytes; 0 with %PINSEAL_PROTECT_RANGES
 * @pgoff: in: with %PINSEAL_PROTECT_REMAP, the page to show; else must be 0
 * @prot: in: as in &struct pinseal_protect_range; 0 with
 *	%PINSEAL_PROTECT_RANGES or %PINSEAL_PROTECT_QUERY
 * @flags: in: %PINSEAL_PROTECT_*
 * @ranges: in: with either flag, address of an array of &struct
 *	pinseal_protect_range, else 0
 * @nr: in: number of its elements, at most %PINSEAL_PROTECT_MAX
 *
 * The first version of the struct ends with @flags.
 */
struct pinseal_protect {
	__u64 addr;
	__u64 len;
	__u64 pgoff;
	__u32 prot;
	__u32 flags;
	__u64 ranges;
	__u64 nr;
};

/*
 * Flags of struct pinseal_attach.
 *
 * PINSEAL_ATTACH_RDONLY: the lower file is only read. fsync() of what changed is EROFS;
 * a seal does without.
 *
 * PINSEAL_ATTACH_SYNC_ON_CLOSE: close() of a descriptor that is open for writing does what
 * fsync() does, and returns its error. So does the end of the last mapping, without. Not both flags.
 */
#define PINSEAL_ATTACH_RDONLY		(1U << 0)
#define PINSEAL_ATTACH_SYNC_ON_CLOSE	(1U << 1)

/**
 * struct pinseal_attach - stack an object on a file
 * @fd: in: a regular file, open for reading and writing
 * @flags: in: %PINSEAL_ATTACH_*
 */
struct pinseal_attach {
	__s32 fd;
	__u32 flags;
};

/**
 * PINSEAL_IOC_INFO - get what this build supports, and the object's size
 *
 * Works on any descriptor.
 */
#define PINSEAL_IOC_INFO	_IOR(PINSEAL_IOC_MAGIC, 0x00, struct pinseal_info)

/**
 * PINSEAL_IOC_RESIZE - set the object's size, as ftruncate() does
 *
 * With PINSEAL_RESIZE_WAIT the struct is written to as well, whatever direction
 * the command word has. If the descriptor has O_NONBLOCK, @timeout_ns is
 * ignored: the call waits as with PINSEAL_SEAL_NOWAIT, then fails with EBUSY,
 * and breaks only leases without grace.
 *
 * Errors:
 *
 * EINVAL: not opened for writing; size over 2^63 - 1.
 * EPERM: a seal forbids it.
 * EFBIG: RLIMIT_FSIZE.
 * EBUSY: with PINSEAL_RESIZE_WAIT: removed pages have extra references.
 * E2BIG: without it: a field that only it uses is not 0.
 * EINTR: a signal arrived during the wait.
 * EAGAIN: without PINSEAL_RESIZE_WAIT: a sealer is at work, and the descriptor
 *	has O_NONBLOCK.
 * ENOMEM, ENFILE: at the first use of the object.
 */
#define PINSEAL_IOC_RESIZE	_IOW(PINSEAL_IOC_MAGIC, 0x01, struct pinseal_resize)

/**
 * PINSEAL_IOC_FALLOCATE - allocate or free memory of a range, as fallocate()
 *
 * With PINSEAL_FALLOCATE_WAIT, punching a hole is as PINSEAL_IOC_RESIZE with
 * PINSEAL_RESIZE_WAIT. Other modes ignore that flag, and write no report.
 *
 * Errors:
 *
 * EBADF: not opened for writing.
 * EINVAL: len is 0; offset or len is over 2^63 - 1.
 * EFBIG: their sum is; RLIMIT_FSIZE.
 * EOPNOTSUPP: mode.
 * EPERM: a seal forbids it.
 * ENOSPC, ENOMEM: no memory.
 * EBUSY, E2BIG, EINTR, EAGAIN, ENFILE: as for PINSEAL_IOC_RESIZE.
 */
#define PINSEAL_IOC_FALLOCATE	_IOW(PINSEAL_IOC_MAGIC, 0x02, struct pinseal_fallocate)

/**
 * PINSEAL_IOC_SEAL - add seals
 *
 * If it returns 0 with PINSEAL_OUTCOME_SEALED, the seals are set. With
 * F_SEAL_WRITE nothing can write to the object any more: no mapping, no pin, no
 * operation under way in the kernel. If it fails, the object is as it was, and
 * &pinseal_seal.outcome has the reason. Leases that it revoked stay revoked.
 *
 * With PINSEAL_SEAL_ASYNC the seal goes on in the background, one at a time for
 * each object:
 *
 * - The first call begins it, within the bounds of that call, and returns 0 with
 *   PINSEAL_OUTCOME_PENDING. If the object is stacked on a file, this call reads
 *   and writes the file first (PINSEAL_OUTCOME_NOT_FILLED). Later calls with the
 *   same seals return that too, with the counts so far, or, once the seal has
 *   ended, its result: once, and as if the call had waited. The next call begins
 *   anew. If the result cannot be written to the struct, it is lost (EFAULT,
 *   unless SEALED or CANCELLED).
 * - poll() on any descriptor of the object reports EPOLLPRI while there is a
 *   result that was not returned. (EPOLLIN and EPOLLOUT are always reported.
 *   EPOLLERR: there was no memory to watch the object; poll again, or add it to
 *   the epoll instance again.)
 * - With PINSEAL_SEAL_CANCEL too, the call cancels the seal and returns
 *   PINSEAL_OUTCOME_CANCELLED, or the result if the seal ended first. The result
 *   of a cancelled seal is returned to its cancellers only, and raises no
 *   EPOLLPRI; other calls get PENDING until then.
 * - It belongs to the object, and ends without a trace when the last descriptor
 *   is closed and the last mapping is gone. fdinfo shows its seals as "sealing:"
 *   until the result is returned.
 * - Synchronous sealers wait for it as for any other.
 *
 * Errors:
 *
 * EPERM: not opened for writing; F_SEAL_SEAL is set.
 * EINVAL: unknown seal.
 * EBUSY, EINTR, ENOMEM: see &enum pinseal_outcome.
 * ENOMEM, ENFILE: also without an outcome, before anything was done; then the
 *	struct is as the caller passed it.
 * EALREADY: asynchronous: other seals are being added, or their result was not
 *	returned.
 * ENOENT: nothing to cancel.
 */
#define PINSEAL_IOC_SEAL	_IOWR(PINSEAL_IOC_MAGIC, 0x03, struct pinseal_seal)

/**
 * PINSEAL_IOC_GET_SEALS - get the seals that are set, as F_GET_SEALS does
 */
#define PINSEAL_IOC_GET_SEALS	_IOR(PINSEAL_IOC_MAGIC, 0x04, __u32)

/**
 * PINSEAL_IOC_PINS - list pages with extra references, and count them by kind
 *
 * Takes no reference and changes nothing. (Pages that mappings show elsewhere
 * than at their place, by PINSEAL_PROTECT_REMAP, are unmapped first, and fault in
 * again.)
 *
 * Errors:
 *
 * EINVAL: the range overflows.
 * EINTR: a fatal signal arrived.
 * ENOMEM.
 */
#define PINSEAL_IOC_PINS	_IOWR(PINSEAL_IOC_MAGIC, 0x05, struct pinseal_pins)

/**
 * PINSEAL_IOC_PIN - pin pages of an object
 *
 * Returns a descriptor (O_CLOEXEC): the pin handle. Until it is closed, or the
 * pages are revoked (PINSEAL_PIN_LEASED), they are pinned as for a device
 * (FOLL_PIN, FOLL_LONGTERM): they are not moved or swapped out, and the object
 * cannot be sealed for writing. pread() and pwrite() on the handle access those
 * very pages, from byte 0 of page @start on, also if the object has others by
 * then. Holes are filled. write() past the last page is ENOSPC.
 *
 * The folios are charged to the caller's RLIMIT_MEMLOCK meanwhile.
 *
 * With PINSEAL_PIN_MIRROR the handle pins nothing, is not charged and delays no
 * sealer. pread() and pwrite() do what loads and stores of the caller at
 * @address would do at that moment. EFAULT: the pages are not mapped there any
 * more, lie past the end, or are watched by userfaultfd; the caller's address
 * space is gone (exit, exec). EPERM: the mapping is not writable.
 *
 * Errors:
 *
 * EPERM: not opened for reading, and for writing unless PINSEAL_PIN_READONLY; a
 *	seal forbids writing.
 * EINVAL: the object does not have the pages.
 * ENOMEM: also RLIMIT_MEMLOCK, or a page has too many pins; without
 *	PINSEAL_PIN_WAIT: a page that must be moved has extra references.
 * EBUSY: with PINSEAL_PIN_WAIT: it had them until the deadline. Nothing is pinned.
 * ENOSPC: no memory can be reserved for holes.
 * EIO: a page is poisoned, or cannot be read back from swap.
 * EINTR: a signal arrived during the wait.
 * EAGAIN: a sealer is at work, and the descriptor has O_NONBLOCK.
 * EMFILE, ENFILE.
 * E2BIG: @address is not 0, without PINSEAL_PIN_MIRROR; @timeout_ns is not,
 *	without PINSEAL_PIN_WAIT.
 * With PINSEAL_PIN_MIRROR also:
 * EFAULT: no shared mapping shows the pages at @address.
 * EINVAL: @address is not page aligned; PINSEAL_PIN_LEASED, PINSEAL_PIN_WAIT.
 * EOPNOTSUPP: not supported.
 */
#define PINSEAL_IOC_PIN		_IOW(PINSEAL_IOC_MAGIC, 0x06, struct pinseal_pin)

/**
 * PINSEAL_PIN_IOC_LEASE - get state and terms of a pin handle
 *
 * For the descriptor that PINSEAL_IOC_PIN returned.
 */
#define PINSEAL_PIN_IOC_LEASE	_IOR(PINSEAL_IOC_MAGIC, 0x20, struct pinseal_lease)

/**
 * PINSEAL_IOC_IMPORT - make a memfd the object's memory
 *
 * The object must not have been used. From then on it has that memory: other
 * descriptors of the memfd show the seals (F_GET_SEALS), and the mappings,
 * writes and pins made through them count when the object is sealed.
 * F_SEAL_WRITE that fcntl() has set can be added again, and then the pages are
 * scanned.
 *
 * Of a memfd in hugetlbfs (MFD_HUGETLB), indices and numbers of pages are in
 * pages of the usual size; a page that is mapped counts as one with an extra
 * reference, and none is isolated. The object cannot be mapped (ENODEV; map the
 * memfd), pinned or mirrored (EOPNOTSUPP).
 *
 * With PINSEAL_IMPORT_LOOK, PINSEAL_IOC_INFO, _PINS and _GET_SEALS tell of the
 * memory, and nothing else can be done with it: the other commands, and reading,
 * writing and mapping, fail with EPERM (PINSEAL_IOC_REOPEN opens the object once
 * more, as always). This may be any memfd that is open for reading, also one with
 * F_SEAL_SEAL, and a file of a mounted tmpfs or hugetlbfs. The object is no user
 * of it: the memfd can be executed and leased, and F_ADD_SEALS succeeds. But the
 * memory exists as long as the object, and a file system stays busy.
 *
 * Errors:
 *
 * EBADF: no such descriptor.
 * EINVAL: not shared memory: a pipe, a file on a disk, a descriptor of
 *	/dev/pinseal.
 * EPERM: this descriptor is not open for writing, or the other not for reading
 *	and writing; the file has F_SEAL_SEAL (a memfd without
 *	MFD_ALLOW_SEALING); it is in a mounted tmpfs, where overlayfs maps it
 *	without regard to seals, or a mounted hugetlbfs; it is append-only or
 *	immutable. With PINSEAL_IMPORT_LOOK: one of the two is not open for
 *	reading.
 * EBUSY: the object has been used, or looks at memory.
 * ETXTBSY: the file is being executed.
 * EAGAIN: a lease (F_SETLEASE) is held on the file.
 * ENFILE, ENOMEM.
 */
#define PINSEAL_IOC_IMPORT	_IOW(PINSEAL_IOC_MAGIC, 0x07, struct pinseal_import)

/**
 * PINSEAL_IOC_EXPORT - open the object's memory as a file
 *
 * Returns a descriptor (O_CLOEXEC) that programs and the kernel take for one of
 * a memfd. It has the object's seals and, unless others may add seals (imported
 * memory, PINSEAL_CREATE_ALLOW_SEALING), F_SEAL_SEAL: the kernel enforces the
 * seals there, but adds none.
 *
 * As with a memfd, a read-only descriptor can be reopened for writing through
 * /proc/self/fd if the file's mode allows that. So only descriptors that are open
 * for reading and writing can be exported. (PINSEAL_IOC_REOPEN makes one that
 * cannot be written to.)
 *
 * Errors:
 *
 * EPERM: not opened for reading and writing.
 * EBUSY: a mapping shows pages elsewhere than at their place
 *	(PINSEAL_PROTECT_REMAP).
 * EMFILE, ENFILE, ENOMEM.
 * ETXTBSY: the file is being executed.
 * EAGAIN: a lease (F_SETLEASE) is held on it.
 */
#define PINSEAL_IOC_EXPORT	_IOW(PINSEAL_IOC_MAGIC, 0x08, struct pinseal_export)

/**
 * PINSEAL_IOC_REOPEN - open the object once more
 *
 * Returns a descriptor (O_CLOEXEC) of the same object, with its own position.
 *
 * Errors:
 *
 * EINVAL: neither O_RDONLY nor O_RDWR.
 * EPERM: this descriptor does not have that access.
 * ETXTBSY, EAGAIN: a created memfd, O_RDWR: as for PINSEAL_IOC_EXPORT. (While
 *	that descriptor is open, the memfd cannot be executed.)
 * EMFILE, ENFILE, ENOMEM.
 */
#define PINSEAL_IOC_REOPEN	_IOW(PINSEAL_IOC_MAGIC, 0x09, struct pinseal_reopen)

/**
 * PINSEAL_IOC_SET_NAME - set the name in /proc/PID/maps and fdinfo
 *
 * Errors:
 *
 * EBUSY: the object has been used.
 * EINVAL: no NUL, a control character, not UTF-8.
 * EPERM: not opened for writing.
 * ENOMEM.
 */
#define PINSEAL_IOC_SET_NAME	_IOW(PINSEAL_IOC_MAGIC, 0x0a, struct pinseal_name)

/**
 * PINSEAL_IOC_CREATE - create an object that is a memfd
 *
 * Returns a descriptor (O_CLOEXEC), open for reading and writing, of a new and
 * empty object. Works on any descriptor of any object, and without a path.
 *
 * To the kernel and to every program the descriptor is one of memfd_create():
 * fstat(), ftruncate(), fallocate(), F_ADD_SEALS and F_GET_SEALS, mmap(),
 * copy_file_range(), execveat() and the like work on it. All commands of this
 * header work on it as well, and on descriptors that PINSEAL_IOC_REOPEN makes of
 * it. One that is opened by /proc/PID/fd is a plain memfd of the same memory, as
 * PINSEAL_IOC_EXPORT makes; it can be opened for writing if the file's mode
 * allows that.
 *
 * Unless others may add seals (PINSEAL_CREATE_ALLOW_SEALING, or the file is not
 * executable), F_GET_SEALS has F_SEAL_SEAL and F_ADD_SEALS fails with EPERM, as
 * for a memfd. PINSEAL_IOC_SEAL adds seals nevertheless, and
 * PINSEAL_IOC_GET_SEALS has F_SEAL_SEAL only if that was added.
 *
 * PINSEAL_F_SEAL_FUTURE_EXEC holds for mappings of these descriptors only, not
 * for those of plain ones, nor for execveat(). (A mapping that it refuses with
 * MAP_FIXED has removed what was there.)
 *
 * Differences from a descriptor of /dev/pinseal: while a seal is under way, a
 * shared writable mapping may be refused with EPERM instead of EBUSY, and
 * ftruncate() and fallocate() do not wait for it.
 *
 * Errors:
 *
 * EINVAL: _EXEC and _NOEXEC_SEAL; a name with a control character, not UTF-8 or
 *	without NUL.
 * EACCES: with _EXEC while the sysctl vm.memfd_noexec is 2.
 * EMFILE, ENFILE, ENOMEM.
 */
#define PINSEAL_IOC_CREATE	_IOW(PINSEAL_IOC_MAGIC, 0x0d, struct pinseal_create)

/**
 * PINSEAL_IOC_PROTECT - give pages of a mapping protections of their own
 *
 * As mprotect() for single pages, but without a VMA for each. The mapping is a
 * shared one of the caller's, made with a descriptor of the object: this one or
 * another, but not one of PINSEAL_IOC_EXPORT or /proc/PID/fd. The range may have
 * several.
 *
 * The protection belongs to the object's page in that mapping: it stays when the
 * mapping is split, partly unmapped or moved, and when the page is swapped out,
 * migrated or dropped (MADV_DONTNEED). A child (fork()) has the same until one of
 * the two is changed. mprotect() wins: pages in its range lose their own
 * protection, if it succeeds.
 *
 * An access that the protection refuses is SIGSEGV (with si_code SEGV_MAPERR: the
 * kernel lets a module raise no other), or EFAULT where the kernel accesses the
 * page for a system call, also of another process. As with mprotect(), ptrace()
 * and /proc/PID/mem read what is refused, but do not write it. Pages that the
 * kernel has pinned for writing before are written to nevertheless.
 *
 * While pages have protections of their own, the mapping is one that the kernel
 * calls special (VM_DONTEXPAND, "de" in smaps): it is not merged with others,
 * mremap() does not extend or copy it (EFAULT), mlock() and MADV_* for huge pages have no
 * effect on it, userfaultfd does not watch it, guard regions (MADV_GUARD_INSTALL) stay but
 * are not made or removed (EINVAL), and pages of it are not pinned for writing for long
 * (FOLL_LONGTERM: EFAULT) unless they were written to just before.
 *
 * For seals, the mapping counts: a writable one of which every page is read-only
 * is in the way of F_SEAL_WRITE.
 *
 * With PINSEAL_PROTECT_REMAP the range shows the pages of the object from @pgoff on
 * until it is given others, or its own. Any page may be shown several times. From
 * the first such call on, until all of its pages are at their place again, the
 * mapping has page table entries that are no pages to the kernel (VM_PFNMAP):
 * system calls that pin pages of it (O_DIRECT, io_uring, process_vm_readv(),
 * vmsplice()) get EFAULT, while read() and write() and the like work. Its pages are
 * charged to the caller's RLIMIT_MEMLOCK and not moved or swapped out as long as it
 * shows them; at the limit, they are taken away and shown anew at their next access.
 * So does a seal, RESIZE or FALLOCATE take them away, and does not wait for them.
 * Pages that others remove from the object (MADV_REMOVE) may be shown until then.
 * What asks for pages of the object by such a mapping finds none: mincore(), mbind(),
 * MADV_WILLNEED, the file offsets of a core dump.
 * Descriptors of created memfds cannot do that, nor objects that were imported or
 * exported; and an object that has such a mapping cannot be exported.
 *
 * Errors; nothing has changed then:
 *
 * EINVAL: an address or length is not page aligned, a length is 0, @prot has
 *	other bits than PROT_READ, PROT_WRITE and PROT_EXEC, the mapping is
 *	private, @nr is too large.
 * E2BIG: @ranges or @nr is not 0, without a flag that uses them.
 * EOVERFLOW: @addr + @len, or @pgoff and the pages behind it.
 * ENOMEM: some of the addresses are not mapped, or by no descriptor of the object;
 *	also for lack of memory, which is charged to the caller's memory cgroup,
 *	and, with PINSEAL_PROTECT_REMAP, for RLIMIT_MEMLOCK (of 8 pages at least),
 *	and when a mapping has about a million ranges that are far apart, or are shown
 *	elsewhere; or the ranges of a call concern mappings 262,144 times in all.
 * EACCES: the mapping does not allow @prot.
 * EPERM: the mapping is sealed by mseal(); with PINSEAL_PROTECT_REMAP: it is, or may
 *	become, writable, and a seal forbids new mappings like it.
 * EOPNOTSUPP: the mapping is mlocked, or watched by userfaultfd; it is executable,
 *	and @prot is neither PROT_NONE nor readable and executable like it: page
 *	table entries have that from the mapping. With PINSEAL_PROTECT_REMAP: the
 *	object is a created memfd.
 * EBUSY: with PINSEAL_PROTECT_REMAP: the object was imported or exported.
 * EINTR: a fatal signal arrived.
 */
#define PINSEAL_IOC_PROTECT	_IOW(PINSEAL_IOC_MAGIC, 0x0b, struct pinseal_protect)

/**
 * PINSEAL_IOC_ATTACH - stack a still unused object on a file
 *
 * The object has the size and the content of the file, which is called the lower
 * file: a regular one on a disk file system, on tmpfs, or a memfd. Each page is read
 * from it when it is touched for the first time, by any access, and is a copy from
 * then on: what happens to it in the lower file later is not seen. What happens to
 * pages that were not touched yet is.
 *
 * Nothing is written to the lower file but by fsync(), fdatasync(), msync(MS_SYNC) and
 * synchronous writes of the object, which write what changed, set the size if it has
 * changed, and sync the lower file; and by a seal, which fills and syncs the whole object
 * before anything else. What could not be written is still to be written, and each
 * descriptor is told once. Pages that are pinned for writing are written each time. If
 * others have truncated the lower file, that is ESTALE. Closing writes nothing, unless
 * PINSEAL_ATTACH_SYNC_ON_CLOSE asks for it.
 *
 * Where the lower file cannot be read, or has become shorter, access to a page that
 * was not touched yet is EIO, or SIGBUS; the next access tries again.
 *
 * Mappings are special (VM_DONTEXPAND): mremap() does not extend them, mlock() and
 * MADV_COLLAPSE do not apply. They cannot show pages elsewhere (PINSEAL_PROTECT_REMAP:
 * EBUSY), nor can pages be pinned for writing for long by them (FOLL_LONGTERM: EFAULT)
 * unless they were just written to. The object is not exported (EOPNOTSUPP).
 *
 * Errors; nothing has changed then:
 *
 * EBADF: @fd is not open, not for reading, or, without PINSEAL_ATTACH_RDONLY, not for
 *	writing.
 * EINVAL: it is no regular file, one of hugetlbfs, a file of this module, or open with
 *	O_DIRECT.
 *	Or both flags.
 * EPERM: it is append-only or immutable, or open with O_APPEND, without
 *	PINSEAL_ATTACH_RDONLY; the object's descriptor is not open for writing.
 * ETXTBSY: it is a swap file.
 * EOPNOTSUPP: its file system is none of ext4, XFS, btrfs and tmpfs, or has no page cache
 *	for it; or a program is asked before it is read (fanotify, FAN_ACCESS_PERM and
 *	FAN_PRE_ACCESS).
 * EBUSY: the object has memory already.
 */
#define PINSEAL_IOC_ATTACH	_IOW(PINSEAL_IOC_MAGIC, 0x0c, struct pinseal_attach)

#endif /* _UAPI_LINUX_PINSEAL_H */
