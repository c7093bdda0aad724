// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shared memory that can be sealed safely while its pages are pinned: objects of `/dev/pinseal`.
//!
//! A program shares memory with another one, and seals it: from then on nothing can change the bytes, no
//! mapping, no device, no write under way. The seal waits for what is in the way as long as the caller
//! says, and if it fails, it says why.
//!
//! ```no_run
#![doc = include_str!("../examples/doc_overview.rs")]
//! ```
//!
//! - [`Options`] makes objects, from nothing, a memfd, or a file. [`Object`] is one.
//! - [`Object::seal`] seals: [`Sealing`] has the bounds, [`SealError`] the object and the reason,
//!   [`Sealed`] the bytes, [`Pending`] is a seal in the background.
//! - [`Object::pins`] tells which pages are in use. [`Look`] does so for any memfd.
//! - [`Object::pin`] pins or leases pages: [`PinHandle`].
//! - [`seal_fd`] seals a memfd with the module or without.
//!
//! The kernel's documentation of the interface is `Documentation/userspace-api/pinseal.rst` of the
//! repository; `include/uapi/linux/pinseal.h` specifies it.
//!
//! # Features
//!
//! `tokio`: a [`Pending`] seal is a future.
//!
//! # Sandboxes
//!
//! Only [`Options`], [`Look`] and [`seal_fd`] open `/dev/pinseal`. All else works on a descriptor that
//! was received; [`Options::create_beside`] makes more.

#![deny(missing_docs, unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

#[allow(unsafe_code)]
mod abi;
mod flags;
mod info;
mod look;
#[allow(unsafe_code)]
mod mapping;
mod object;
mod options;
mod pending;
#[cfg(feature = "tokio")]
#[allow(unsafe_code)]
mod pending_future;
mod pin;
mod pins;
mod removal;
mod seal_error;
mod seal_fd;
mod sealed;
mod sealing;
mod seals;

pub use self::{
    info::{Features, Info, SealFlags},
    look::Look,
    mapping::{Mapping, Protection, SealedMap},
    object::{Object, WrongDescriptor},
    options::{Exec, Lower, Memfd, Options},
    pending::{Pending, Progress},
    pin::{LeaseInfo, LeaseState, PinHandle, Pinning},
    pins::{Folio, FolioFlags, Pins},
    removal::{Removal, RemovalError, RemovalReport},
    seal_error::SealError,
    seal_fd::{FdSealing, SealFdError, SealedBy, seal_fd},
    sealed::Sealed,
    sealing::{Outcome, SealReport, Sealing},
    seals::Seals,
};
