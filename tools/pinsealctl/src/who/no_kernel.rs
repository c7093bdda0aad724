// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stands for `kernel.rs` in a program that was built without BPF.

use super::{answer::Answer, memory::Identity};

pub(super) fn ask(_: Identity) -> Result<Answer, String> {
    Err("this program was built without BPF (feature bpf)".into())
}
