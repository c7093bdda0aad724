// SPDX-License-Identifier: GPL-2.0-only

//! Extension of the kernel crate: files. A staging module, until it can move there.
//!
//! | File            | Its one job                                                          |
//! |-----------------|----------------------------------------------------------------------|
//! | `shmem`         | shmem files, their inode lock, and their seals                       |
//! | `pinned`        | long-term pins of the pages of a shmem file                          |
//! | `memory_device` | misc devices whose files behave like memory                          |
//! | `device_file`   | open device files and their owners                                   |
//! | `mapping`       | mappings of a device file, which map its shmem file                  |
//! | `handle_file`   | anonymous files that refer to a Rust object                          |

pub(crate) mod device_file;
pub(crate) mod handle_file;
pub(crate) mod mapping;
pub(crate) mod memory_device;
pub(crate) mod pinned;
pub(crate) mod shmem;
