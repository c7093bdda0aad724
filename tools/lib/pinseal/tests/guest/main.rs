// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests with `/dev/pinseal`, as root.

mod attach;
mod examples;
mod fake;
mod lease;
mod map;
mod object;
mod pending;
mod pins;
mod removal;
mod seal;
mod seal_fd;
mod support;
mod tokio_future;
