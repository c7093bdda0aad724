// SPDX-License-Identifier: GPL-2.0-only

//! Sealing: everything from a request to the bit.
//!
//! | File         | Its one job                                                      |
//! |--------------|------------------------------------------------------------------|
//! | `request`    | what a caller asks for, and the report that it gets              |
//! | `prepare`    | gets a stacked object ready to be sealed                         |
//! | `uncontended`| a seal that nothing is in the way of                             |
//! | `operation`  | any other: an operation, as a sequence of steps                  |
//! | `commit`     | one attempt: scan, and set the seals under the same lock         |
//! | `isolate`    | replaces pinned pages by copies                                  |
//! | `async_seal` | takes the steps in the background                                |
//! | `workers`    | what asynchronous seals share: a queue, slots by user            |
//! | `slots`      | when steps may be taken: pure rules, without kernel state        |

mod async_seal;
mod commit;
mod isolate;
mod operation;
mod prepare;
mod request;
mod slots;
mod uncontended;
mod workers;

pub(crate) use self::{
    async_seal::AsyncSeal,
    operation::add_seals,
    prepare::prepare,
    request::{
        Outcome,
        SealReport,
        SealRequest, //
    },
    uncontended::try_add_seals,
    workers::Workers, //
};
