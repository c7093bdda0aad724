// SPDX-License-Identifier: GPL-2.0-only

//! Finding extra references to an object's pages, and waiting for them to go.

pub(crate) mod backoff;
pub(crate) mod bounds;
pub(crate) mod context;
pub(crate) mod lease_break;
pub(crate) mod listing;
pub(crate) mod ranges;
pub(crate) mod retry;
pub(crate) mod scan;
