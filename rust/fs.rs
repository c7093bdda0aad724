// SPDX-License-Identifier: GPL-2.0-only

//! Extension of the kernel crate: files. A staging module, until it can move there.
//!
//! | File            | Its one job                                                          |
//! |-----------------|----------------------------------------------------------------------|
//! | `memfd_inode`   | inodes of shmem files: page cache, seals, the inode lock              |
//! | `memfd_file`    | shmem files                                                          |
//! | `memfd_look`    | shmem files that are looked at, not used                             |
//! | `set_size`      | sets a file's size with its inode locked                             |
//! | `stacked`       | shmem files that are stacked on a lower file                         |
//! | `pinned`        | long-term pins of the pages of a shmem file                          |
//! | `memory_file`   | open files that behave like memory, and their owners                 |
//! | `memory_device` | misc devices with such files, which forward to a shmem file          |
//! | `memfd`         | such files that are shmem files themselves                           |
//! | `mapping`       | mappings of such files, with shmem's operations and some of ours     |
//! | `handle_file`   | anonymous files that refer to a Rust object                          |

pub(crate) mod handle_file;
pub(crate) mod mapping;
pub(crate) mod memfd;
pub(crate) mod memfd_file;
pub(crate) mod memfd_inode;
pub(crate) mod memfd_look;
pub(crate) mod memory_device;
pub(crate) mod memory_file;
pub(crate) mod pinned;
mod set_size;
pub(crate) mod stacked;
