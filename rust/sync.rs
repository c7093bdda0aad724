// SPDX-License-Identifier: GPL-2.0-only

//! Extension of the kernel crate: waiting and work. A staging module, until it can move there.
//!
//! | File            | Its one job                                                          |
//! |-----------------|----------------------------------------------------------------------|
//! | `mutex`         | mutexes that are waited for killably                                  |
//! | `once`          | fallible initialisation at first use                                 |
//! | `poll`          | poll support                                                         |
//! | `sleep`         | short sleeps, and what ends them                                     |
//! | `task`          | the current task's user and CPU time                                 |
//! | `workqueue`     | workqueues that Rust owns                                            |

pub(crate) mod mutex;
pub(crate) mod once;
pub(crate) mod poll;
pub(crate) mod sleep;
pub(crate) mod task;
pub(crate) mod workqueue;
