// SPDX-License-Identifier: GPL-2.0-only

//! Rust functions that call one line of C each, for what only C can do.

pub(crate) mod trace;
