// SPDX-License-Identifier: GPL-2.0-only

//! Raw bindings: those of the kernel crate, and those of `helpers.h`.
//!
//! To be used only in [`fs`](crate::fs), [`mm`](crate::mm), [`sync`](crate::sync) and
//! [`trampolines`](crate::trampolines), which wrap them in safe types.

#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub
)]
mod helpers {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(concat!(
        env!("PINSEAL_BINDINGS"),
        "/helpers_generated.rs" //
    ));
}

pub(crate) use helpers::*;
pub(crate) use kernel::bindings::*;
