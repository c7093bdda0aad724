// SPDX-License-Identifier: GPL-2.0-only

//! What pinseal needs of the rest of the kernel and the kernel crate does not have, or not in all
//! kernels that this is built for.

pub(crate) mod compat;
pub(crate) mod trace;
