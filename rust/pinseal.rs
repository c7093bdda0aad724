// SPDX-License-Identifier: GPL-2.0-only

//! pinseal: shared memory that can be sealed safely while its pages are pinned.
//!
//! Data flows down this list. A module uses only modules of lower floors.
//!
//! | Floor | Module         | What it is                                                     |
//! |-------|----------------|----------------------------------------------------------------|
//! | 9     | [`device`]     | the open file `/dev/pinseal`: its operations, registration     |
//! | 8     | [`ioctl`]      | command words and user memory to typed requests, and back      |
//! | 7     | [`open_object`] | state shared by all open files of an object                   |
//! | 6     | [`seal`]       | everything from a request to the bit                           |
//! | 6     | [`resize`]     | truncation and hole punching that wait for references          |
//! | 6     | [`handle`]     | files that pin or mirror pages                                 |
//! | 6     | [`map`]        | what mappings show: protections of pages                       |
//! | 5     | [`wait`]       | finding extra references, and waiting for them to go           |
//! | 4     | [`object`]     | the object: its memory, its seals, what is pinned of it        |
//! | 3     | [`fs`]         | extension of the kernel crate: files                           |
//! | 2     | [`mm`]         | extension of the kernel crate: memory management               |
//! | 1     | [`sync`], [`trampolines`] | extension of the kernel crate: scheduler, trace events |
//! | 1     | [`compat`]     | what the oldest supported kernel crate lacks                   |
//! | 0     | [`uapi`]       | the structs of `include/uapi/linux/pinseal.h`                  |
//!
//! Only the extension of the kernel crate has unsafe code and raw bindings. Why a seal is sound is
//! argued in `Documentation/design.rst`.

#![deny(unsafe_code)]

use kernel::prelude::*;

#[expect(unsafe_code)]
mod bindings;
mod compat;
mod device;
#[expect(unsafe_code)]
mod fs;
mod handle;
mod ioctl;
mod map;
#[expect(unsafe_code)]
mod mm;
mod object;
mod open_object;
mod resize;
mod seal;
#[expect(unsafe_code)]
mod sync;
#[expect(unsafe_code)]
mod trampolines;
mod uapi;
mod wait;

module! {
    type: device::PinsealModule,
    name: "pinseal",
    authors: ["The pinseal authors"],
    description: "Shared memory that can be sealed safely while its pages are pinned",
    license: "GPL v2",
}
