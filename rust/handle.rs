// SPDX-License-Identifier: GPL-2.0-only

//! Handles: files that pin or mirror pages of an object, and give access to them.

pub(crate) mod copy;
pub(crate) mod mirror;
pub(crate) mod pin;
