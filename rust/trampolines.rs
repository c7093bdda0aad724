// SPDX-License-Identifier: GPL-2.0-only

//! Rust on one side, and one line of C for each on the other, of what only C can do.

pub(crate) mod trace;
