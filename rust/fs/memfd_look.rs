// SPDX-License-Identifier: GPL-2.0-only

//! Memfds and tmpfs files of others, to be looked at and not to be used.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    fs::{
        memfd_file::{
            reopen_file,
            MemfdFile, //
        },
        memfd_inode::MemfdInode, //
    }, //
};
use kernel::{
    fs::{
        file::flags::{
            O_ACCMODE,
            O_PATH,
            O_RDONLY,
            O_RDWR, //
        },
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// A file that is open by its path alone (`O_PATH`), for its inode to be looked at.
///
/// It counts neither as reader nor as writer of the inode: the file can be executed and leased.
///
/// # Invariants
///
/// Its inode is that of a regular file of shmem or hugetlbfs.
pub(crate) struct MemfdLook(ARef<File>);

impl MemfdLook {
    /// Opens the path of `file`.
    ///
    /// # Errors
    ///
    /// `EINVAL` when `file` is no regular file of shmem or hugetlbfs, `EPERM` when it is not open for
    /// reading. `ENFILE`, `ENOMEM`.
    pub(crate) fn new(file: &LocalFile) -> Result<Self> {
        let memfd = MemfdFile::try_from(file).ok_or(EINVAL)?;
        // The fourth mode is for ioctl() alone.
        if !matches!(file.flags() & O_ACCMODE, O_RDONLY | O_RDWR) {
            return Err(EPERM);
        }
        // SAFETY: The file is open.
        let path = unsafe { reopen_file(memfd.as_ptr(), O_PATH) }?;
        // INVARIANT: It has the inode of `memfd`.
        Ok(Self(path.share()))
    }

    /// The inode.
    pub(crate) fn inode(&self) -> &MemfdInode {
        // SAFETY: By the type invariants. The file keeps its inode alive, which never changes.
        unsafe { MemfdInode::from_raw((*self.0.as_ptr()).f_inode) }
    }
}
