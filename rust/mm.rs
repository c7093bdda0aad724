// SPDX-License-Identifier: GPL-2.0-only

//! What pinseal needs of memory management and the kernel crate does not have yet: a staging place
//! until it can move there.
//!
//! One C struct may be several Rust types; the type's name says what access is held.

pub(crate) mod address_space;
pub(crate) mod folio;
pub(crate) mod locked_folio;
pub(crate) mod lru;
pub(crate) mod memlock;
#[cfg_attr(not(CONFIG_HMM_MIRROR), path = "mm/no_mirror.rs")]
pub(crate) mod mirror;
pub(crate) mod mlock;
