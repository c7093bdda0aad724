// SPDX-License-Identifier: GPL-2.0-only

//! The mappings of a memory file's owner in the caller's address space, and the protections of their
//! pages.

use super::{
    is_shared_maywrite,
    operations::{
        owner_of_file,
        pages_of,
        Kind,
        State,
        Tables, //
    },
    protected::{
        pages_at,
        PageMap,
        ProtectedMapping, //
    }, //
};
use crate::{
    bindings,
    compat::eopnotsupp,
    fs::memory_file::MemoryOwner,
    mm::{
        hidden_vma,
        locked_mm::{
            is_shared,
            WriteLockedMm, //
        },
        protections::PageAccess,
        targets::TargetsRoom, //
    },
    sync::sleep::fatal_signal_pending, //
};
use core::{
    marker::PhantomData,
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    fs::File,
    mm::{
        virt::{
            flags,
            VmaRef, //
        },
        MmWithUser, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        ArcBorrow, //
    }, //
};

/// A change of pages of a mapping.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// Address of the first page.
    pub(crate) start: usize,
    /// Address after the last page.
    pub(crate) end: usize,
    /// What they may be accessed for.
    pub(crate) access: PageAccess,
    /// The page of the object that is shown at the first one, with those behind it. `None` for those
    /// that are shown by now.
    pub(crate) target: Option<usize>,
}

impl Change {
    fn addresses(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Takes the part before address `end`.
    fn take(&mut self, end: usize) -> Self {
        let mut part = *self;
        part.end = self.end.min(end);
        self.start = part.end;
        let pages = (part.end - part.start) >> PAGE_SHIFT;
        self.target = self.target.map(|target| target + pages);
        part
    }
}

/// Changes of pages, the later of which win.
pub(crate) struct Changes<'a> {
    all: &'a [Change],
    /// The least range of addresses that has all of theirs.
    hull: Range<usize>,
}

impl<'a> Changes<'a> {
    /// Takes changes, none of which is empty.
    pub(crate) fn new(all: &'a [Change]) -> Self {
        let first = all.first().map_or(0..0, Change::addresses);
        let hull = all.iter().fold(first, |hull, change| {
            hull.start.min(change.start)..hull.end.max(change.end)
        });
        Self { all, hull }
    }
}

/// How often mappings are visited for the changes of one call.
const MAX_VISITS: usize = 1 << 18;

/// How often a call searches for the end of a hole.
const MAX_SEARCHES: u32 = 16;

/// The mappings of an owner in an address space, locked for writing.
pub(crate) struct OwnMappings<'a, T> {
    mm: WriteLockedMm<'a>,
    owner: ArcBorrow<'a, T>,
    /// Addresses of the last mapping that was visited, and its VMA: the next range likely has the same.
    last: Option<(Range<usize>, NonNull<bindings::vm_area_struct>)>,
}

impl<'a, T: MemoryOwner> OwnMappings<'a, T> {
    /// Locks the mappings of `owner` in `mm`.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal.
    pub(crate) fn lock(mm: &'a MmWithUser, owner: ArcBorrow<'a, T>) -> Result<Self> {
        Ok(Self {
            mm: WriteLockedMm::lock(mm)?,
            owner,
            last: None,
        })
    }

    /// Calls `visit` for each mapping that `changes` concern, with those that follow each other in it,
    /// in the order of `changes`, until one fails. A change of several mappings is split.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when no mapping of the owner has some of the addresses, or there are too many visits: each
    /// change may concern each mapping. Those of `visit`.
    pub(crate) fn for_all(
        &mut self,
        changes: &Changes<'_>,
        mut visit: impl FnMut(&mut OwnMapping<'_, T>, &[Change]) -> Result,
    ) -> Result {
        let mut left = MAX_VISITS;
        let mut visit = |mapping: &mut OwnMapping<'_, T>, changes: &[Change]| {
            left = left.checked_sub(1).ok_or(ENOMEM)?;
            visit(mapping, changes)
        };
        let mut rest = changes.all;
        while let Some(first) = rest.first() {
            let mut mapping = self.at(first.start).ok_or(ENOMEM)?;
            if mapping.has_all(&changes.hull) {
                return visit(&mut mapping, rest);
            }
            let is_within = |change: &&Change| mapping.has_all(&change.addresses());
            let within = rest.iter().take_while(is_within).count();
            if within != 0 {
                visit(&mut mapping, &rest[..within])?;
                rest = &rest[within..];
                continue;
            }
            let mut left = *first;
            while left.start < left.end {
                let mut mapping = self.at(left.start).ok_or(ENOMEM)?;
                let part = left.take(mapping.vma.end());
                visit(&mut mapping, &[part])?;
            }
            rest = &rest[1..];
        }
        Ok(())
    }

    /// Calls `visit` for each mapping that has some of `addresses`, with those that it has.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal.
    pub(crate) fn for_each(
        &mut self,
        addresses: &Range<usize>,
        mut visit: impl FnMut(&OwnMapping<'_, T>, Range<usize>),
    ) -> Result {
        let mut next = addresses.start;
        while next < addresses.end {
            let Some(vma) = self.mm.vma_from(next) else {
                break;
            };
            if vma.start() >= addresses.end {
                break;
            }
            if let Some(mapping) = self.own(vma) {
                mapping.finish_reset()?;
                let within = vma.start().max(next)..vma.end().min(addresses.end);
                visit(&mapping, within);
            }
            next = vma.end();
        }
        Ok(())
    }

    /// Returns the owner's mapping at an address.
    fn at(&mut self, address: usize) -> Option<OwnMapping<'_, T>> {
        if let Some((addresses, vma)) = &self.last {
            if addresses.contains(&address) {
                // SAFETY: The mmap lock has been held since it was found.
                let vma = unsafe { VmaRef::from_raw(vma.as_ptr()) };
                let (tables, state) = T::vm_ops().of(vma)?;
                // INVARIANT: `of` has looked at the operations. The lock is held.
                return Some(OwnMapping {
                    vma,
                    tables,
                    state,
                    _owner: PhantomData,
                });
            }
        }
        let vma = self.mm.vma(address)?;
        let mapping = self.own(vma)?;
        self.last = Some((vma.start()..vma.end(), NonNull::new(vma.as_ptr())?));
        Some(mapping)
    }

    /// Returns `vma` as a mapping of the owner, if it is one.
    fn own<'m>(&self, vma: &'m VmaRef) -> Option<OwnMapping<'m, T>> {
        let (tables, state) = T::vm_ops().of(vma)?;
        let mapping = OwnMapping {
            vma,
            tables,
            state,
            _owner: PhantomData,
        };
        ptr::eq(&*mapping.owner(), &*self.owner).then_some(mapping)
    }
}

/// A mapping of an owner of type `T`, locked for writing.
///
/// # Invariants
///
/// The operations of `vma` are those of `tables` that `state` says. The mmap lock is held for writing.
pub(crate) struct OwnMapping<'a, T> {
    vma: &'a VmaRef,
    tables: &'static Tables,
    state: State,
    _owner: PhantomData<fn() -> T>,
}

impl<T: MemoryOwner> OwnMapping<'_, T> {
    /// The accesses that the mapping allows.
    pub(crate) fn access(&self) -> PageAccess {
        let vma_flags = self.vma.flags();
        [
            (flags::READ, PageAccess::READ),
            (flags::WRITE, PageAccess::WRITE),
            (flags::EXEC, PageAccess::EXEC),
        ]
        .into_iter()
        .filter(|(flag, _)| vma_flags & flag != 0)
        .fold(PageAccess::NONE, |all, (_, access)| all.with(access))
    }

    /// Whether the mapping is shared, and writable or may become so.
    pub(crate) fn may_be_writable(&self) -> bool {
        is_shared_maywrite(self.vma.flags())
    }

    /// Checks whether pages of the mapping can have protections of their own.
    fn check_protectable(&self) -> Result {
        if !is_shared(self.vma) {
            return Err(EINVAL);
        }
        let vma = self.vma.as_ptr();
        // SAFETY: The VMA is valid and locked.
        unsafe {
            if bindings::pinseal_vma_is_mseal_sealed(vma) {
                return Err(EPERM);
            }
            if bindings::pinseal_vma_is_mlocked(vma) || bindings::pinseal_userfaultfd_armed(vma) {
                return Err(eopnotsupp());
            }
        }
        Ok(())
    }

    /// The pages that the mapping shows at some of its addresses.
    pub(crate) fn pages(&self, addresses: &Range<usize>) -> Range<usize> {
        pages_at(self.vma, addresses)
    }

    /// The addresses of some of the mapping's pages.
    pub(crate) fn addresses(&self, pages: &Range<usize>) -> Range<usize> {
        let first = self.pages(&(self.vma.start()..self.vma.end())).start;
        let address_of = |page: usize| self.vma.start() + ((page - first) << PAGE_SHIFT);
        address_of(pages.start)..address_of(pages.end)
    }

    /// What the mapping knows of its pages, if it has to know something.
    pub(crate) fn map(&self) -> Option<&PageMap> {
        match self.state {
            State::Plain => None,
            // SAFETY: By the type invariants.
            _ => Some(unsafe { ProtectedMapping::<T>::of(self.vma.as_ptr()) }.pages()),
        }
    }

    /// Brings the map up to date with an `mprotect()`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal.
    fn finish_reset(&self) -> Result {
        if !self.map().is_some_and(PageMap::has_reset) {
            return Ok(());
        }
        let vma = self.vma.as_ptr();
        // SAFETY: By the type invariants, the mmap lock is held for writing. With a map, the VMA has such
        // private data.
        unsafe {
            bindings::pinseal_vma_start_write(vma);
            ProtectedMapping::<T>::make_unshared(vma)?;
            ProtectedMapping::<T>::of(vma).change(|map| map.finish_reset(self.vma.flags()))
        }
    }

    /// Whether the mapping has all addresses of a range.
    fn has_all(&self, addresses: &Range<usize>) -> bool {
        self.vma.start() <= addresses.start && addresses.end <= self.vma.end()
    }

    /// Checks changes.
    ///
    /// # Errors
    ///
    /// Those of [`PageAccess::within`]. `EINVAL` when the mapping is private, `EPERM` when it is sealed by
    /// `mseal()`. `EOPNOTSUPP` when it is mlocked, because the core does not support that for mappings
    /// that are not merged, and when userfaultfd watches it.
    pub(crate) fn check(&self, changes: &[Change]) -> Result {
        self.check_protectable()?;
        let allowed = self.access();
        changes
            .iter()
            .try_for_each(|change| change.access.within(allowed).map(|_| ()))
    }

    /// Makes room for changes, which [`OwnMapping::check`] has found right, in the mapping and in
    /// `rooms`. No page changes. If none is to be changed, [`OwnMapping::settle`] is to be called.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal. For pages that are to be shown elsewhere: `EOPNOTSUPP` when
    /// the mapping is one of a memfd, which others may truncate; `EBUSY` when the object has given others
    /// access by which they may; `ENOMEM` for `RLIMIT_MEMLOCK`.
    pub(crate) fn prepare(&mut self, changes: &[Change], rooms: &mut KVVec<TargetsRoom>) -> Result {
        let vma = self.vma.as_ptr();
        // SAFETY: By the type invariants, the mmap lock is held for writing.
        unsafe { bindings::pinseal_vma_start_write(vma) };
        if self.state == State::Plain {
            self.make_protected()?;
        }
        let pages_of_change = |change: &Change| self.pages(&change.addresses());
        // SAFETY: By the type invariants and `make_protected`; the VMA was locked above.
        unsafe {
            ProtectedMapping::<T>::make_unshared(vma)?;
            ProtectedMapping::<T>::of(vma).change(|map| {
                map.finish_reset(self.vma.flags())?;
                map.protections
                    .carve_all(changes.iter().map(pages_of_change))
            })?;
        }
        let remaps = changes.iter().filter(|change| change.target.is_some());
        for _ in remaps.clone() {
            if self.state != State::Remapped {
                self.make_remapped()?;
            }
            rooms.push(TargetsRoom::new()?, GFP_KERNEL_ACCOUNT)?;
        }
        self.map()
            .map_or(Ok(()), |map| map.targets.check_room(remaps.count()))
    }

    /// Makes changes. [`OwnMapping::prepare`] was called with the same, under the same lock.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal, with some of them made: each may take as long as the map is large.
    pub(crate) fn change(&mut self, changes: &[Change], rooms: &mut KVVec<TargetsRoom>) -> Result {
        let allowed = self.access();
        // SAFETY: `prepare` has locked the VMA, and given it private data of its own.
        let result = unsafe {
            ProtectedMapping::<T>::of(self.vma.as_ptr()).change(|map| {
                for changes in changes.chunk_by(|one, next| one.target.or(next.target).is_none()) {
                    let protections = changes.iter().filter_map(|change| {
                        let protection = change.access.within(allowed).ok()?;
                        Some((self.pages(&change.addresses()), protection))
                    });
                    map.protections.fill_all(protections)?;
                    for change in changes {
                        let Some(target) = change.target else { break };
                        // There is one for each of these.
                        if let Some(room) = rooms.pop() {
                            map.targets
                                .set(&self.pages(&change.addresses()), target, room);
                        }
                    }
                }
                Ok(())
            })
        };
        // Also what was changed before a signal.
        self.zap(changes, allowed);
        result
    }

    /// Removes pages from the page table, so that their next access asks the map. What is wider than
    /// before is noticed at the next fault, where the page is one of the file.
    fn zap(&self, changes: &[Change], allowed: PageAccess) {
        // SAFETY: By the type invariants.
        let file = unsafe { pages_of(self.vma.as_ptr()) };
        let end = changes.iter().map(|change| change.end).max().unwrap_or(0);
        let end = self.pages(&(end..end)).end;
        // Pages that are not in the page cache, and so not mapped at their place.
        let mut holes = 0..0;
        let mut searches = MAX_SEARCHES;
        for change in changes {
            let addresses = change.addresses();
            let pages = self.pages(&addresses);
            if self.state != State::Remapped
                && (change.access.contains(allowed)
                    || holes.start <= pages.start && pages.end <= holes.end)
            {
                continue;
            }
            if fatal_signal_pending() {
                // In one go.
                return self.zap_all();
            }
            if self.state != State::Remapped {
                // No page is looked for twice, whatever the order of the changes is.
                let known = match pages.start < holes.start {
                    true => holes.start,
                    false => end,
                };
                // Changes may alternate between two holes.
                let next = match searches {
                    0 => pages.end,
                    _ => file.next_page(pages.start..known, true).unwrap_or(known),
                };
                searches = searches.saturating_sub(1);
                // Reclaim may have removed a page from the page table and the page cache, but not yet
                // from all TLBs. To zap where nothing is mapped waits for that.
                let hole = self.addresses(&(pages.start..next.max(pages.end)));
                self.vma.zap_vma_range(hole.start, hole.len());
                holes = pages.start..match next == holes.start {
                    true => holes.end,
                    false => next,
                };
                continue;
            }
            self.vma.zap_vma_range(addresses.start, addresses.len());
        }
    }

    /// Drops what is not needed for the protections of changed pages or, if no page has one, of the
    /// mapping.
    pub(crate) fn settle(&mut self, changes: &[Change]) {
        if self.state == State::Plain {
            return;
        }
        let vma = self.vma.as_ptr();
        // SAFETY: By the type invariants, the mmap lock is held for writing.
        unsafe { bindings::pinseal_vma_start_write(vma) };
        let pages_of_change = |change: &Change| self.pages(&change.addresses());
        // SAFETY: By the type invariants; the VMA was locked above.
        unsafe {
            let mapping = ProtectedMapping::<T>::of(vma);
            if !mapping.is_shared() {
                mapping.change(|map| {
                    // A task that is being killed needs no small map.
                    let _ = map
                        .protections
                        .tidy_all(changes.iter().map(pages_of_change));
                });
            }
            if self.state == State::Remapped && mapping.pages().targets.is_empty() {
                self.make_unremapped();
            }
            if self.state == State::Protected && mapping.pages().is_empty() {
                self.make_plain();
            }
        }
    }

    /// The memory file by which the mapping was made.
    fn file(&self) -> &File {
        let vma = self.vma.as_ptr();
        // SAFETY: By the type invariants. The private data of a plain mapping is the file. Neither is
        // being read at a locked position: it is not used for reading at all.
        unsafe {
            match self.state {
                State::Plain => File::from_raw_file((*vma).vm_private_data.cast()),
                _ => ProtectedMapping::<T>::of(vma).file(),
            }
        }
    }

    fn owner(&self) -> ArcBorrow<'_, T> {
        // SAFETY: It is a memory file of an owner of type `T`, which the VMA keeps open.
        unsafe { owner_of_file(self.file().as_ptr()) }
    }

    /// Gives the VMA, which is locked for writing, the protected operations.
    ///
    /// It becomes special, `VM_DONTEXPAND`, so that it is neither merged with a VMA that has other
    /// protections, nor extended to pages of which its map may still have some.
    fn make_protected(&mut self) -> Result {
        let vma = self.vma.as_ptr();
        let file = ARef::<File>::from(self.file());
        // SAFETY: It is a memory file of an owner of type `T`.
        let mapping = unsafe { ProtectedMapping::<T>::new(file) }?;
        // SAFETY: By the type invariants; the VMA is locked for writing. A VMA of a device file has a
        // reference to it, which it does not use any more.
        unsafe {
            let old = (*vma).vm_private_data.cast();
            mapping.install(vma);
            (*vma).vm_ops = &raw const self.tables.protected.ops;
            bindings::pinseal_vma_mod_flags(vma, flags::DONTEXPAND, 0);
            // As the core does for VMAs with `page_mkwrite`: entries are write-protected at first.
            let vma_flags = self.vma.flags() & !flags::SHARED;
            bindings::pinseal_vma_set_page_prot(vma, vma_flags);
            if self.tables.kind == Kind::Device {
                bindings::fput(old);
            }
        }
        self.state = State::Protected;
        Ok(())
    }

    /// Gives the VMA, which is locked for writing and protected, the operations that show pages
    /// elsewhere. What is mapped by now is mapped as pages of the file, and goes.
    fn make_remapped(&mut self) -> Result {
        let vma = self.vma.as_ptr();
        let remapped = self.tables.remapped.as_ref().ok_or(eopnotsupp())?;
        self.owner().remapped_pages().add_mapping()?;
        self.zap_all();
        // SAFETY: By the type invariants; the VMA is locked for writing, and maps nothing. It is not hidden
        // in another state.
        unsafe {
            hidden_vma::hide(vma, pages_of(vma));
            (*vma).vm_ops = &raw const remapped.ops;
            bindings::pinseal_vma_mod_flags(vma, flags::PFNMAP, 0);
        }
        self.state = State::Remapped;
        Ok(())
    }

    /// Undoes [`OwnMapping::make_remapped`].
    ///
    /// # Safety
    ///
    /// The state must be [`State::Remapped`], and the VMA locked for writing.
    unsafe fn make_unremapped(&mut self) {
        let vma = self.vma.as_ptr();
        self.zap_all();
        // SAFETY: By the safety requirements and the type invariants; the VMA maps nothing. It is hidden in
        // this state.
        unsafe {
            hidden_vma::unhide(vma, pages_of(vma));
            (*vma).vm_ops = &raw const self.tables.protected.ops;
            bindings::pinseal_vma_mod_flags(vma, 0, flags::PFNMAP);
        }
        self.owner().remapped_pages().remove_mapping();
        self.state = State::Protected;
    }

    fn zap_all(&self) {
        let addresses = self.vma.start()..self.vma.end();
        self.vma.zap_vma_range(addresses.start, addresses.len());
    }

    /// Gives the VMA, which is locked for writing and has no protections, the plain operations.
    ///
    /// # Safety
    ///
    /// The state must be [`State::Protected`].
    unsafe fn make_plain(&mut self) {
        let vma = self.vma.as_ptr();
        // SAFETY: By the safety requirements and the type invariants.
        unsafe {
            let mapping = ProtectedMapping::<T>::take(vma);
            if self.tables.kind == Kind::Device {
                bindings::get_file(mapping.file().as_ptr());
            }
            (*vma).vm_private_data = mapping.file().as_ptr().cast();
            (*vma).vm_ops = &raw const self.tables.plain.ops;
            // The VMA of a stacked file is special as well, and wants to know of stores.
            if self.tables.plain.ops.page_mkwrite.is_none() {
                bindings::pinseal_vma_mod_flags(vma, 0, flags::DONTEXPAND);
                // Unless user space wants to know of stores, they need no fault any more.
                if bindings::pinseal_vma_is_soft_dirty(vma) {
                    bindings::pinseal_vma_set_page_prot(vma, self.vma.flags());
                }
            }
        }
        self.state = State::Plain;
    }
}
