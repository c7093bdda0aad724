// SPDX-License-Identifier: GPL-2.0-only

//! Lower files: which files can be one, and how they are read, written and synced. What of them is to
//! be read or written is for `stack`.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    compat::eopnotsupp,
    fs::memory_file::{
        MemoryFile,
        MemoryOwner, //
    }, //
};
use kernel::{
    error::to_result,
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
    prelude::*,
    sync::aref::ARef, //
};

/// A regular file that another one is stacked on.
pub(crate) struct LowerFile {
    file: ARef<File>,
    is_writable: bool,
}

impl LowerFile {
    /// Takes `file` as a lower file, to be written to unless `read_only`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when it is no regular file, one of hugetlbfs, one of the module of `like`, or open with
    /// `O_DIRECT`. `EBADF` when it is not open for reading and, unless `read_only`, writing. `EPERM` when
    /// it is append-only or immutable. `ETXTBSY` when it is a swap file. `EOPNOTSUPP` when its file system has no page cache for it.
    pub(crate) fn new<T: MemoryOwner>(
        file: ARef<LocalFile>,
        read_only: bool,
        like: MemoryFile<'_, T>,
    ) -> Result<Self> {
        // SAFETY: The file is open, and keeps its inode alive.
        let (mode, inode_flags) = unsafe {
            let inode = (*file.as_ptr()).f_inode;
            (u32::from((*inode).i_mode), (*inode).i_flags)
        };
        // SAFETY: The file is open.
        let is_hugetlb = unsafe { bindings::pinseal_file_is_hugetlb(file.as_ptr()) };
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
        if flags & O_APPEND != 0 || inode_flags & (bindings::S_APPEND | bindings::S_IMMUTABLE) != 0
        {
            return Err(EPERM);
        }
        if inode_flags & bindings::S_SWAPFILE != 0 {
            return Err(ETXTBSY);
        }
        // SAFETY: The file is open; its operations never change.
        let operations = unsafe { &*(*file.as_ptr()).f_op };
        if operations.owner == like.module() {
            return Err(EINVAL);
        }
        // Files without a page cache are no storage (sysfs), or show the files of others (overlayfs).
        //
        // SAFETY: The file is open, and keeps its page cache.
        let is_cached = unsafe {
            (*(*(*file.as_ptr()).f_mapping).a_ops).read_folio.is_some()
                || bindings::pinseal_shmem_file(file.as_ptr())
        };
        if !is_cached
            || operations.read.is_some()
            || operations.write.is_some()
            || operations.read_iter.is_none()
            || operations.write_iter.is_none()
        {
            return Err(eopnotsupp());
        }
        // SAFETY: Neither reading nor writing uses the position of the file.
        let file = unsafe { LocalFile::assume_no_fdget_pos(file) };
        Ok(Self {
            file,
            is_writable: !read_only,
        })
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

    /// Reads at `pos`. Returns how many bytes there were, fewer than asked for at the end only.
    ///
    /// # Errors
    ///
    /// Those of `read()`.
    pub(super) fn read(&self, buf: &mut [u8], pos: u64) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let rest = &mut buf[done..];
            // CAST: The position is in a file.
            let mut at = (pos + done as u64) as i64;
            // SAFETY: The buffer is valid.
            let ret = unsafe {
                bindings::kernel_read(
                    self.file.as_ptr(),
                    rest.as_mut_ptr().cast(),
                    rest.len(),
                    &mut at,
                )
            };
            match usize::try_from(ret) {
                Ok(0) => break,
                Ok(n) => done += n,
                // CAST: An errno.
                Err(_) => return Err(Error::from_errno(ret as c_int)),
            }
        }
        Ok(done)
    }

    /// Writes `len` bytes at `pos`. They may change meanwhile.
    ///
    /// # Safety
    ///
    /// `buf` must be valid for reading so many bytes.
    ///
    /// # Errors
    ///
    /// Those of `write()`. `EIO` when nothing is written.
    pub(super) unsafe fn write(&self, buf: *const u8, len: usize, pos: u64) -> Result {
        let mut done = 0;
        while done < len {
            // CAST: The position is in a file.
            let mut at = (pos + done as u64) as i64;
            // SAFETY: By the safety requirements.
            let ret = unsafe {
                bindings::kernel_write(
                    self.file.as_ptr(),
                    buf.add(done).cast(),
                    len - done,
                    &mut at,
                )
            };
            match usize::try_from(ret) {
                Ok(0) => return Err(EIO),
                Ok(n) => done += n,
                // CAST: An errno.
                Err(_) => return Err(Error::from_errno(ret as c_int)),
            }
        }
        Ok(())
    }

    /// Sets the size.
    ///
    /// # Errors
    ///
    /// Those of `ftruncate()`.
    pub(super) fn resize(&self, size: u64) -> Result {
        // SAFETY: The file is open.
        //
        // CAST: A size of a file.
        let ret = unsafe { bindings::pinseal_file_truncate(self.file.as_ptr(), size as i64) };
        // CAST: 0 or an errno.
        to_result(ret as c_int)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    ///
    /// Those of `fsync()`.
    pub(super) fn sync(&self, data_only: bool) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe {
            bindings::vfs_fsync_range(self.file.as_ptr(), 0, i64::MAX, data_only.into())
        })
    }
}
