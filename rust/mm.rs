// SPDX-License-Identifier: GPL-2.0-only

//! Extension of the kernel crate: memory management. A staging module, until it can move there.
//!
//! One C struct may have several Rust types. The name of the type tells which access it gives.
//!
//! | File            | Its one job                                                          |
//! |-----------------|----------------------------------------------------------------------|
//! | `address_space` | the page cache of a file                                             |
//! | `entries`       | the entries of a page cache                                          |
//! | `folio`         | folios of the page cache, and their references                       |
//! | `hidden_vma`    | VMAs that the kernel does not find by a page of their file           |
//! | `linked_vma`    | the VMAs that map a file                                             |
//! | `locked_mm`     | address spaces whose mmap lock is held                               |
//! | `locked_folio`  | locked folios, and their replacement by a copy                       |
//! | `lru`           | draining of the LRU batches                                          |
//! | `memcg`         | memory cgroups: whom to charge, and limits                           |
//! | `mlock`         | maps pages again in mlocked VMAs                                     |
//! | `memlock`       | charges against `RLIMIT_MEMLOCK`                                     |
//! | `mirror`        | mirrors of addresses of a process (HMM)                              |
//! | `page_batch`    | contents of pages, to be written at once                             |
//! | `page_ref`      | references to pages of a file                                        |
//! | `page_set`      | sets of pages                                                        |
//! | `protections`   | protections of the pages of a mapping                                |
//! | `remapped_pages` | pages of a file that are shown elsewhere than at their place        |
//! | `stacked_folio` | folios whose contents come from another file                         |
//! | `targets`       | which pages a mapping shows elsewhere                                |
//! | `user_struct`   | structs in user memory                                               |

pub(crate) mod address_space;
pub(crate) mod entries;
pub(crate) mod folio;
pub(crate) mod hidden_vma;
mod linked_vma;
pub(crate) mod locked_folio;
pub(crate) mod locked_mm;
pub(crate) mod lru;
pub(crate) mod memcg;
pub(crate) mod memlock;
#[cfg_attr(not(CONFIG_HMM_MIRROR), path = "mm/no_mirror.rs")]
pub(crate) mod mirror;
mod mlock;
pub(crate) mod page_batch;
mod page_ref;
pub(crate) mod page_set;
pub(crate) mod protections;
pub(crate) mod remapped_pages;
pub(crate) mod stacked_folio;
pub(crate) mod targets;
pub(crate) mod user_struct;
