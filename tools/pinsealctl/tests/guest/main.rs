// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the program with `/dev/pinseal`, as root.

mod doctor;
mod holder;
mod look;
mod make;
mod refused;
mod schema;
mod seal;
mod support;
mod terminal;
mod trace;
mod who;
