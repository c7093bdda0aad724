/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/pinseal: shared memory that can be sealed safely while its pages are
 * pinned.
 *
 * This header is the manual of the interface; the story is told in
 * Documentation/userspace-api/pinseal.rst.
 *
 * Every open("/dev/pinseal") makes a new, empty object: memory like a memfd's,
 * charged, swappable, and shared by dup(), fork() and SCM_RIGHTS.
 *
 * Rules that hold for every command:
 *
 * - A command is found by its type (PINSEAL_IOC_MAGIC) and number alone. The
 *   size in the command word is the size of the caller's struct. A longer
 *   struct than this kernel knows is accepted when its tail is zero (E2BIG
 *   otherwise); a shorter one is filled up with zeroes, but it must not be
 *   shorter than the first version of the struct (EINVAL).
 * - A number without a command is ENOTTY. An unknown flag, or padding that is
 *   not zero, is EINVAL. A bad pointer is EFAULT. In each of these cases nothing
 *   has changed.
 * - The layout is the same for 32-bit and 64-bit callers.
 */
#ifndef _UAPI_LINUX_PINSEAL_H
#define _UAPI_LINUX_PINSEAL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PINSEAL_IOC_MAGIC	0xB9

/* Value of pinseal_info.version for the interface that this header describes. */
#define PINSEAL_VERSION		1

/* Features, of struct pinseal_info. PINSEAL_FEATURE_MIRROR: this kernel has PINSEAL_PIN_MIRROR. */
#define PINSEAL_FEATURE_MIRROR	(1U << 0)

/**
 * struct pinseal_info - what this build of pinseal supports
 * @version: out: version of the interface, %PINSEAL_VERSION
 * @features: out: mask of %PINSEAL_FEATURE_*
 * @seals: out: mask of the seals that &pinseal_seal.seals accepts
 * @seal_flags: out: mask of the flags that &pinseal_seal.flags accepts
 * @size: out: size of the object in bytes
 * @default_timeout_ns: out: what a &pinseal_seal.timeout_ns of 0 stands for,
 *	in nanoseconds
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
 * _WAIT: wait until nobody holds any of the pages that go; when the time is up, fail with
 * EBUSY and leave the object as it is. Pages at the ends of the range that stay in part do not
 * count. Leases of pages that go (PINSEAL_PIN_LEASED) are asked for, and taken when their
 * holders have had their time, as with PINSEAL_SEAL_REVOKE.
 *
 * _KEEP_LEASES, with _WAIT (else EINVAL): do not ask for leases, but wait for them as for
 * other pins.
 */
#define PINSEAL_RESIZE_WAIT		(1U << 0)
#define PINSEAL_RESIZE_KEEP_LEASES	(1U << 1)
#define PINSEAL_FALLOCATE_WAIT		(1U << 0)
#define PINSEAL_FALLOCATE_KEEP_LEASES	(1U << 1)

/**
 * struct pinseal_resize - set the size of an object
 * @size: in: the new size in bytes, at most 2^63 - 1
 * @timeout_ns: in: with %PINSEAL_RESIZE_WAIT: longest wait in nanoseconds, 0 for the default of
 *	&pinseal_info.default_timeout_ns; else not looked at
 * @flags: in: %PINSEAL_RESIZE_*
 * @pad: in: must be 0
 * @waited_ns: in/out: with %PINSEAL_RESIZE_WAIT: time waited so far in nanoseconds, counted
 *	against @timeout_ns; start with 0
 * @pinned_pages: out: likewise: pages of those that go that had extra references at the last look
 *	(of a large folio that goes in part, all). EBUSY with 0: a write() was under way.
 * @first_pinned: out: likewise: index of the first of them in pages, or %PINSEAL_NO_PAGE
 * @revoked_pages: in/out: likewise: pages whose leased pins were taken away; start with 0
 *
 * The struct ended with @pad once. Who uses one that does is told nothing but the errno. When a
 * signal ends its wait (EINTR), @timeout_ns is what was left of it, at least 1.
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
 * struct pinseal_fallocate - allocate memory for, or punch a hole into, a range
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
 * The struct ended with @timeout_ns once; likewise.
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
 * Flags of struct pinseal_seal. A build supports those that it shows in
 * pinseal_info.seal_flags and refuses the others with EINVAL.
 *
 * PINSEAL_SEAL_NOWAIT: do not wait for anybody to let go of a page. References
 * that are nobody's, but wait on some CPU for the kernel to drop them, are drained
 * first; that is given 10 ms.
 *
 * PINSEAL_SEAL_ISOLATE: when pages are still held in the end, give the object copies of
 * them, 1024 in a call at most. Who holds one keeps the old page, which is not the
 * object's any more: what is written to it does not reach the object.
 *
 * PINSEAL_SEAL_REVOKE: when pages are in use, ask for all that are leased (PINSEAL_PIN_LEASED),
 * and take them, each lease as a whole, when their holders have had their time. With
 * PINSEAL_SEAL_NOWAIT only those whose holders are to have none.
 *
 * PINSEAL_SEAL_ASYNC: seal in the background; see PINSEAL_IOC_SEAL.
 *
 * PINSEAL_SEAL_CANCEL: with PINSEAL_SEAL_ASYNC (EINVAL without it): put an end to that.
 */
#define PINSEAL_SEAL_NOWAIT	(1U << 0)
#define PINSEAL_SEAL_ISOLATE	(1U << 1)
#define PINSEAL_SEAL_REVOKE	(1U << 2)
#define PINSEAL_SEAL_ASYNC	(1U << 3)
#define PINSEAL_SEAL_CANCEL	(1U << 4)

/**
 * enum pinseal_outcome - why a seal call ended, finer than errno
 * @PINSEAL_OUTCOME_SEALED: the seals are set; the ioctl returned 0
 * @PINSEAL_OUTCOME_WRITABLE_MAPPING: EBUSY: somebody has a shared mapping that
 *	is, or could be made, writable. This is not waited for.
 * @PINSEAL_OUTCOME_PINNED: EBUSY: pages still had extra references when the
 *	time or the number of scans was used up; or, when
 *	&pinseal_seal.pinned_pages is 0, a write() or another sealer was under
 *	way all that time
 * @PINSEAL_OUTCOME_INTERRUPTED: EINTR: a signal handler ran
 * @PINSEAL_OUTCOME_NO_MEMORY: ENOMEM: no memory for a copy (isolating), or for a
 *	page that has to come back from swap to be looked at
 * @PINSEAL_OUTCOME_LARGE_FOLIO: EBUSY: isolation met a pinned large folio
 * @PINSEAL_OUTCOME_PENDING: the asynchronous seal has not ended; returned 0
 * @PINSEAL_OUTCOME_CANCELLED: the asynchronous seal was cancelled, and the object is as
 *	it was; %PINSEAL_SEAL_CANCEL returned 0
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
};

/* Value of pinseal_seal.first_pinned when no page had extra references. */
#define PINSEAL_NO_PAGE		(~(__u64)0)

/**
 * struct pinseal_seal - add seals to an object
 * @seals: in: the %F_SEAL_* to add, from <linux/fcntl.h> (or <fcntl.h>, which
 *	this header can be used together with); see
 *	&pinseal_info.seals. 0 adds none and tells whether one could.
 * @flags: in: %PINSEAL_SEAL_*; see &pinseal_info.seal_flags
 * @timeout_ns: in: longest wait in nanoseconds, 0 for the default of
 *	&pinseal_info.default_timeout_ns. A look that has begun is taken to its end,
 *	which takes long when pages come back from swap for it; signals end it.
 * @max_scans: in: most looks at the pages, 0 for as many as the time allows.
 *	A call that has to look (for %F_SEAL_WRITE) looks at least once.
 * @scans: in/out: looks taken so far; start with 0
 * @waited_ns: in/out: time waited so far in nanoseconds, counted against
 *	@timeout_ns; start with 0
 * @pinned_pages: out: pages that had extra references at the last look
 * @first_pinned: out: index of the first of them in pages, or
 *	%PINSEAL_NO_PAGE
 * @isolated_pages: out: pages replaced by a copy (with @scans or @waited_ns in: of those calls as
 *	well)
 * @revoked_pages: out: pages whose leased pins were taken away. A call that is restarted finds
 *	there what it had come to, as in @waited_ns and @scans.
 * @outcome: out: &enum pinseal_outcome
 * @pad: in: must be 0
 *
 * The out fields are written when the ioctl returns 0 and when it fails with
 * EBUSY, EINTR or ENOMEM for a reason in &enum pinseal_outcome; with any other
 * error the struct is left as it was.
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
 * A seal of pinseal's own, for pinseal_seal.seals beside the kernel's F_SEAL_*:
 * no mapping of the object through /dev/pinseal may become executable any more, neither a
 * new one (mmap() gives EPERM) nor by mprotect() (EACCES). Those that are executable
 * already stay so. The kernel does not know this seal: it says nothing of mappings of an
 * exported or imported file, nor of what remap_file_pages() makes of one of ours, and
 * F_GET_SEALS does not show it.
 */
#define PINSEAL_F_SEAL_FUTURE_EXEC	(1U << 16)

/* Flags of struct pinseal_page. */

/* The page belongs to a large folio: @mapped, @extra, @dma_pins are the folio's. */
#define PINSEAL_PAGE_LARGE	(1U << 0)

/*
 * A pin handle of the object holds some of it. Without this, all pins are of others. (With it,
 * some may be: a handle keeps pages that were taken away from the object and made anew.)
 */
#define PINSEAL_PAGE_HANDLE	(1U << 1)

/**
 * struct pinseal_page - a folio with extra references
 * @index: index of the folio's first page in the object, in pages
 * @pages: number of pages in the folio
 * @mapped: times that pages of it are mapped into page tables
 * @extra: references beyond those of the page cache and of page tables
 * @dma_pins: how many pins (%FOLL_PIN) are among them. In a folio of one page
 *	each pin shows as 1024 of @extra (GUP_PIN_COUNTING_BIAS), in a large one
 *	as 1; what remains of @extra are plain references: pipes, reads under
 *	way, the kernel's LRU batches.
 * @flags: %PINSEAL_PAGE_*
 * @pad: 0
 *
 * A snapshot: by the time the caller reads it, it may be history.
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
 * @start: in: first page to look at
 * @count: in: number of pages to look at, 0 for all from @start on.
 *	@start + @count must not overflow; what lies past the end of the object
 *	is not looked at.
 * @vec: in: address of an array of &struct pinseal_page, 0 to count only
 * @vec_len: in: number of elements in @vec
 * @found: out: elements of @vec that were filled
 * @next: out: the page to go on from when @vec became full (with @vec_len 0 it
 *	is from the start), else the end of the range that was looked at
 * @pinned_pages: out: pages with extra references before @next
 * @dma_pinned_pages: out: those of them that are pinned (%FOLL_PIN)
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
 * PINSEAL_PIN_READONLY: the handle cannot be written to. Only that is left for an object that
 * is sealed for writing.
 *
 * PINSEAL_PIN_LEASED: who seals with PINSEAL_SEAL_REVOKE and finds pages in use asks for these
 * (POLLPRI), and takes them when they are not given back within @grace_ns.
 *
 * PINSEAL_PIN_MIRROR: the handle gives access to what the caller's shared mapping of these pages
 * shows, and pins nothing (CONFIG_HMM_MIRROR; else EOPNOTSUPP). Not with PINSEAL_PIN_LEASED.
 */
#define PINSEAL_PIN_READONLY	(1U << 0)
#define PINSEAL_PIN_LEASED	(1U << 1)
#define PINSEAL_PIN_MIRROR	(1U << 2)

/**
 * enum pinseal_lease_state - how a pin handle stands
 * @PINSEAL_LEASE_HELD: nobody wants the pages
 * @PINSEAL_LEASE_ASKED: somebody does; poll() says POLLPRI
 * @PINSEAL_LEASE_REVOKED: they were taken; poll() says POLLHUP, read() and write() ESTALE
 */
enum pinseal_lease_state {
	PINSEAL_LEASE_HELD	= 0,
	PINSEAL_LEASE_ASKED	= 1,
	PINSEAL_LEASE_REVOKED	= 2,
};

/**
 * struct pinseal_lease - how a pin handle stands
 * @start: out: the first page
 * @count: out: number of pages
 * @grace_ns: out: how long the holder is left them after being asked, in nanoseconds; 0 without
 *	%PINSEAL_PIN_LEASED
 * @until_ns: out: when they are taken, in nanoseconds of CLOCK_MONOTONIC, if somebody wants
 *	them, else 0. That one may give up before, and then the pages are not taken.
 * @asker: out: the process that wants them, as a PID of the caller's PID namespace, or 0:
 *	nobody, or nobody in there
 * @state: out: &enum pinseal_lease_state
 * @flags: out: %PINSEAL_PIN_*
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
 * @grace_ns: in: with %PINSEAL_PIN_LEASED: how long the holder is left the pages after being
 *	asked for them, in nanoseconds; else not looked at
 * @flags: in: %PINSEAL_PIN_READONLY, %PINSEAL_PIN_LEASED, %PINSEAL_PIN_MIRROR
 * @pad: in: must be 0
 * @address: in: with %PINSEAL_PIN_MIRROR: where the caller has the first page mapped; else 0. The
 *	first version of the struct ends before it.
 */
struct pinseal_pin {
	__u64 start;
	__u64 count;
	__u64 grace_ns;
	__u32 flags;
	__u32 pad;
	__u64 address;
};

/* Size of pinseal_name.name in bytes, its terminating NUL included. */
#define PINSEAL_NAME_MAX	64

/**
 * struct pinseal_name - name an object
 * @name: in: the name in UTF-8, ended by NUL, without control characters
 */
struct pinseal_name {
	char name[PINSEAL_NAME_MAX];
};

/**
 * struct pinseal_import - make somebody else's file the object's memory
 * @fd: in: a descriptor of a memfd, opened for reading and writing
 * @flags: in: must be 0
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

/**
 * PINSEAL_IOC_INFO - tell what this build supports, and the object's size
 *
 * Works on any descriptor. (Commands 0x0b and 0x0c are reserved.)
 */
#define PINSEAL_IOC_INFO	_IOR(PINSEAL_IOC_MAGIC, 0x00, struct pinseal_info)

/**
 * PINSEAL_IOC_RESIZE - set the object's size, as ftruncate() does
 *
 * With PINSEAL_RESIZE_WAIT the struct is written to as well, whatever the direction in the
 * command word. When the descriptor has O_NONBLOCK, @timeout_ns is not looked at: the call waits
 * for 10 ms at most, for the kernel's own work or for another sealer, and else fails with EBUSY.
 * It takes only leases whose @grace_ns is 0 then.
 *
 * Errors: EINVAL (not opened for writing, size over 2^63 - 1), EPERM (a seal
 * forbids it), EBUSY (with PINSEAL_RESIZE_WAIT: pages that would go are held), E2BIG
 * (without it, fields that only it has a use for are not 0), EFBIG (RLIMIT_FSIZE), EINTR
 * (a signal came while it waited), EAGAIN (without PINSEAL_RESIZE_WAIT: another thread is
 * sealing, and the descriptor has O_NONBLOCK), ENOMEM (at the first use). For exported and imported memory those of
 * truncate() as well: EACCES (its mode does not let the caller write), ETXTBSY (it is being
 * executed).
 */
#define PINSEAL_IOC_RESIZE	_IOW(PINSEAL_IOC_MAGIC, 0x01, struct pinseal_resize)

/**
 * PINSEAL_IOC_FALLOCATE - allocate or free memory of a range, as fallocate() does
 *
 * With PINSEAL_FALLOCATE_WAIT as PINSEAL_IOC_RESIZE with PINSEAL_RESIZE_WAIT, for what punches
 * a hole; else nothing is waited for, or reported.
 *
 * Errors: EBADF (not opened for writing), EINVAL (len is 0, or offset or len over
 * 2^63 - 1), EBUSY, E2BIG (as there), EFBIG (their sum is, or RLIMIT_FSIZE), EOPNOTSUPP
 * (mode), EPERM (a seal forbids it), ENOSPC or ENOMEM (no memory), EINTR (a signal came), EAGAIN
 * (as there).
 */
#define PINSEAL_IOC_FALLOCATE	_IOW(PINSEAL_IOC_MAGIC, 0x02, struct pinseal_fallocate)

/**
 * PINSEAL_IOC_SEAL - add seals
 *
 * When it returns 0, the seals are set, and with F_SEAL_WRITE nobody can write
 * to the object any more: no mapping, no pin, no operation under way in the
 * kernel. When it fails, the object is as it was, and &pinseal_seal.outcome tells
 * why. Leases that were taken for it stay taken (PINSEAL_SEAL_REVOKE).
 *
 * With PINSEAL_SEAL_ASYNC it begins, and returns 0 at once with PINSEAL_OUTCOME_PENDING. The
 * same call, with the same seals, then tells what became of it: PENDING with how far it got
 * (the out fields, @scans and @waited_ns), or the result as if the call had waited, once.
 * poll() on any descriptor of the object reports EPOLLPRI while there is a result that nobody
 * has fetched. (EPOLLIN and EPOLLOUT are always reported. EPOLLERR says that there is no
 * memory to watch: poll again; to an epoll instance, add it again.) The bounds are those of
 * the call that began; the other calls' are not looked at. @scans and @waited_ns are out only:
 * what they were before does not count. When the struct cannot be written any more in the end,
 * what it would have told is lost (EFAULT, unless the seals are set). An object has one
 * asynchronous seal at a time. It belongs to all descriptors of the object, and goes on until
 * it has ended by itself, is cancelled with PINSEAL_SEAL_CANCEL, or the last of them is closed
 * and the last mapping gone: then nothing of it is left. Until a result is fetched, the line
 * "sealing:" of fdinfo tells the seals; who fetches what another has fetched begins anew.
 * PINSEAL_SEAL_CANCEL tells what became of it, too: CANCELLED, or the result if it had ended.
 * While it goes on, others wait as for any sealer.
 *
 * Errors: EPERM (not opened for writing, or F_SEAL_SEAL is set), EINVAL (unknown
 * seal), EBUSY, EINTR (see &enum pinseal_outcome), ENOMEM (the same, and at the first
 * use: then the struct is left as it was), EALREADY (asynchronous: it is other seals that
 * are being added, or were and nobody has been told), ENOENT (nothing to cancel).
 */
#define PINSEAL_IOC_SEAL	_IOWR(PINSEAL_IOC_MAGIC, 0x03, struct pinseal_seal)

/**
 * PINSEAL_IOC_GET_SEALS - tell the seals that are set, as F_GET_SEALS does
 */
#define PINSEAL_IOC_GET_SEALS	_IOR(PINSEAL_IOC_MAGIC, 0x04, __u32)

/**
 * PINSEAL_IOC_PINS - tell which folios have extra references, and of which kind
 *
 * It takes no reference itself and changes nothing. Errors: EINVAL (range
 * overflows), EINTR (a fatal signal came), ENOMEM.
 */
#define PINSEAL_IOC_PINS	_IOWR(PINSEAL_IOC_MAGIC, 0x05, struct pinseal_pins)

/**
 * PINSEAL_IOC_PIN - pin pages of an object
 *
 * Returns a descriptor (O_CLOEXEC) that is the pin: as long as it is open, and they are not
 * taken (%PINSEAL_PIN_LEASED), the pages are pinned as for a device (FOLL_PIN, FOLL_LONGTERM),
 * which keeps them from being moved and swapped out, and the object from being sealed for
 * writing. pread() and pwrite() on it reach those pages, byte 0 being the first of page
 * @start, whatever the object shows by then. Holes are filled. A write() behind the last page
 * is ENOSPC.
 *
 * The caller's RLIMIT_MEMLOCK is charged that long for the folios that hold the pages.
 *
 * With PINSEAL_PIN_MIRROR it holds nothing, and nobody waits for it: pread() and pwrite() do to
 * the pages what the caller could do with loads and stores at @address, at that moment. Where
 * these pages are not mapped there any more, or lie behind the end, it is EFAULT; where the
 * mapping cannot be written to, EPERM. Also EFAULT: ranges that userfaultfd watches, and any
 * once the caller's address space is gone (exit, exec).
 *
 * Errors: EPERM (not opened for reading, and writing unless PINSEAL_PIN_READONLY; or a seal
 * forbids writing), EINVAL (the object does not have those pages), ENOMEM (also: beyond
 * RLIMIT_MEMLOCK; a page cannot be pinned more often), ENOSPC (no memory can be promised for
 * holes), EIO (a page cannot be read back from swap), EINTR (a signal came while it waited),
 * EAGAIN (another thread is sealing, and the descriptor has O_NONBLOCK), EMFILE, ENFILE. With
 * PINSEAL_PIN_MIRROR also: EFAULT (no shared mapping shows these pages at @address), EINVAL
 * (@address is none of a page, or PINSEAL_PIN_LEASED), EOPNOTSUPP; without it, E2BIG (@address).
 */
#define PINSEAL_IOC_PIN		_IOW(PINSEAL_IOC_MAGIC, 0x06, struct pinseal_pin)

/**
 * PINSEAL_PIN_IOC_LEASE - how a pin handle stands
 *
 * To be called on the descriptor that PINSEAL_IOC_PIN returned.
 *
 * Errors: EFAULT.
 */
#define PINSEAL_PIN_IOC_LEASE	_IOR(PINSEAL_IOC_MAGIC, 0x20, struct pinseal_lease)

/**
 * PINSEAL_IOC_IMPORT - make somebody else's file the object's memory
 *
 * The object must not have been used. From then on it is that memory: its maker sees
 * the seals through F_GET_SEALS, and whoever maps or writes to it is reckoned with when
 * it is sealed. F_SEAL_WRITE of somebody else's is not taken on trust: it can be added
 * again here, and then the pages are looked at.
 *
 * Errors: EBADF (no such descriptor), EINVAL (no shared memory: a pipe, a file on a disk,
 * in hugetlbfs, an object of pinseal's), EPERM (one of the two descriptors was not opened
 * for writing, or the file not for reading; the file has F_SEAL_SEAL, as a memfd without
 * MFD_ALLOW_SEALING has; it is a file in a tmpfs, to which there are ways that know of no
 * seals; it is append-only), EBUSY (the object has been used), ETXTBSY (it is being
 * executed), EAGAIN (somebody has a lease on it), ENFILE, ENOMEM.
 */
#define PINSEAL_IOC_IMPORT	_IOW(PINSEAL_IOC_MAGIC, 0x07, struct pinseal_import)

/**
 * PINSEAL_IOC_EXPORT - open the object's memory as a file
 *
 * Returns a descriptor (O_CLOEXEC) that is to everybody one of a memfd, whose seals are
 * the object's and, unless the memory was imported, F_SEAL_SEAL: what a seal forbids
 * is refused there by the kernel itself, and seals are added here only.
 *
 * Like one of a memfd, a descriptor for reading can be opened anew for writing by way of
 * /proc/self/fd, if the file's mode allows that. So only descriptors that were opened for
 * reading and writing can be exported. (To give away what cannot be written, use REOPEN.)
 *
 * Errors: EPERM (not opened for reading and writing), EMFILE, ENFILE, ENOMEM, ETXTBSY (it
 * is being executed), EAGAIN (somebody has a lease on it).
 */
#define PINSEAL_IOC_EXPORT	_IOW(PINSEAL_IOC_MAGIC, 0x08, struct pinseal_export)

/**
 * PINSEAL_IOC_REOPEN - open the object once more
 *
 * Returns a descriptor (O_CLOEXEC) of the same object with a position of its own.
 *
 * Errors: EINVAL (neither O_RDONLY nor O_RDWR), EPERM (this descriptor does not have
 * that access), EMFILE, ENFILE, ENOMEM.
 */
#define PINSEAL_IOC_REOPEN	_IOW(PINSEAL_IOC_MAGIC, 0x09, struct pinseal_reopen)

/**
 * PINSEAL_IOC_SET_NAME - name the object in /proc/PID/maps and fdinfo
 *
 * Errors: EBUSY (the object has been used), EINVAL (no NUL, a control
 * character, not UTF-8), EPERM (not opened for writing).
 */
#define PINSEAL_IOC_SET_NAME	_IOW(PINSEAL_IOC_MAGIC, 0x0a, struct pinseal_name)

#endif /* _UAPI_LINUX_PINSEAL_H */
