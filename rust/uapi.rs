// SPDX-License-Identifier: GPL-2.0-only

//! The structs and constants of our uapi header, generated from it, and some of the kernel's own uapi.
//!
//! C header: `include/uapi/linux/pinseal.h`, where each is documented.

#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub
)]
mod generated {
    use kernel::ffi;
    use zerocopy_derive::{
        FromBytes,
        Immutable,
        IntoBytes,
        KnownLayout, //
    };

    include!(concat!(env!("PINSEAL_BINDINGS"), "/uapi_generated.rs"));
}

pub(crate) use generated::*;
