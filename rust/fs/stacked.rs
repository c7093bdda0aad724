// SPDX-License-Identifier: GPL-2.0-only

//! Shmem files that are stacked on a lower file: their pages come from it at first touch, and what
//! changed is written to it by `fsync()` and `msync()`.
//!
//! Such a file has operations of its own, and so have its VMAs. They ask for pages, or note what
//! changes, and leave the rest to shmem. An opener of the inode (root, by `map_files`) goes past them.
//!
//! | File         | Its one job                                                        |
//! |--------------|--------------------------------------------------------------------|
//! | `lower_file` | the lower file: what can be one; reading and writing it            |
//! | `stop_on`    | what ends filling and syncing early                                |
//! | `stack`      | the notes: which pages are gone, and dirty                     |
//! | `fill`       | gets pages from below                                              |
//! | `sync`       | writes what changed to the lower file                              |
//! | `removal`    | truncates, and punches holes                                       |
//! | `operations` | the operations of stacked files                                    |
//! | `vm_ops`     | the operations of their VMAs                                       |
//!
//! # Lock order
//!
//! 1. the mmap lock or a VMA's; the inode lock of the stacked file
//! 2. `Stack::written`
//! 3. a folio lock of the stacked file
//! 4. the inode lock of the lower file (`written` only); its invalidate lock and folio locks
//!
//! and as leaves `Stack::gone`, `Stack::dirty`, `Stack::announced`. Reclaim of the stacked file's pages is
//! shmem's, and takes none of these. A lower file was there before the file that is stacked on it, so a
//! stack has an end.

mod fill;
mod lower_file;
mod operations;
mod removal;
mod stack;
mod stop_on;
mod sync;
mod vm_ops;

pub(in crate::fs) use self::operations::{
    make_stacked,
    stack_of, //
};
pub(crate) use self::{
    lower_file::LowerFile,
    stack::{
        AttachFlags,
        Stack, //
    },
    stop_on::StopOn, //
};
