// SPDX-License-Identifier: GPL-2.0-only

//! pinseal: shared memory that can be sealed safely while its pages are pinned.
//!
//! Data flows down this list; nothing knows what stands above it.
//!
//! | Module       | Its one job                                                  |
//! |--------------|--------------------------------------------------------------|
//! | [`device`]   | the open file `/dev/pinseal`: its operations, registration   |
//! | [`ioctl`]    | command word to typed request; sizes, flags, padding         |
//! | [`share`]    | other descriptors, exporting and importing the memory        |
//! | [`mirror`]   | handles that show what a mapping shows, and hold nothing     |
//! | [`pin`]      | handles that hold pages pinned                               |
//! | [`transfer`] | between user space and pages, by pieces                      |
//! | [`pins`]     | listing folios that have extra references                    |
//! | [`opened`]   | what all open files of one object have in common             |
//! | [`seal`]     | adding seals, and waiting for that                           |
//! | [`async_seal`] | the same in the background                                 |
//! | [`attempt`]  | an attempt to add seals, as a sequence of steps              |
//! | [`truncate`] | taking pages away once nobody holds them                     |
//! | [`tries`]    | one try to set them, and what is learned from it             |
//! | [`isolate`]  | copies in the place of pages that somebody holds             |
//! | [`lease`]    | asking for pages that are held on a lease, and taking them   |
//! | [`patience`] | until when somebody looks, and how often                     |
//! | [`driver`]   | who takes the steps                                          |
//! | [`request`]  | what somebody wants sealed, and what becomes of it           |
//! | [`scan`]     | looking for extra references, and getting rid of mappings    |
//! | [`object`]   | the object: its memory, its seals                            |
//! | [`holdings`], [`holding`] | what handles hold of an object: all of it, and each |
//! | [`gate`]     | whose turn to seal it is, and who waits meanwhile            |
//! | [`budget`]   | how long and how often a caller wants to wait                |
//! | [`seals`], [`backoff`], [`ranges`] | pure rules without kernel state        |
//! | [`fs`], [`mm`], [`sync`], [`trampolines`] | our extension of the kernel crate: the only place for `unsafe` |
//! | [`compat`]   | what the kernel crate of older kernels lacks                 |
//! | [`uapi`]     | the structs of `include/uapi/linux/pinseal.h`                |
//!
//! Why a seal is sound is argued in `Documentation/design.rst`.

use kernel::prelude::*;

mod async_seal;
mod attempt;
mod backoff;
mod bindings;
mod budget;
mod compat;
mod device;
mod driver;
mod fs;
mod gate;
mod holding;
mod holdings;
mod ioctl;
mod isolate;
mod lease;
mod mirror;
mod mm;
mod object;
mod opened;
mod patience;
mod pin;
mod pins;
mod ranges;
mod request;
mod scan;
mod seal;
mod seals;
mod share;
mod sync;
mod trampolines;
mod transfer;
mod tries;
mod truncate;
mod uapi;

module! {
    type: device::PinsealModule,
    name: "pinseal",
    authors: ["The pinseal authors"],
    description: "Shared memory that can be sealed safely while its pages are pinned",
    license: "GPL v2",
}
