// SPDX-License-Identifier: GPL-2.0-only

//! The operations of stacked files: a copy of shmem's. Reading and writing fill pages first, writing and
//! removing pages is noted, and syncing writes to the lower file.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    stack::{
        pages_with,
        Stack, //
    },
    stop_on::StopOn,
    vm_ops::vm_ops, //
};
use crate::{
    bindings,
    fs::memfd_file::{
        MemfdFile,
        NewFile, //
    },
    mm::{
        address_space::AddressSpace,
        page_set::PageSetRoom, //
    },
    sync::{
        once::get_or_try_init,
        sleep::fatal_signal_pending,
        workqueue::OwnedQueue, //
    }, //
};
use core::{
    ops::Range,
    ptr, //
};
use kernel::{
    container_of,
    error::to_result,
    ffi::{
        c_int,
        c_uint, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    types::ForeignOwnable, //
};

struct Table {
    operations: bindings::file_operations,
    shmem: &'static bindings::file_operations,
}

// SAFETY: The table never changes, and its pointers are to statics.
unsafe impl Send for Table {}
// SAFETY: As above.
unsafe impl Sync for Table {}

static TABLE: SetOnce<Table> = SetOnce::new();

/// Stacks a file. It keeps `module` loaded, which is loaded.
///
/// # Safety
///
/// `file` must be a regular shmem file with shmem's operations.
///
/// # Errors
///
/// None that is known.
pub(in crate::fs) unsafe fn make_stacked(
    file: &NewFile,
    stack: Arc<Stack>,
    module: *mut bindings::module,
) -> Result {
    // SAFETY: The file is open. shmem's operations are static.
    let shmem = unsafe { &*(*file.as_ptr()).f_op };
    let table = get_or_try_init(&TABLE, || {
        Ok(Table {
            operations: bindings::file_operations {
                owner: module,
                llseek: Some(llseek),
                read_iter: Some(read_iter),
                write_iter: Some(write_iter),
                splice_read: Some(splice_read),
                mmap_prepare: Some(mmap_prepare),
                fsync: Some(fsync),
                fallocate: Some(fallocate),
                release: Some(release),
                // shmem's own insists, with CONFIG_DEBUG_VM, that the file has shmem's operations.
                #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
                get_unmapped_area: Some(bindings::thp_get_unmapped_area),
                ..*shmem
            },
            shmem,
        })
    })?;
    // SAFETY: The module is loaded; the release of the file drops the reference. By the invariants of
    // `NewFile`, the file has no other user; shmem does not use the private data.
    unsafe {
        bindings::pinseal_module_get(module);
        (*file.as_ptr()).f_op = &raw const table.operations;
        (*file.as_ptr()).private_data = stack.into_foreign();
    }
    Ok(())
}

/// Whether these are the operations of stacked files.
pub(super) fn are_stacked(operations: *const bindings::file_operations) -> bool {
    let table = TABLE.as_ref();
    table.is_some_and(|table| ptr::eq(operations, &table.operations))
}

/// The stack of a file, if it is stacked.
pub(in crate::fs) fn stack_of(file: &MemfdFile) -> Option<ArcBorrow<'_, Stack>> {
    // SAFETY: The file is open; its operations never change.
    let operations = unsafe { (*file.as_ptr()).f_op };
    // SAFETY: With these operations, it is a stacked file, which is open.
    are_stacked(operations).then(|| unsafe { stack_of_raw(file.as_ptr()) })
}

/// # Safety
///
/// `file` must be a stacked file that stays open for `'a`.
pub(super) unsafe fn stack_of_raw<'a>(file: *mut bindings::file) -> ArcBorrow<'a, Stack> {
    // SAFETY: `make_stacked` set the private data.
    unsafe { <Arc<Stack>>::borrow((*file).private_data) }
}

/// The stack of a stacked file, its pages, and shmem's operations.
///
/// # Safety
///
/// As for [`stack_of_raw`].
unsafe fn parts_of<'a>(
    file: *mut bindings::file,
) -> (
    ArcBorrow<'a, Stack>,
    &'a AddressSpace,
    &'static bindings::file_operations,
) {
    // SAFETY: By the safety requirements. `make_stacked` took the operations from a `Table`, which is
    // static.
    unsafe {
        let operations = (*file).f_op.cast_mut();
        (
            stack_of_raw(file),
            AddressSpace::from_raw((*file).f_mapping),
            (*container_of!(operations, Table, operations)).shmem,
        )
    }
}

/// The pages that have some of `len` bytes at `pos`.
fn pages_of(pos: i64, len: usize) -> Range<usize> {
    // CAST: Positions in a file are not negative.
    let start = pos.max(0) as u64;
    pages_with(start, start.saturating_add(len as u64).min(i64::MAX as u64))
}

/// Fills what is to be read or written, from `pos` on, by `fill`. If a part of it cannot be filled, the call is to
/// transfer what comes before that: returns by how much less.
///
/// # Safety
///
/// `iter` must be valid.
///
/// # Errors
///
/// Those of `fill`, when nothing can be transferred.
unsafe fn fill_first(
    stack: &Stack,
    pages: &AddressSpace,
    pos: i64,
    iter: *mut bindings::iov_iter,
    fill: impl FnOnce(Range<usize>) -> Result,
) -> Result<usize> {
    // SAFETY: By the safety requirements.
    let len = unsafe { bindings::pinseal_iov_iter_count(iter) };
    let wanted = pages_of(pos, len);
    let Err(err) = fill(wanted.clone()) else {
        return Ok(0);
    };
    let filled = stack.filled_part(pages, wanted.clone());
    if filled.is_empty() || filled.end == wanted.end {
        return Err(err);
    }
    // CAST: A position in a file that is not negative, or there would be no such part.
    let left = ((filled.end as u64) << PAGE_SHIFT) - pos as u64;
    // SAFETY: By the safety requirements.
    unsafe { bindings::pinseal_iov_iter_truncate(iter, left) };
    // CAST: It was cut to less than `len`.
    Ok(len - left as usize)
}

/// Gives `iter` back what [`fill_first`] has taken.
///
/// # Safety
///
/// `iter` must be valid.
unsafe fn give_back(iter: *mut bindings::iov_iter, taken: usize) {
    // SAFETY: By the safety requirements.
    unsafe {
        let left = bindings::pinseal_iov_iter_count(iter);
        bindings::pinseal_iov_iter_reexpand(iter, left + taken);
    }
}

/// # Safety
///
/// As for `read_iter` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn read_iter(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The request keeps its file open.
    let ((stack, pages, shmem), pos) = unsafe { (parts_of((*kiocb).ki_filp), (*kiocb).ki_pos) };
    let Some(read_iter) = shmem.read_iter else {
        return EINVAL.to_errno() as isize;
    };
    // SAFETY: By the safety requirements.
    unsafe {
        let fill = |wanted| stack.fill(pages, wanted, StopOn::Signal);
        match fill_first(&stack, pages, pos, iter, fill) {
            Ok(taken) => {
                let read = read_iter(kiocb, iter);
                give_back(iter, taken);
                read
            }
            Err(err) => err.to_errno() as isize,
        }
    }
}

/// # Safety
///
/// As for `write_iter` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn write_iter(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: The request keeps its file open.
    let ((stack, pages, _), pos, flags) = unsafe {
        (
            parts_of((*kiocb).ki_filp),
            (*kiocb).ki_pos,
            (*kiocb).ki_flags,
        )
    };
    let start = match flags & bindings::pinseal_IOCB_APPEND {
        0 => pos,
        // CAST: A size fits.
        _ => pages.size() as i64,
    };
    // Also pages that are written as a whole: that may end in the middle.
    let fill = |wanted| stack.fill_and_allocate(pages, wanted, StopOn::Signal);
    // SAFETY: By the safety requirements.
    let written = unsafe {
        fill_first(&stack, pages, start, iter, fill).and_then(|taken| {
            let written = write_filled(&stack, pages, kiocb, iter);
            give_back(iter, taken);
            written
        })
    };
    match written {
        // shmem has nothing to be made durable, and does not ask.
        //
        // SAFETY: By the safety requirements.
        Ok(written) if written > 0 => unsafe {
            bindings::pinseal_generic_write_sync(kiocb, written)
        },
        Ok(written) => written,
        Err(err) => err.to_errno() as isize,
    }
}

/// Writes to pages that do not come from below any more, as shmem's own `write_iter` does, and notes them.
///
/// # Safety
///
/// As for [`write_iter`].
///
/// # Errors
///
/// Those of `write()`. `EINTR` for a fatal signal.
unsafe fn write_filled(
    stack: &Stack,
    pages: &AddressSpace,
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
) -> Result<isize> {
    let room = PageSetRoom::new()?;
    // SAFETY: The request keeps its file open.
    let (file, memfd) = unsafe { ((*kiocb).ki_filp, MemfdFile::from_raw((*kiocb).ki_filp)) };
    let _locked = memfd.inode().lock_killable()?;
    // SAFETY: By the safety requirements; the inode is locked.
    unsafe {
        let checked = bindings::generic_write_checks(kiocb, iter);
        if checked <= 0 {
            return Ok(checked);
        }
        to_result(bindings::file_remove_privs(file))?;
        to_result(bindings::file_update_time(file))?;
    }
    // The last page also changes when the file grows.
    let old_size = pages.size();
    let changed_from = |pos: i64, end: i64| {
        // CAST: Positions in a file are not negative; they were checked.
        let (pos, end) = (pos as u64, end as u64);
        match end > old_size {
            true => pages_with(pos.min(old_size), end),
            false => pages_with(pos, end),
        }
    };
    // SAFETY: By the safety requirements.
    let (pos, len) = unsafe { ((*kiocb).ki_pos, bindings::pinseal_iov_iter_count(iter)) };
    // CAST: It was checked that this fits in a file.
    let _announced = stack.announce(changed_from(pos, pos + len as i64));
    // SAFETY: By the safety requirements; the inode is locked.
    let written = unsafe { bindings::generic_perform_write(kiocb, iter) };
    if written > 0 {
        // SAFETY: By the safety requirements.
        let end = unsafe { (*kiocb).ki_pos };
        // CAST: As above.
        stack.mark_dirty(changed_from(end - written as i64, end), room);
    }
    Ok(written)
}

/// # Safety
///
/// As for `splice_read` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn splice_read(
    file: *mut bindings::file,
    pos: *mut bindings::loff_t,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: The caller has the file open.
    let ((stack, pages, shmem), start) = unsafe { (parts_of(file), *pos) };
    // A pipe takes no more at once.
    let wanted = pages_of(start, len.min(1 << 20));
    if let Err(err) = stack.fill(pages, wanted, StopOn::Signal) {
        return err.to_errno() as isize;
    }
    match shmem.splice_read {
        // SAFETY: By the safety requirements.
        Some(splice_read) => unsafe { splice_read(file, pos, pipe, len.min(1 << 20), flags) },
        None => EINVAL.to_errno() as isize,
    }
}

/// Pages that come from below are data, wherever they are; so everything is.
///
/// # Safety
///
/// As for `llseek` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn llseek(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    whence: c_int,
) -> bindings::loff_t {
    // SAFETY: The caller has the file open.
    let (stack, pages, shmem) = unsafe { parts_of(file) };
    if MemfdFile::seek_locks(whence) && !stack.is_filled() {
        // CAST: A size fits.
        let size = pages.size() as i64;
        return match offset {
            _ if offset < 0 || offset >= size => ENXIO.to_errno().into(),
            _ if whence as u32 == bindings::SEEK_HOLE => size,
            _ => offset,
        };
    }
    match shmem.llseek {
        // SAFETY: By the safety requirements.
        Some(llseek) => unsafe { llseek(file, offset, whence) },
        None => EINVAL.to_errno().into(),
    }
}

/// # Safety
///
/// As for `fallocate` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn fallocate(
    file: *mut bindings::file,
    mode: c_int,
    offset: bindings::loff_t,
    len: bindings::loff_t,
) -> isize {
    // SAFETY: The caller has the file open.
    let ((stack, pages, shmem), memfd) = unsafe { (parts_of(file), MemfdFile::from_raw(file)) };
    // CAST: Bits.
    if mode as u32 & bindings::pinseal_FALLOC_FL_PUNCH_HOLE != 0 {
        // CAST: The VFS has checked that they are not negative.
        return match stack.punch(memfd, offset as u64, (offset + len) as u64) {
            Ok(()) => 0,
            Err(err) => err.to_errno() as isize,
        };
    }
    let Some(fallocate) = shmem.fallocate else {
        return EINVAL.to_errno() as isize;
    };
    // What is allocated must not be taken for what is there.
    //
    // CAST: As above.
    let room = match stack
        .fill_neighbours(pages, &pages_of(offset, len as usize))
        .and_then(|()| PageSetRoom::new())
    {
        Ok(room) => room,
        Err(err) => return err.to_errno() as isize,
    };
    // CAST: Bits.
    let keep_size = bindings::pinseal_FALLOC_FL_KEEP_SIZE as c_int;
    // SAFETY: By the safety requirements.
    let ret = unsafe { fallocate(file, mode | keep_size, offset, len) };
    if ret != 0 || mode & keep_size != 0 {
        return ret;
    }
    // CAST: As above.
    match stack.grow(memfd, (offset + len) as u64, room) {
        Ok(()) => 0,
        Err(err) => err.to_errno() as isize,
    }
}

/// # Safety
///
/// As for `fsync` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn fsync(
    file: *mut bindings::file,
    start: bindings::loff_t,
    end: bindings::loff_t,
    data_only: c_int,
) -> c_int {
    // SAFETY: The caller has the file open.
    let (stack, pages, _) = unsafe { parts_of(file) };
    // CAST: `end` is not before `start`.
    let len = (end.saturating_sub(start) as usize).saturating_add(1);
    let stop = StopOn::FatalSignal;
    let result = stack.sync(pages, pages_of(start, len), data_only != 0, stop);
    // Also an error that another descriptor was told of.
    //
    // SAFETY: The caller has the file open.
    let seen = unsafe { bindings::pinseal_check_and_advance_wb_err(file, pages.as_ptr()) };
    match result {
        Ok(()) => seen,
        Err(err) => err.to_errno(),
    }
}

/// # Safety
///
/// As for `mmap_prepare` of `struct file_operations`, with a stacked file.
unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
    // SAFETY: By the safety requirements; the file stays open during the call.
    let (_, _, shmem) = unsafe { parts_of((*desc).file) };
    let Some(prepare) = shmem.mmap_prepare else {
        return EINVAL.to_errno();
    };
    // SAFETY: By the safety requirements.
    let ret = unsafe { prepare(desc) };
    if ret != 0 {
        return ret;
    }
    // SAFETY: shmem has set its VMA operations, which are static.
    match vm_ops(unsafe { &*(*desc).vm_ops }) {
        Ok(ops) => {
            // SAFETY: By the safety requirements. The operations are static.
            unsafe {
                (*desc).vm_ops = ops;
                // khugepaged, which fills holes with zeros, leaves special VMAs alone.
                bindings::pinseal_vma_desc_set_dontexpand(desc);
            }
            0
        }
        Err(err) => err.to_errno(),
    }
}

/// # Safety
///
/// `file` must be a stacked file that is being released.
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: The file is open.
    let (stack, pages, _) = unsafe { parts_of(file) };
    if stack.syncs_on_close() {
        // What mappings have stored since the descriptors were closed. Nobody can be told of errors.
        sync_unkilled(&stack.into(), pages);
    }
    // SAFETY: `make_stacked` set the private data, and nothing else takes it.
    drop(unsafe { <Arc<Stack>>::from_foreign((*file).private_data) });
    0
}

/// A stacked file's pages, for the time of a call that waits for the work.
struct WaitedFor(*const AddressSpace);

// SAFETY: The pages may be accessed by any thread.
unsafe impl Send for WaitedFor {}

/// Syncs all, as the opener of the lower file. If the current task is being killed, the lower file system ends
/// writing, so a worker does it.
fn sync_unkilled(stack: &Arc<Stack>, pages: &AddressSpace) {
    if !fatal_signal_pending() && (stack.sync_as_opener(pages).is_ok() || !fatal_signal_pending()) {
        return;
    }
    let (stack, pages) = (stack.clone(), WaitedFor(pages));
    let sync = move || {
        let WaitedFor(pages) = &pages;
        // SAFETY: The queue is destroyed below, which waits for this, while the caller has the pages.
        let _ = stack.sync_as_opener(unsafe { &**pages });
    };
    // Without memory for it, what the killed task has not written is lost.
    if let Ok(queue) = OwnedQueue::new(c"pinseal_close", 1) {
        let _ = queue.try_spawn(GFP_KERNEL, sync);
    }
}
