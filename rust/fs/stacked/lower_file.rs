// SPDX-License-Identifier: GPL-2.0-only

//! Lower files: which files can be one, and how they are read, written and synced. What of them is to
//! be read or written is for `fill` and `sync`.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use super::operations::are_stacked;
use crate::{
    bindings,
    compat::{
        eopnotsupp,
        estale, //
    },
    fs::{
        memfd_file::reopen_file,
        memory_file::MemoryOwner,
        set_size::{
            set_size_locked,
            Privileges, //
        }, //
    },
    mm::{
        address_space::AddressSpace,
        page_batch::PageBatch,
        stacked_folio::StackedFolio, //
    }, //
};
use core::ops::Range;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_int,
    fs::{
        file::flags::{
            O_ACCMODE,
            O_APPEND,
            O_DIRECT,
            O_RDONLY,
            O_RDWR, //
        },
        File,
        LocalFile, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef, //
};

/// Pages that are read ahead at least, when one is missing in the page cache of the lower file. The
/// file system knows its own bound.
const READAHEAD_PAGES: usize = 32;

/// A regular file that another one is stacked on.
///
/// The file is opened again, so that it has flags and a position in errors of its own.
pub(crate) struct LowerFile {
    file: ARef<File>,
    is_writable: bool,
    is_shmem: bool,
}

/// Whether a file is on a file system whose pages can be read as a fault reads them. Neither a server nor a
/// program can delay them, which faults could not be killed for; nor do other machines change them.
///
/// # Safety
///
/// `file` must be open.
unsafe fn is_on_known_disk(file: *mut bindings::file) -> bool {
    // SAFETY: By the safety requirements.
    let magic = unsafe { (*(*(*file).f_inode).i_sb).s_magic };
    matches!(
        magic,
        bindings::pinseal_EXT4_SUPER_MAGIC
            | bindings::pinseal_XFS_SUPER_MAGIC
            | bindings::pinseal_BTRFS_SUPER_MAGIC
    )
}

/// An errno as user space may see it: none that asks for a restart of a system call, no other one of the
/// kernel's own, which are from `ERESTARTSYS` on, nor that of a timeout, which is
/// [`StopOn`](super::StopOn)'s.
///
/// C header: [`include/linux/errno.h`](srctree/include/linux/errno.h)
fn user_errno(err: c_int) -> Error {
    match Error::from_errno(err) {
        ERESTARTSYS | ERESTARTNOINTR | ERESTARTNOHAND | ERESTART_RESTARTBLOCK => EINTR,
        ETIMEDOUT => EIO,
        err if err.to_errno() <= ERESTARTSYS.to_errno() => EIO,
        err => err,
    }
}

impl LowerFile {
    /// Takes `file` as a lower file, to be written to unless `read_only`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when it is no regular file, one of hugetlbfs, one of this module, or open with `O_DIRECT`.
    /// `EBADF` when it is not open for reading and, unless `read_only`, writing. `EPERM` when it is to be
    /// written to, and append-only or immutable. `ETXTBSY` when it is a swap file. `EOPNOTSUPP` when its
    /// file system is not known, or has no page cache for it, or a program is asked before it is read
    /// (fanotify's `FAN_ACCESS_PERM` and `FAN_PRE_ACCESS`). Those of opening it.
    pub(crate) fn new<T: MemoryOwner>(file: ARef<LocalFile>, read_only: bool) -> Result<Self> {
        // SAFETY: The file is open, and keeps its inode alive.
        let (mode, inode_flags) = unsafe {
            let inode = (*file.as_ptr()).f_inode;
            (u32::from((*inode).i_mode), (*inode).i_flags)
        };
        // SAFETY: The file is open.
        let (is_shmem, is_hugetlb) = unsafe {
            (
                bindings::pinseal_shmem_file(file.as_ptr()),
                bindings::pinseal_file_is_hugetlb(file.as_ptr()),
            )
        };
        if mode & bindings::S_IFMT != bindings::S_IFREG || is_hugetlb {
            return Err(EINVAL);
        }
        let flags = file.flags();
        match flags & O_ACCMODE {
            O_RDWR => (),
            O_RDONLY if read_only => (),
            _ => return Err(EBADF),
        }
        if flags & O_DIRECT != 0 {
            return Err(EINVAL);
        }
        let is_restricted = flags & O_APPEND != 0
            || inode_flags & (bindings::S_APPEND | bindings::S_IMMUTABLE) != 0;
        if !read_only && is_restricted {
            return Err(EPERM);
        }
        if inode_flags & bindings::S_SWAPFILE != 0 {
            return Err(ETXTBSY);
        }
        // SAFETY: The file is open; its operations never change.
        let operations = unsafe { (*file.as_ptr()).f_op };
        if T::memfd_operations().are_of(operations) || are_stacked(operations) {
            return Err(EINVAL);
        }
        // SAFETY: As above.
        let operations = unsafe { &*operations };
        // SAFETY: The file is open, and keeps its page cache.
        let is_cached = unsafe { (*(*(*file.as_ptr()).f_mapping).a_ops).read_folio.is_some() };
        // SAFETY: The file is open.
        let is_right = is_shmem || (is_cached && unsafe { is_on_known_disk(file.as_ptr()) });
        if !is_right || (!read_only && operations.write_iter.is_none()) {
            return Err(eopnotsupp());
        }
        let access = match read_only {
            true => O_RDONLY,
            false => O_RDWR,
        };
        // SAFETY: The file is open.
        let file = unsafe { reopen_file(file.as_ptr(), access) }?;
        // A program may fill the file on demand, or forbid to read it. A page is read in a fault, which must
        // not depend on that program.
        //
        // SAFETY: The file is open.
        if unsafe { bindings::pinseal_file_read_asks_programs(file.as_ptr()) } {
            return Err(eopnotsupp());
        }
        Ok(Self {
            file: file.share(),
            is_writable: !read_only,
            is_shmem,
        })
    }

    fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: The file is open.
        unsafe { (*self.file.as_ptr()).f_mapping }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The file keeps its inode alive.
        let size = unsafe { bindings::pinseal_i_size_read((*self.file.as_ptr()).f_inode) };
        // CAST: A size is never negative.
        size as u64
    }

    /// Whether it may be written to.
    pub(super) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Calls `f` with the credentials that the file was opened with.
    pub(super) fn as_opener<T>(&self, f: impl FnOnce() -> T) -> T {
        // SAFETY: The file is open, and keeps its credentials; those of the current task are restored.
        let old = unsafe { bindings::pinseal_override_creds((*self.file.as_ptr()).f_cred) };
        let result = f();
        // SAFETY: As above.
        unsafe { bindings::pinseal_revert_creds(old) };
        result
    }

    /// Reads the beginning of a page, as far as the file has it. Returns how many bytes that are.
    ///
    /// It takes no inode lock: a task that writes to the lower file may fault here.
    ///
    /// # Errors
    ///
    /// Those of `read()`.
    pub(super) fn read(&self, index: usize, buf: &mut [u8]) -> Result<usize> {
        match self.is_shmem {
            true => self.read_shmem(index, buf),
            false => self.read_cached(index, buf),
        }
    }

    /// As `read()` of shmem does, which takes no lock but the folio's.
    fn read_shmem(&self, index: usize, buf: &mut [u8]) -> Result<usize> {
        let pos = (index as u64) << PAGE_SHIFT;
        let left = |buf: &[u8]| self.size().saturating_sub(pos).min(buf.len() as u64) as usize;
        if left(buf) == 0 {
            return Ok(0);
        }
        // SAFETY: The file keeps its page cache.
        let pages = unsafe { AddressSpace::from_raw(self.mapping()) };
        match StackedFolio::get_existing(pages, index) {
            Ok(Some(folio)) if folio.is_poisoned(&(index..index + 1)) => return Err(EIO),
            Ok(Some(folio)) => folio.copy_to(index, buf),
            Ok(None) => buf.fill(0),
            // It is being truncated.
            Err(EINVAL) => return Ok(0),
            Err(err) => return Err(user_errno(err.to_errno())),
        }
        Ok(left(buf))
    }

    /// As a fault of a mapping reads. `read()` of some file systems takes the inode lock.
    fn read_cached(&self, index: usize, buf: &mut [u8]) -> Result<usize> {
        let (file, mapping) = (self.file.as_ptr(), self.mapping());
        let left = || self.size().saturating_sub((index as u64) << PAGE_SHIFT);
        if left() == 0 {
            return Ok(0);
        }
        // SAFETY: The file is open, and keeps its page cache. Other tasks that read ahead by its state do
        // so, too, without a lock.
        unsafe {
            let cached = bindings::pinseal_filemap_get_folio(mapping, index);
            match from_err_ptr(cached) {
                Ok(folio) => bindings::pinseal_folio_put(folio),
                Err(_) => bindings::pinseal_page_cache_sync_readahead(file, index, READAHEAD_PAGES),
            }
        }
        // Against truncation, and hole punching.
        //
        // SAFETY: The file keeps its page cache.
        unsafe { bindings::pinseal_filemap_invalidate_lock_shared(mapping) };
        // SAFETY: As above.
        let folio = from_err_ptr(unsafe { bindings::read_cache_folio(mapping, index, None, file) });
        let result = folio
            .map_err(|err| user_errno(err.to_errno()))
            .map(|folio| {
                let len = left().min(buf.len() as u64) as usize;
                // SAFETY: The folio has the page, is up to date, and we own a reference. The kernel maps all
                // memory. Others may write to the page meanwhile, as to a page that is read from.
                unsafe {
                    let page = bindings::pinseal_folio_file_page(folio, index);
                    let bytes = bindings::pinseal_page_address(page).cast::<u8>();
                    bytes.copy_to_nonoverlapping(buf.as_mut_ptr(), len);
                    bindings::pinseal_folio_put(folio);
                }
                len
            });
        // SAFETY: The lock was acquired above.
        unsafe { bindings::pinseal_filemap_invalidate_unlock_shared(mapping) };
        result
    }

    /// Writes the contents of a batch at `pos`. They may change meanwhile.
    ///
    /// # Errors
    ///
    /// Those of `write()`. `EIO` when nothing is written.
    pub(super) fn write(&self, batch: &PageBatch, pos: u64) -> Result {
        let mut done = 0;
        while done < batch.len() {
            // A new one each time: a write may cut it off.
            let mut iter = batch.iter_from(done);
            // CAST: The position is in a file.
            let mut at = (pos + done as u64) as i64;
            // SAFETY: The iterator is that of `batch`, which lives longer.
            let ret = unsafe {
                bindings::vfs_iter_write(self.file.as_ptr(), iter.as_mut_ptr(), &mut at, 0)
            };
            match usize::try_from(ret) {
                Ok(0) => return Err(EIO),
                Ok(n) => done += n,
                // CAST: An errno.
                Err(_) => return Err(user_errno(ret as c_int)),
            }
        }
        Ok(())
    }

    /// Removes bytes, which become zeros.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` when the file system cannot. Those of `fallocate()`.
    pub(super) fn punch(&self, pos: u64, len: u64) -> Result {
        let mode = bindings::pinseal_FALLOC_FL_PUNCH_HOLE | bindings::pinseal_FALLOC_FL_KEEP_SIZE;
        // SAFETY: The file is open.
        //
        // CAST: Bits; a range of a file.
        let ret = unsafe {
            bindings::vfs_fallocate(self.file.as_ptr(), mode as c_int, pos as i64, len as i64)
        };
        to_result(ret).map_err(|err| user_errno(err.to_errno()))
    }

    /// Sets the size.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal. Those of `ftruncate()`.
    pub(super) fn resize(&self, size: u64) -> Result {
        let file = self.file.as_ptr();
        // SAFETY: The file is open. Both locks are released below.
        unsafe {
            to_result(bindings::mnt_want_write_file(file))?;
            let lock = &raw mut (*(*file).f_inode).i_rwsem;
            let result = to_result(bindings::down_write_killable(lock)).and_then(|()| {
                // CAST: A size of a file.
                let result = set_size_locked(file, size as i64, Privileges::Drop);
                bindings::pinseal_inode_unlock((*file).f_inode);
                result
            });
            bindings::mnt_drop_write_file(file);
            result.map_err(|err| user_errno(err.to_errno()))
        }
    }

    /// Fails with `ESTALE` if it has less than `size` bytes: others have truncated it.
    pub(super) fn check_size(&self, size: u64) -> Result {
        match self.size() < size {
            true => Err(estale()),
            false => Ok(()),
        }
    }

    /// Starts to write the dirty pages of a range to the disk. [`LowerFile::sync`] tells of errors.
    pub(super) fn start_writeback(&self, pages: Range<usize>) {
        // SAFETY: The file is open, and keeps its page cache.
        //
        // CAST: Positions in a file.
        unsafe {
            bindings::filemap_flush_range(
                self.mapping(),
                (pages.start << PAGE_SHIFT) as i64,
                ((pages.end << PAGE_SHIFT) as i64) - 1,
            )
        };
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    ///
    /// Those of `fsync()`.
    pub(super) fn sync(&self, data_only: bool) -> Result {
        // SAFETY: The file is open.
        let ret =
            unsafe { bindings::vfs_fsync_range(self.file.as_ptr(), 0, i64::MAX, data_only.into()) };
        to_result(ret).map_err(|err| user_errno(err.to_errno()))
    }
}

#[kunit_tests(pinseal_lower_file)]
mod tests {
    use super::*;

    #[test]
    fn no_errno_of_the_kernels_own_is_left() {
        for err in 1..=bindings::MAX_ERRNO as c_int {
            let seen = user_errno(-err).to_errno();
            assert!(-512 < seen && seen < 0);
            assert!(err >= 512 || seen == -err || Error::from_errno(-err) == ETIMEDOUT);
        }
        assert!(user_errno(ERESTARTSYS.to_errno()) == EINTR);
        assert!(user_errno(ENOTSUPP.to_errno()) == EIO);
        assert!(user_errno(ENOSPC.to_errno()) == ENOSPC);
    }
}
