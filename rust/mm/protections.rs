// SPDX-License-Identifier: GPL-2.0-only

//! Protections of the pages of one mapping: a map of ranges, without kernel state.
//!
//! The pages are in chunks of 64. A run of whole chunks with one protection is one node of a tree, as
//! is a chunk whose pages differ. So a range costs one node however long it is, and pages that
//! alternate cost four bits each.
//!
//! A change has two steps. [`Protections::carve_all`] makes nodes that end where the change does, which
//! may fail, but changes no protection. [`Protections::fill_all`] changes them, and fails only if the
//! task is being killed. So several changes are made all or not at all. Those that follow each other in
//! a chunk share the way to its node.

use crate::{
    compat::eopnotsupp,
    sync::sleep::{
        check_killed,
        fatal_signal_pending, //
    }, //
};
use core::ops::{
    ControlFlow,
    Range,
    RangeInclusive, //
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    }, //
};

/// Number of pages of a chunk: one for each bit of a plane.
const CHUNK: usize = u64::BITS as usize;

/// Limit of nodes, some 100 bytes each.
const MAX_NODES: usize = 1 << 20;

/// Accesses to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageAccess(u8);

impl PageAccess {
    /// No access.
    pub(crate) const NONE: Self = Self(0);
    /// Loads.
    pub(crate) const READ: Self = Self(1);
    /// Stores.
    pub(crate) const WRITE: Self = Self(2);
    /// Execution.
    pub(crate) const EXEC: Self = Self(4);

    /// The accesses of both.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The accesses of both that are common.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it has all accesses of `other`.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a page may be accessed for: `None` for whatever the mapping allows.
pub(crate) type Protection = Option<PageAccess>;

impl PageAccess {
    /// The protection that gives a page this access, of a mapping that allows `allowed`.
    ///
    /// # Errors
    ///
    /// `EACCES` when the mapping does not allow it. `EOPNOTSUPP` when an executable mapping's page is to
    /// be accessible, but not executable or not readable: page table entries have these from the
    /// mapping.
    pub(crate) fn within(self, allowed: Self) -> Result<Protection> {
        let read_exec = Self::READ.with(Self::EXEC);
        // Page tables know no page that can be written to, but not read.
        let access = match self.contains(Self::WRITE) {
            true => self.with(Self::READ.and(allowed)),
            false => self,
        };
        if !allowed.contains(access) {
            return Err(EACCES);
        }
        if access != Self::NONE
            && allowed.contains(Self::EXEC)
            && access.and(read_exec) != allowed.and(read_exec)
        {
            return Err(eopnotsupp());
        }
        Ok((access != allowed).then_some(access))
    }
}

/// The bit of [`to_bits`] that is set where a page does not have the mapping's protection.
const RESTRICTED: u8 = 8;

/// Number of bits of [`to_bits`].
const PLANES: usize = 4;

fn to_bits(protection: Protection) -> u8 {
    protection.map_or(0, |access| RESTRICTED | access.0)
}

fn from_bits(bits: u8) -> Protection {
    (bits & RESTRICTED != 0).then_some(PageAccess(bits & !RESTRICTED))
}

/// Protections of the pages of a chunk: for each bit of a protection a plane, which has a bit for each
/// page.
#[derive(Clone, Copy)]
struct Chunk([u64; PLANES]);

impl Chunk {
    fn new(protection: Protection) -> Self {
        let mut chunk = Self([0; PLANES]);
        chunk.set(u64::MAX, protection);
        chunk
    }

    /// Sets the protection of the pages in `mask`.
    fn set(&mut self, mask: u64, protection: Protection) {
        for (i, plane) in self.0.iter_mut().enumerate() {
            let is_set = u64::from(to_bits(protection) >> i & 1);
            *plane = *plane & !mask | is_set.wrapping_neg() & mask;
        }
    }

    fn get(&self, page: usize) -> Protection {
        let bits = self.0.iter().rev();
        from_bits(bits.fold(0, |bits, plane| bits << 1 | (plane >> page & 1) as u8))
    }

    /// The pages whose protection differs from that of the page before. The page before the first has
    /// `before`.
    fn changes(&self, before: Protection) -> u64 {
        let before = to_bits(before);
        let differ = |(i, plane): (usize, &u64)| plane ^ (plane << 1 | u64::from(before >> i & 1));
        self.0.iter().enumerate().map(differ).fold(0, |a, b| a | b)
    }

    /// The pages that have other protections in `other`.
    fn differs(&self, other: &Self) -> u64 {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(a, b)| a ^ b).fold(0, |a, b| a | b)
    }

    /// The pages that do not have the mapping's protection.
    fn restricted(&self) -> u64 {
        self.0[RESTRICTED.ilog2() as usize]
    }

    /// The protection of all pages, if they have one.
    fn uniform(&self) -> Option<Protection> {
        let first = self.get(0);
        (self.changes(first) == 0).then_some(first)
    }
}

/// Protections of a run of chunks.
#[derive(Clone, Copy)]
enum Content {
    /// All pages have this one.
    Uniform(Protection),
    /// The run is one chunk, whose pages may differ.
    Pages(Chunk),
}

/// A node of the tree. Its key is the last chunk of the run.
#[derive(Clone, Copy)]
struct Run {
    /// The first chunk of the run.
    first: usize,
    content: Content,
}

/// The pages of `chunk` that are in `pages`.
fn mask(chunk: usize, pages: &Range<usize>) -> u64 {
    let from = pages.start.saturating_sub(chunk * CHUNK);
    let to = pages.end.saturating_sub(chunk * CHUNK).min(CHUNK);
    match to.checked_sub(from) {
        None | Some(0) => 0,
        Some(len) => u64::MAX >> (CHUNK - len) << from,
    }
}

/// The chunks all of whose pages are in `pages`.
fn whole_chunks(pages: &Range<usize>) -> Range<usize> {
    pages.start.div_ceil(CHUNK)..pages.end / CHUNK
}

/// The chunks some of whose pages, but not all, are in `pages`: two at most.
fn chunks_in_part(pages: &Range<usize>) -> impl Iterator<Item = usize> {
    let (first, last) = (pages.start / CHUNK, pages.end / CHUNK);
    let has_first = pages.start % CHUNK != 0 && !pages.is_empty();
    let has_last = pages.end % CHUNK != 0 && !pages.is_empty() && (last != first || !has_first);
    [(first, has_first), (last, has_last)]
        .into_iter()
        .filter_map(|(chunk, is_part)| is_part.then_some(chunk))
}

/// The chunk of which `pages` are a part, but not all, if they are of one.
fn chunk_of_part(pages: &Range<usize>) -> Option<usize> {
    let chunk = pages.start / CHUNK;
    (!pages.is_empty() && (pages.end - 1) / CHUNK == chunk && pages.len() < CHUNK).then_some(chunk)
}

/// The pages of a chunk that are `pages`, which are a part of it.
fn mask_of_part(pages: &Range<usize>) -> u64 {
    u64::MAX >> (CHUNK - pages.len()) << (pages.start % CHUNK)
}

/// Calls `visit` for ranges of pages, but once for those that follow each other and are a part of the
/// same chunk.
///
/// # Errors
///
/// Those of `visit`. `EINTR` for a fatal signal.
fn for_each_part(
    ranges: impl Iterator<Item = Range<usize>>,
    mut visit: impl FnMut(&Range<usize>) -> Result,
) -> Result {
    let mut last = None;
    for pages in ranges {
        let part = chunk_of_part(&pages);
        if part.is_some() && part == last {
            continue;
        }
        check_killed()?;
        visit(&pages)?;
        last = part;
    }
    Ok(())
}

/// The chunks of `pages`, which is not empty.
fn chunks_of(pages: &Range<usize>) -> RangeInclusive<usize> {
    pages.start / CHUNK..=(pages.end - 1) / CHUNK
}

/// Protections of pages. A page has the mapping's unless it was given another.
pub(crate) struct Protections {
    /// By their last chunk. Runs do not overlap. Chunks of no run have the mapping's protection.
    runs: RBTree<usize, Run>,
    nodes: usize,
    /// Number of ranges of pages with the same protection that is not the mapping's.
    ranges: usize,
}

impl Protections {
    /// Creates a map in which all pages have the mapping's protection.
    pub(crate) fn new() -> Self {
        Self {
            runs: RBTree::new(),
            nodes: 0,
            ranges: 0,
        }
    }

    /// Copies the map, as far as it has `pages`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. `EINTR` for a fatal signal.
    pub(crate) fn try_clone(&self, pages: Range<usize>) -> Result<Self> {
        let mut clone = Self::new();
        if pages.is_empty() {
            return Ok(clone);
        }
        let mut result = Ok(());
        self.for_each_run(chunks_of(&pages), |chunks, content| {
            if let Content::Uniform(None) = content {
                return ControlFlow::Continue(());
            }
            result = match fatal_signal_pending() {
                true => Err(EINTR),
                false => clone.insert(chunks, content),
            };
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        result?;
        clone.ranges = match self.runs.is_empty() {
            true => 0,
            false => clone.count_ranges(&(0..usize::MAX)),
        };
        let (first, last) = chunks_of(&pages).into_inner();
        for outside in [first * CHUNK..pages.start, pages.end..(last + 1) * CHUNK] {
            if !outside.is_empty() {
                clone.clear(&outside)?;
            }
        }
        Ok(clone)
    }

    /// Whether all pages have the mapping's protection.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges == 0
    }

    /// Number of ranges of pages with the same protection that is not the mapping's.
    pub(crate) fn ranges(&self) -> usize {
        self.ranges
    }

    /// The protection of a page.
    #[inline]
    pub(crate) fn get(&self, page: usize) -> Protection {
        let chunk = page / CHUNK;
        match self.run_at(chunk) {
            None => None,
            Some((_, run)) => match run.content {
                Content::Uniform(protection) => protection,
                Content::Pages(chunk) => chunk.get(page % CHUNK),
            },
        }
    }

    /// Makes nodes that end where ranges of pages do, for a call of [`Protections::fill_all`] with the
    /// same. It changes no protection.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also when there would be too many. `EINTR` for a fatal signal.
    pub(crate) fn carve_all(&mut self, ranges: impl Iterator<Item = Range<usize>>) -> Result {
        for_each_part(ranges, |pages| self.carve(pages))
    }

    fn carve(&mut self, pages: &Range<usize>) -> Result {
        if pages.is_empty() {
            return Ok(());
        }
        for chunk in chunks_in_part(pages) {
            self.isolate(chunk)?;
        }
        let whole = whole_chunks(pages);
        self.split_around(&whole)?;
        self.fill_gaps(whole)
    }

    /// Gives pages the mapping's protection.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. No protection has changed then.
    pub(crate) fn clear(&mut self, pages: &Range<usize>) -> Result {
        let carved = self.carve_runs(pages);
        if carved.is_ok() {
            self.fill(pages, None);
        }
        self.tidy(pages);
        carved
    }

    /// Does what [`Protections::carve`] does, where pages do not have the mapping's protection: enough to
    /// give them that.
    fn carve_runs(&mut self, pages: &Range<usize>) -> Result {
        for chunk in chunks_in_part(pages) {
            if self.run_at(chunk).is_some() {
                self.isolate(chunk)?;
            }
        }
        self.split_around(&whole_chunks(pages))
    }

    /// Has no run be in `chunks` in part only.
    fn split_around(&mut self, chunks: &Range<usize>) -> Result {
        if chunks.is_empty() {
            return Ok(());
        }
        self.split_before(chunks.start)?;
        self.split_before(chunks.end)
    }

    /// Gives ranges of pages other protections, the later of which win. [`Protections::carve_all`] was
    /// called for them before.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal, with some of them given.
    pub(crate) fn fill_all(
        &mut self,
        mut changes: impl Iterator<Item = (Range<usize>, Protection)>,
    ) -> Result {
        let mut next = changes.next();
        while let Some((pages, protection)) = next {
            check_killed()?;
            let Some((chunk, content)) = self.chunk_mut(&pages) else {
                self.fill(&pages, protection);
                next = changes.next();
                continue;
            };
            let old = *content;
            // Pages that get the same protection.
            let mut same = (mask_of_part(&pages), protection);
            next = loop {
                match changes.next() {
                    Some((pages, protection)) if chunk_of_part(&pages) == Some(chunk) => {
                        if protection != same.1 {
                            content.set(same.0, same.1);
                            same = (0, protection);
                        }
                        same.0 |= mask_of_part(&pages);
                    }
                    other => break other,
                }
            };
            content.set(same.0, same.1);
            let new = *content;
            let [before, after] = self.count_ranges_of(chunk, [&old, &new]);
            self.ranges = self.ranges + after - before;
        }
        Ok(())
    }

    /// The node of the chunk of which `pages` are a part, if it has one of its own.
    fn chunk_mut(&mut self, pages: &Range<usize>) -> Option<(usize, &mut Chunk)> {
        let chunk = chunk_of_part(pages)?;
        match &mut self.runs.get_mut(&chunk)?.content {
            Content::Pages(content) => Some((chunk, content)),
            Content::Uniform(_) => None,
        }
    }

    /// Number of ranges that begin in a chunk or with the page after it, with the one content and with the
    /// other. A range that begins with both may be missing in both numbers.
    fn count_ranges_of(&self, chunk: usize, contents: [&Chunk; 2]) -> [usize; 2] {
        let differ = contents[0].differs(contents[1]);
        let (first, last) = (chunk * CHUNK, chunk * CHUNK + (CHUNK - 1));
        // A page whose neighbour does not change is the first of a range before and after, or never.
        let neighbour = |page: Option<usize>, bit: usize| match differ >> bit & 1 {
            0 => None,
            _ => page.and_then(|page| self.get(page)),
        };
        let before = neighbour(first.checked_sub(1), 0);
        let after = neighbour(last.checked_add(1), CHUNK - 1);
        contents.map(|content| {
            let begin = content.changes(before) & content.restricted();
            let begins_after = after.is_some() && after != content.get(CHUNK - 1);
            begin.count_ones() as usize + usize::from(begins_after)
        })
    }

    /// Gives pages another protection.
    fn fill(&mut self, pages: &Range<usize>, protection: Protection) {
        if pages.is_empty() {
            return;
        }
        // The page after them may be the first of a range from now on, or no more.
        let affected = pages.start..pages.end.saturating_add(1);
        let before = self.count_ranges(&affected);
        let (first, last) = chunks_of(pages).into_inner();
        let mut cursor = self.runs.cursor_lower_bound_mut(&first);
        while let Some(mut at) = cursor {
            let (_, run) = at.current_mut();
            if run.first > last {
                break;
            }
            match &mut run.content {
                Content::Uniform(old) => *old = protection,
                Content::Pages(chunk) => chunk.set(mask(run.first, pages), protection),
            }
            cursor = at.move_next();
        }
        self.ranges = self.ranges + self.count_ranges(&affected) - before;
    }

    /// Drops nodes of ranges of pages that are not needed, or can be one with a neighbour.
    ///
    /// # Errors
    ///
    /// `EINTR` for a fatal signal, with some of them left.
    pub(crate) fn tidy_all(&mut self, ranges: impl Iterator<Item = Range<usize>>) -> Result {
        for_each_part(ranges, |pages| {
            self.tidy(pages);
            Ok(())
        })
    }

    fn tidy(&mut self, pages: &Range<usize>) {
        if pages.is_empty() {
            return;
        }
        let (first, last) = chunks_of(pages).into_inner();
        let mut next = first;
        while let Some((key, run)) = self.run_from(next) {
            if run.first > last {
                break;
            }
            next = key + 1;
            match run.content {
                Content::Uniform(protection) => self.simplify(key, run.first, protection),
                Content::Pages(chunk) => {
                    if let Some(protection) = chunk.uniform() {
                        self.simplify(key, run.first, protection);
                    }
                }
            }
        }
    }

    /// Drops the node of a run whose pages have one protection, or unites it with its neighbours.
    fn simplify(&mut self, last: usize, first: usize, protection: Protection) {
        if protection.is_none() {
            self.remove(last);
            return;
        }
        let is_same = |run: &Run| match run.content {
            Content::Uniform(other) => other == protection,
            Content::Pages(_) => false,
        };
        let (mut from, mut key) = (first, last);
        if let Some((before, run)) = first.checked_sub(1).and_then(|at| self.run_at(at)) {
            if is_same(&run) {
                self.remove(before);
                from = run.first;
            }
        }
        if let Some((after, run)) = self.run_at(last + 1) {
            if is_same(&run) {
                self.remove(last);
                key = after;
            }
        }
        if let Some(run) = self.runs.get_mut(&key) {
            *run = Run {
                first: from,
                content: Content::Uniform(protection),
            };
        }
    }

    /// Calls `visit` for each range of pages in `pages` with the same protection, in ascending order,
    /// until it breaks.
    pub(crate) fn for_each_piece(
        &self,
        pages: &Range<usize>,
        mut visit: impl FnMut(Range<usize>, Protection) -> ControlFlow<()>,
    ) {
        if pages.is_empty() {
            return;
        }
        // The range that goes on.
        let mut begun = pages.start;
        let mut protection = None;
        let mut change = |at: usize, new: Protection| {
            let at = at.clamp(pages.start, pages.end);
            let result = match at > begun {
                true => visit(begun..at, protection),
                false => ControlFlow::Continue(()),
            };
            (begun, protection) = (at, new);
            result
        };
        let mut last = None;
        let mut is_stopped = false;
        self.for_each_run(chunks_of(pages), |chunks, content| {
            let start = chunks.start() * CHUNK;
            let result = match content {
                Content::Uniform(new) if new == last => ControlFlow::Continue(()),
                Content::Uniform(new) => change(start, new),
                Content::Pages(chunk) => {
                    let mut changes = chunk.changes(last);
                    let mut result = ControlFlow::Continue(());
                    while changes != 0 && result.is_continue() {
                        let page = changes.trailing_zeros() as usize;
                        changes &= changes - 1;
                        result = change(start + page, chunk.get(page));
                    }
                    result
                }
            };
            last = last_of(content);
            is_stopped = result.is_break();
            result
        });
        if !is_stopped {
            // The range that goes on to the end.
            let _ = change(pages.end, None);
        }
    }

    /// Number of ranges that begin in `pages`, which are not empty.
    fn count_ranges(&self, pages: &Range<usize>) -> usize {
        let mut count = 0;
        let mut before = pages.start.checked_sub(1).and_then(|page| self.get(page));
        self.for_each_run(chunks_of(pages), |chunks, content| {
            count += match content {
                Content::Uniform(protection) => {
                    usize::from(protection.is_some() && protection != before)
                }
                Content::Pages(chunk) => {
                    let begin = chunk.changes(before) & chunk.restricted();
                    (begin & mask(*chunks.start(), pages)).count_ones() as usize
                }
            };
            before = last_of(content);
            ControlFlow::Continue(())
        });
        count
    }

    /// Calls `visit` for each run in `chunks`, and for the gaps between, in ascending order, until it
    /// breaks. Runs that extend beyond are cut.
    fn for_each_run(
        &self,
        chunks: RangeInclusive<usize>,
        mut visit: impl FnMut(RangeInclusive<usize>, Content) -> ControlFlow<()>,
    ) {
        let (mut next, last) = chunks.into_inner();
        while let Some((key, run)) = self.run_from(next) {
            if run.first > last {
                break;
            }
            if run.first > next && visit(next..=run.first - 1, Content::Uniform(None)).is_break() {
                return;
            }
            if visit(run.first.max(next)..=key.min(last), run.content).is_break() || key >= last {
                return;
            }
            next = key + 1;
        }
        let _ = visit(next..=last, Content::Uniform(None));
    }

    /// The run that has `chunk` or, if there is none, the next one, with its last chunk.
    #[inline]
    fn run_from(&self, chunk: usize) -> Option<(usize, Run)> {
        let cursor = self.runs.cursor_lower_bound(&chunk)?;
        let (&last, &run) = cursor.current();
        Some((last, run))
    }

    /// The run that has `chunk`, with its last chunk.
    #[inline]
    fn run_at(&self, chunk: usize) -> Option<(usize, Run)> {
        self.run_from(chunk).filter(|(_, run)| run.first <= chunk)
    }

    fn new_node(
        &self,
        chunks: RangeInclusive<usize>,
        content: Content,
    ) -> Result<RBTreeNode<usize, Run>> {
        if self.nodes >= MAX_NODES {
            return Err(ENOMEM);
        }
        let (first, last) = chunks.into_inner();
        RBTreeNode::new(last, Run { first, content }, GFP_KERNEL_ACCOUNT)
    }

    fn insert_node(&mut self, node: RBTreeNode<usize, Run>) {
        self.runs.insert(node);
        self.nodes += 1;
    }

    fn insert(&mut self, chunks: RangeInclusive<usize>, content: Content) -> Result {
        let node = self.new_node(chunks, content)?;
        self.insert_node(node);
        Ok(())
    }

    fn remove(&mut self, last: usize) {
        self.runs.remove(&last);
        self.nodes -= 1;
    }

    /// Makes `chunk` a run of its own whose pages may differ.
    fn isolate(&mut self, chunk: usize) -> Result {
        let Some((last, run)) = self.run_at(chunk) else {
            return self.insert(chunk..=chunk, Content::Pages(Chunk::new(None)));
        };
        let Content::Uniform(protection) = run.content else {
            return Ok(());
        };
        let pages = Content::Pages(Chunk::new(protection));
        let before = match run.first < chunk {
            true => Some(self.new_node(run.first..=chunk - 1, run.content)?),
            false => None,
        };
        let own = match chunk < last {
            true => Some(self.new_node(chunk..=chunk, pages)?),
            false => None,
        };
        if let Some(rest) = self.runs.get_mut(&last) {
            *rest = match own {
                Some(_) => Run {
                    first: chunk + 1,
                    content: run.content,
                },
                None => Run {
                    first: chunk,
                    content: pages,
                },
            };
        }
        [before, own]
            .into_iter()
            .flatten()
            .for_each(|node| self.insert_node(node));
        Ok(())
    }

    /// Splits the run that has `chunk` and the one before.
    fn split_before(&mut self, chunk: usize) -> Result {
        let Some((last, run)) = self.run_at(chunk).filter(|(_, run)| run.first < chunk) else {
            return Ok(());
        };
        self.insert(run.first..=chunk - 1, run.content)?;
        if let Some(rest) = self.runs.get_mut(&last) {
            rest.first = chunk;
        }
        Ok(())
    }

    /// Makes runs of those chunks that have none.
    fn fill_gaps(&mut self, chunks: Range<usize>) -> Result {
        let mut next = chunks.start;
        while next < chunks.end {
            let (first, last) = match self.run_from(next) {
                Some((last, run)) => (run.first.min(chunks.end), last),
                None => (chunks.end, chunks.end),
            };
            if first > next {
                self.insert(next..=first - 1, Content::Uniform(None))?;
            }
            next = last + 1;
        }
        Ok(())
    }
}

/// The protection of the last page.
fn last_of(content: Content) -> Protection {
    match content {
        Content::Uniform(protection) => protection,
        Content::Pages(chunk) => chunk.get(CHUNK - 1),
    }
}

#[kunit_tests(pinseal_protections)]
mod tests {
    use super::*;
    use core::array::from_fn;

    /// Number of pages of the model.
    const PAGES: usize = 8 * CHUNK;

    /// A map, and its model: a protection for each page.
    struct Modelled {
        map: Protections,
        model: [Protection; PAGES],
    }

    impl Modelled {
        fn new() -> Self {
            Self {
                map: Protections::new(),
                model: [None; PAGES],
            }
        }

        fn set(&mut self, pages: Range<usize>, protection: Protection) {
            self.set_all(&[(pages, protection)]);
        }

        fn set_all(&mut self, changes: &[(Range<usize>, Protection)]) {
            let ranges = || changes.iter().map(|(pages, _)| pages.clone());

            assert!(self.map.carve_all(ranges()).is_ok());
            self.check();
            assert!(self.map.fill_all(changes.iter().cloned()).is_ok());
            for (pages, protection) in changes {
                self.model[pages.clone()].fill(*protection);
            }
            self.check();
            assert!(self.map.tidy_all(ranges()).is_ok());
            self.check();
        }

        fn clear(&mut self, pages: Range<usize>) {
            assert!(self.map.carve_runs(&pages).is_ok());
            self.check();
            assert!(self.map.clear(&pages).is_ok());
            self.model[pages].fill(None);
            self.check();
        }

        /// The ranges of the model: where they begin and end, with what protection.
        fn ranges(&self, within: Range<usize>) -> impl Iterator<Item = (usize, usize, PageAccess)> {
            let model = self.model;
            let start = within.start;
            let begins = within.clone().filter(move |&page| {
                model[page].is_some() && (page == start || model[page - 1] != model[page])
            });
            begins.map(move |page| {
                let end = (page..within.end).find(|&other| model[other] != model[page]);
                (
                    page,
                    end.unwrap_or(within.end),
                    model[page].unwrap_or(PageAccess::NONE),
                )
            })
        }

        fn check_ranges(&self, within: Range<usize>) {
            let mut expected = self.ranges(within.clone());
            let mut next = within.start;
            self.map.for_each_piece(&within, |pages, protection| {
                assert!(pages.start == next);
                next = pages.end;
                if let Some(access) = protection {
                    assert!(expected.next() == Some((pages.start, pages.end, access)));
                }
                ControlFlow::Continue(())
            });
            assert!(expected.next().is_none());
            assert!(next == within.end.max(within.start));
        }

        fn check(&self) {
            assert!((0..PAGES).all(|page| self.map.get(page) == self.model[page]));
            assert!(self.map.ranges() == self.ranges(0..PAGES).count());
        }
    }

    /// Numbers that look random.
    struct Numbers(u32);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
            (self.0 >> 8) as usize % end
        }

        fn protection(&mut self) -> Protection {
            match self.below(4) {
                0 => None,
                1 => Some(PageAccess::NONE),
                2 => Some(PageAccess::READ),
                _ => Some(PageAccess::READ.with(PageAccess::WRITE)),
            }
        }

        /// Long and short ones, and ones that end where chunks do.
        fn pages(&mut self) -> Range<usize> {
            let start = self.below(PAGES);
            let len = match self.below(3) {
                0 => 1,
                1 => self.below(CHUNK),
                _ => self.below(PAGES),
            };
            let range = start..(start + len).min(PAGES);
            match self.below(3) {
                0 => range.start / CHUNK * CHUNK..range.end / CHUNK * CHUNK,
                _ => range,
            }
        }
    }

    #[test]
    fn an_access_must_be_within_the_mappings() {
        let (read, write, exec) = (PageAccess::READ, PageAccess::WRITE, PageAccess::EXEC);
        let read_write = read.with(write);
        let all = read_write.with(exec);

        assert!(read.within(read_write) == Ok(Some(read)));
        assert!(read_write.within(read_write) == Ok(None));
        assert!(write.within(read_write) == Ok(None));
        assert!(PageAccess::NONE.within(all) == Ok(Some(PageAccess::NONE)));
        assert!(read_write.within(read) == Err(EACCES));
        assert!(exec.within(read_write) == Err(EACCES));
        assert!(read.with(exec).within(all) == Ok(Some(read.with(exec))));
        assert!(read.within(all) == Err(eopnotsupp()));
        assert!(exec.within(all) == Err(eopnotsupp()));
        assert!(read_write.within(all) == Err(eopnotsupp()));
    }

    #[test]
    fn a_mask_has_the_pages_of_a_chunk() {
        assert!(mask(0, &(0..CHUNK)) == u64::MAX);
        assert!(mask(0, &(3..5)) == 0b11000);
        assert!(mask(1, &(0..CHUNK + 1)) == 1);
        assert!(mask(1, &(2 * CHUNK - 1..5 * CHUNK)) == 1 << (CHUNK - 1));
        assert!(mask(1, &(0..CHUNK)) == 0);
        assert!(mask(0, &(CHUNK..2 * CHUNK)) == 0);
    }

    #[test]
    fn it_agrees_with_a_model() {
        let mut numbers = Numbers(1);

        for _ in 0..8 {
            let mut modelled = Modelled::new();
            for _ in 0..40 {
                let (pages, protection) = (numbers.pages(), numbers.protection());
                modelled.set(pages, protection);
                modelled.clear(numbers.pages());
                modelled.check_ranges(numbers.pages());
            }
            modelled.set(0..PAGES, None);
            assert!(modelled.map.is_empty());
            assert!(modelled.map.nodes == 0);
        }
    }

    #[test]
    fn clearing_makes_no_node_for_pages_without_one() {
        let mut modelled = Modelled::new();
        modelled.set(3 * CHUNK..4 * CHUNK, Some(PageAccess::READ));
        let nodes = modelled.map.nodes;

        assert!(modelled.map.carve_runs(&(5..8 * CHUNK)).is_ok());
        assert!(modelled.map.nodes == nodes);
        modelled.clear(5..PAGES - 1);
        assert!(modelled.map.nodes == 0);
    }

    #[test]
    fn several_are_changed_in_order() {
        let mut numbers = Numbers(2);
        let mut modelled = Modelled::new();

        for _ in 0..40 {
            let changes: [_; 6] = from_fn(|_| (numbers.pages(), numbers.protection()));
            modelled.set_all(&changes);
        }
        modelled.set(0..PAGES, None);
        assert!(modelled.map.nodes == 0);
    }

    #[test]
    fn those_of_a_chunk_are_changed_in_order() {
        let mut numbers = Numbers(3);
        let mut modelled = Modelled::new();

        for _ in 0..40 {
            // Of two chunks and the first page of a third: some of one follow each other.
            let chunk = numbers.below(PAGES / CHUNK - 2);
            let changes: [_; 12] = from_fn(|_| {
                let start = chunk * CHUNK + numbers.below(2 * CHUNK);
                let len = 1 + numbers.below(3) * numbers.below(CHUNK / 2);
                (start..start + len, numbers.protection())
            });
            modelled.set_all(&changes);
        }
        modelled.set(0..PAGES, None);
        assert!(modelled.map.nodes == 0);
    }

    #[test]
    fn a_copy_has_the_pages_asked_for() {
        let mut modelled = Modelled::new();
        modelled.set(0..PAGES, Some(PageAccess::NONE));
        modelled.set(3 * CHUNK + 5..3 * CHUNK + 9, Some(PageAccess::READ));

        let clone = modelled.map.try_clone(3 * CHUNK..4 * CHUNK);
        assert!(clone.is_ok());
        let Ok(clone) = clone else { return };
        for page in 0..PAGES {
            let expected = match page / CHUNK {
                3 => modelled.model[page],
                _ => None,
            };
            assert!(clone.get(page) == expected);
        }
        assert!(clone.ranges() == 3);
    }

    #[test]
    fn neighbours_become_one_node() {
        let mut modelled = Modelled::new();
        for page in 0..PAGES {
            modelled.set(page..page + 1, Some(PageAccess::READ));
        }
        assert!(modelled.map.nodes == 1);
        assert!(modelled.map.ranges() == 1);
    }

    #[test]
    fn the_highest_page_fits() {
        let mut map = Protections::new();
        let pages = usize::MAX - 1..usize::MAX;

        assert!(map.carve_all([pages.clone()].into_iter()).is_ok());
        assert!(map
            .fill_all([(pages, Some(PageAccess::READ))].into_iter())
            .is_ok());
        assert!(map.get(usize::MAX - 1) == Some(PageAccess::READ));
        assert!(map.ranges() == 1);
    }
}
