// SPDX-License-Identifier: GPL-2.0-only

//! Finding extra references to an object's pages, and waiting for them to go.
//!
//! | File          | Its one job                                                     |
//! |---------------|-----------------------------------------------------------------|
//! | `scan`        | finds folios with extra references, zaps mappings               |
//! | `move_wait`   | waits for a page that cannot be moved meanwhile                 |
//! | `listing`     | reports the extra references, for `PINSEAL_IOC_PINS`            |
//! | `lease_break` | breaks leases of pages that are waited for                      |
//! | `retry`       | when to rescan, to drain LRU batches, to block readers          |
//! | `bounds`      | the caller's bounds: deadline and number of scans               |
//! | `context`     | the task or the worker that waits, and what stops it            |
//! | `backoff`, `ranges` | pure rules, without kernel state                          |

mod backoff;
mod bounds;
mod context;
mod lease_break;
mod listing;
mod move_wait;
mod ranges;
mod retry;
mod scan;

pub(crate) use self::{
    bounds::{
        WaitBounds,
        WaitReason,
        DEFAULT_TIMEOUT_NS, //
    },
    context::{
        CancelToken,
        Context,
        Stop, //
    },
    lease_break::LeaseBreak,
    listing::{
        list_references,
        Listed,
        Summary, //
    },
    move_wait::MoveWait,
    retry::{
        RetryPolicy,
        DRAIN_NS, //
    },
    scan::{
        Scan,
        ScanError,
        ZappedRange, //
    }, //
};
