// SPDX-License-Identifier: GPL-2.0-only

//! Mappings of memory files: of memfds, and of device files, which map their shmem file.
//!
//! Pages, faults, swap and huge pages of such a VMA are shmem's: its `vm_file` is a shmem file, and
//! its operations are a copy of shmem's, partly overridden.
//!
//! | File         | Its one job                                                        |
//! |--------------|--------------------------------------------------------------------|
//! | `new`        | VMAs that are being set up                                         |
//! | `operations` | the operations of VMAs                                             |
//! | `protected`  | those of VMAs whose pages have protections of their own            |
//! | `remapped`   | those of VMAs that show pages elsewhere than at their place        |
//! | `own`        | the caller's mappings, and how pages get protections               |
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

mod new;
mod operations;
mod own;
mod protected;
mod remapped;

pub(super) use self::new::NewMemfdVma;
pub(crate) use self::{
    new::{
        Mapped,
        NewDeviceVma, //
    },
    operations::ShmemVmOps,
    own::{
        Change,
        Changes,
        OwnMapping,
        OwnMappings, //
    },
};

use crate::mm::remapped_pages::RemappedPages;
use kernel::mm::virt::{
    flags,
    vm_flags_t, //
};

/// Whether a VMA is shared, and is or may become writable. Constant for the life of a VMA.
///
/// C: `is_shared_maywrite()` in [`include/linux/mm.h`](srctree/include/linux/mm.h), by which the
/// core counts `i_mmap_writable`.
fn is_shared_maywrite(vma_flags: vm_flags_t) -> bool {
    vma_flags & (flags::SHARED | flags::MAYWRITE) == flags::SHARED | flags::MAYWRITE
}

/// The owner of files that can be mapped.
pub(crate) trait MappingOwner: Sized + Send + Sync + 'static {
    /// Returns the VMA operations of mappings of this type.
    fn vm_ops() -> &'static ShmemVmOps<Self>;

    /// Whether mappings must not become executable any more.
    fn forbids_executable(&self) -> bool;

    /// Whether new shared writable mappings are to be refused.
    fn blocks_mappings(&self) -> bool;

    /// Called when a shared writable mapping is gone, and not counted any more.
    ///
    /// Context: the mmap lock is held for writing, or the address space has no other user.
    fn notify_unmap(&self);

    /// Whether faults should call [`MappingOwner::wait_read_unblocked`].
    ///
    /// Context: must not sleep.
    fn blocks_reads(&self) -> bool;

    /// Called before a fault takes references.
    ///
    /// Context: may sleep, but briefly: the mmap lock is held.
    fn wait_read_unblocked(&self);

    /// The pages that mappings show elsewhere than at their place.
    fn remapped_pages(&self) -> &RemappedPages;

    /// Called when ranges of pages of a mapping got protections of their own, or are shown elsewhere, or
    /// no longer: with by how much their numbers change.
    fn count_ranges(&self, protected: isize, remapped: isize);
}
