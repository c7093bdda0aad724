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
    unreachable_pub,
    unused_imports
)]
mod helpers {
    use kernel::{
        bindings::*,
        ffi, //
    };
    use pin_init::MaybeZeroable;

    include!(concat!(
        env!("PINSEAL_BINDINGS"),
        "/helpers_generated.rs" //
    ));
}

pub(crate) use helpers::*;
// The kernel crate has these with some configurations only.
#[cfg(CONFIG_HMM_MIRROR)]
pub(crate) use helpers::{
    mmu_interval_notifier,
    mmu_interval_notifier_insert_locked,
    mmu_interval_notifier_ops,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_notifier_range, //
};
pub(crate) use kernel::bindings::*;
