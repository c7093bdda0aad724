// SPDX-License-Identifier: GPL-2.0-only

//! What pinseal needs of the scheduler and the kernel crate does not have yet: a staging place
//! until it can move there.

pub(crate) mod once;
pub(crate) mod poll;
pub(crate) mod sleep;
pub(crate) mod workqueue;
