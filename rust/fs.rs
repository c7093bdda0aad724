// SPDX-License-Identifier: GPL-2.0-only

//! What pinseal needs of the VFS and the kernel crate does not have yet: a staging place until it
//! can move there.

pub(crate) mod device_file;
pub(crate) mod handle_file;
pub(crate) mod mapping;
pub(crate) mod memory_device;
pub(crate) mod pinned;
pub(crate) mod shmem;
