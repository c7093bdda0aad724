// SPDX-License-Identifier: GPL-2.0-only

//! Protections of single pages of a mapping.

use crate::{
    fs::mapping::{
        Change,
        Changes,
        OwnMapping,
        OwnMappings, //
    },
    mm::protections::PageAccess,
    object::ObjectFile,
    sync::sleep::{
        check_killed,
        fatal_signal_pending, //
    }, //
};
use core::ops::{
    ControlFlow,
    Range, //
};
use kernel::{
    prelude::*,
    sync::ArcBorrow, //
};

/// Pages of a mapping that do not have its protection.
pub(crate) struct ProtectedRange {
    /// Their addresses.
    pub(crate) addresses: Range<usize>,
    /// The page that is shown at the first one.
    pub(crate) page: usize,
    /// Whether that is not the one at its place.
    pub(crate) is_remapped: bool,
    /// What they may be accessed for.
    pub(crate) access: PageAccess,
}

/// Gives pages of the caller's mappings of an object protections: all, or none of them.
///
/// Later changes win over earlier ones.
///
/// Context: the mmap lock is held for writing meanwhile.
///
/// # Errors
///
/// `ENOMEM` when no mapping of the object by its descriptors has some of the addresses, and for lack of
/// memory. `EACCES` when a mapping does not allow an access. `EINVAL` when it is private, `EPERM` when
/// it is sealed by `mseal()`, and when it is writable, would show other pages, and a seal forbids to map these
/// for writing. `EOPNOTSUPP` when it is mlocked or watched by userfaultfd, or when it is
/// executable, and the access is neither none nor with that. `EINTR` for a fatal signal. With a target
/// also those of [`OwnMapping::prepare`].
pub(crate) fn protect<T: ObjectFile>(owner: ArcBorrow<'_, T>, changes: &[Change]) -> Result {
    let current = current!();
    let changes = &Changes::new(changes);
    let mut mappings = OwnMappings::lock(current.mm().ok_or(ENOMEM)?, owner)?;

    // As `remap_file_pages()`. Writable mappings that exist keep their pages.
    let forbids_others = owner.object().seals().forbid_writable_mappings();
    mappings.for_all(changes, |mapping, changes| {
        check_killed()?;
        let shows_others = changes.iter().any(|change| change.target.is_some());
        if shows_others && forbids_others && mapping.may_be_writable() {
            return Err(EPERM);
        }
        mapping.check(changes)
    })?;
    let mut rooms = KVVec::new();
    let prepared = mappings.for_all(changes, |mapping, changes| {
        check_killed()?;
        mapping.prepare(changes, &mut rooms)
    });
    // From here on nothing fails, unless the task is killed: then some changes are made.
    let changed = prepared.and_then(|()| {
        mappings.for_all(changes, |mapping, changes| {
            check_killed()?;
            mapping.change(changes, &mut rooms)
        })
    });
    mappings.for_all(changes, |mapping, changes| {
        mapping.settle(changes);
        Ok(())
    })?;
    changed
}

/// Calls `visit` for each range of pages of a mapping that do not have its protection, or are shown
/// elsewhere than at their place, in ascending order, until it breaks.
fn for_each_range<T: ObjectFile>(
    mapping: &OwnMapping<'_, T>,
    addresses: &Range<usize>,
    mut visit: impl FnMut(ProtectedRange) -> ControlFlow<()>,
) {
    let Some(map) = mapping.map() else { return };
    let pages = mapping.pages(addresses);
    map.protections
        .for_each_piece(&pages, |mut pages, protection| {
            while !pages.is_empty() {
                let end = map.targets.end_of_run(pages.start, pages.end);
                let target = map.targets.get(pages.start);
                let is_remapped = target != pages.start;
                if protection.is_some() || is_remapped {
                    visit(ProtectedRange {
                        addresses: mapping.addresses(&(pages.start..end)),
                        page: target,
                        access: protection.unwrap_or(mapping.access()),
                        is_remapped,
                    })?;
                }
                pages.start = end;
            }
            ControlFlow::Continue(())
        });
}

/// Lists at most `max` ranges of pages that do not have the protection of the mapping or are shown
/// elsewhere, of the caller's mappings of an object, in ascending order.
///
/// # Errors
///
/// `ENOMEM`. `EINTR` for a fatal signal.
pub(crate) fn query<T: ObjectFile>(
    owner: ArcBorrow<'_, T>,
    addresses: Range<usize>,
    max: usize,
) -> Result<KVVec<ProtectedRange>> {
    let current = current!();
    let mut found = KVVec::with_capacity(max, GFP_KERNEL_ACCOUNT)?;
    let mut mappings = OwnMappings::lock(current.mm().ok_or(ENOMEM)?, owner)?;

    mappings.for_each(&addresses, |mapping, addresses| {
        // There is room for `max`.
        for_each_range(mapping, &addresses, |range| {
            match found.push_within_capacity(range) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
    })?;
    Ok(found)
}

/// Counts the ranges that [`query`] lists.
///
/// # Errors
///
/// `ENOMEM`. `EINTR` for a fatal signal.
pub(crate) fn count<T: ObjectFile>(
    owner: ArcBorrow<'_, T>,
    addresses: Range<usize>,
) -> Result<isize> {
    let current = current!();
    let mut count = 0;
    OwnMappings::lock(current.mm().ok_or(ENOMEM)?, owner)?.for_each(
        &addresses,
        |mapping, addresses| {
            for_each_range(mapping, &addresses, |_| {
                count += 1;
                match fatal_signal_pending() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        },
    )?;
    match fatal_signal_pending() {
        true => Err(EINTR),
        false => Ok(count),
    }
}
