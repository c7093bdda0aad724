// SPDX-License-Identifier: MIT OR Apache-2.0

//! The extra references of a memory's pages, and what is left of them when the known holders' are
//! taken away.

use pinseal::{FolioFlags, Pins};
use std::ops::Range;

/// References that no holder explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unexplained {
    pub(crate) pages: Range<u64>,
    /// Of each page, or of the large folio.
    pub(crate) pins: u32,
    pub(crate) plain: u32,
    pub(crate) hint: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// As of a device: `FOLL_PIN`.
    Pin,
    Plain,
}

/// The first page of a folio, the number of its pages, and the references to it.
#[derive(Clone, Copy, Debug)]
struct Folio {
    index: u64,
    pages: u32,
    pins: u32,
    plain: u32,
    flags: FolioFlags,
}

/// Folios in ascending order.
#[derive(Clone, Debug)]
pub(super) struct References(Vec<Folio>);

impl From<&Pins> for References {
    fn from(pins: &Pins) -> Self {
        let folios = pins.folios.iter().map(|folio| Folio {
            index: folio.index,
            pages: folio.pages,
            pins: folio.pins,
            plain: folio.plain,
            flags: folio.flags,
        });
        Self(folios.collect())
    }
}

impl References {
    /// Takes away those of a holder: as many as pages, or one for all of them.
    pub(super) fn take(&mut self, kind: Reference, pages: &Range<u64>, one_for_all: bool) {
        for folio in &mut self.0 {
            let common = common(folio, pages);
            let taken = match one_for_all {
                _ if common == 0 => continue,
                true => 1,
                false => u32::try_from(common).unwrap_or(u32::MAX),
            };
            let left = match kind {
                Reference::Pin => &mut folio.pins,
                Reference::Plain => &mut folio.plain,
            };
            *left = left.saturating_sub(taken);
        }
    }

    /// The parts of a range whose pages have references of that kind.
    pub(super) fn within(&self, kind: Reference, pages: &Range<u64>) -> Vec<Range<u64>> {
        let parts = self
            .0
            .iter()
            .filter(|folio| count(folio, kind) > 0)
            .map(|folio| {
                let end = folio.index + u64::from(folio.pages);
                folio.index.max(pages.start)..end.min(pages.end)
            });
        join(parts.filter(|part| !part.is_empty()))
    }

    /// Whether any reference of that kind is left.
    pub(super) fn any(&self, kind: Reference) -> bool {
        self.0.iter().any(|folio| count(folio, kind) > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any(Reference::Pin) && !self.any(Reference::Plain)
    }

    /// Whether the pages are of large folios.
    pub(super) fn is_large(&self, pages: &Range<u64>) -> bool {
        self.0
            .iter()
            .any(|folio| folio.pages > 1 && common(folio, pages) > 0)
    }

    /// Those that are there in a later look as well: others have gone meanwhile.
    pub(super) fn still_in(mut self, later: &Self) -> Self {
        self.0.retain_mut(|folio| {
            let found = later
                .0
                .binary_search_by_key(&folio.index, |later| later.index);
            let Ok(found) = found else {
                return false;
            };
            let now = &later.0[found];
            folio.pins = folio.pins.min(now.pins);
            folio.plain = folio.plain.min(now.plain);
            folio.flags = now.flags;
            true
        });
        self
    }

    /// What is left, neighbours that are alike as one.
    pub(super) fn unexplained(&self) -> Vec<Unexplained> {
        let mut all: Vec<Unexplained> = Vec::new();
        for folio in self
            .0
            .iter()
            .filter(|folio| folio.pins > 0 || folio.plain > 0)
        {
            let this = Unexplained {
                pages: folio.index..folio.index + u64::from(folio.pages),
                pins: folio.pins,
                plain: folio.plain,
                hint: hint(folio),
            };
            match all.last_mut() {
                Some(last)
                    if last.pages.end == this.pages.start
                        && (last.pins, last.plain, last.hint)
                            == (this.pins, this.plain, this.hint) =>
                {
                    last.pages.end = this.pages.end;
                }
                _ => all.push(this),
            }
        }
        all
    }
}

fn count(folio: &Folio, kind: Reference) -> u32 {
    match kind {
        Reference::Pin => folio.pins,
        Reference::Plain => folio.plain,
    }
}

/// How many of the pages the folio has.
fn common(folio: &Folio, pages: &Range<u64>) -> u64 {
    let end = folio.index + u64::from(folio.pages);
    end.min(pages.end)
        .saturating_sub(folio.index.max(pages.start))
}

/// Joins neighbours of ascending ranges.
pub(super) fn join(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

fn hint(folio: &Folio) -> &'static str {
    let has = |flag| folio.flags.contains(flag);
    if folio.pins > 0 && has(FolioFlags::HANDLE) {
        "a pin handle that no process seen here has"
    } else if folio.pins > 0 {
        "direct I/O under way, or what stays: an io_uring's own ring memory, AF_XDP, RDMA, VFIO, a GPU"
    } else if has(FolioFlags::WRITEBACK) || has(FolioFlags::SWAPCACHE) {
        "on its way to or from swap: goes by itself"
    } else if has(FolioFlags::OFF_LRU) {
        "an LRU batch, or a task that moves the page: goes by itself"
    } else {
        "a read or write under way, a pipe or socket that no process has as a descriptor, or a packet"
    }
}

#[cfg(test)]
impl References {
    /// Of each folio: the first page, the number of pages, the pins, the plain references.
    pub(super) fn of(folios: &[(u64, u32, u32, u32)]) -> Self {
        let folios = folios.iter().map(|&(index, pages, pins, plain)| Folio {
            index,
            pages,
            pins,
            plain,
            flags: FolioFlags::empty(),
        });
        Self(folios.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_taken_away() {
        let mut left = References::of(&[(3, 1, 1, 0), (4, 1, 2, 0), (5, 1, 1, 1)]);
        left.take(Reference::Pin, &(3..6), false);
        let unexplained = left.unexplained();
        assert_eq!(unexplained.len(), 2);
        assert_eq!(
            (unexplained[0].pages.clone(), unexplained[0].pins),
            (4..5, 1)
        );
        assert_eq!(
            (unexplained[1].pages.clone(), unexplained[1].plain),
            (5..6, 1)
        );
        assert!(left.any(Reference::Pin));
        left.take(Reference::Pin, &(0..10), true);
        assert!(!left.any(Reference::Pin));
    }

    #[test]
    fn a_large_folio_has_one_for_many_pages() {
        let mut left = References::of(&[(512, 512, 2, 0)]);
        assert!(left.is_large(&(600..601)));
        left.take(Reference::Pin, &(600..700), true);
        assert_eq!(left.unexplained()[0].pins, 1);
    }

    #[test]
    fn what_has_gone_is_no_riddle() {
        let left = References::of(&[(1, 1, 0, 1), (2, 1, 0, 2)]);
        let left = left.still_in(&References::of(&[(2, 1, 0, 1)]));
        assert_eq!(left.unexplained().len(), 1);
        assert_eq!(left.unexplained()[0].plain, 1);
    }

    #[test]
    fn parts_with_references() {
        let left = References::of(&[(1, 1, 1, 0), (2, 1, 1, 0), (3, 1, 0, 1), (4, 1, 1, 0)]);
        assert_eq!(left.within(Reference::Pin, &(0..10)), [1..3, 4..5]);
        assert_eq!(left.within(Reference::Pin, &(2..5)), [2..3, 4..5]);
    }
}
