// SPDX-License-Identifier: GPL-2.0-only

//! What the caller's mappings of an object show, and to whom.
//!
//! | File      | Its one job                                                              |
//! |-----------|--------------------------------------------------------------------------|
//! | `protect` | protections of single pages                                              |

mod protect;

pub(crate) use self::protect::{
    count,
    protect,
    query, //
};
