// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program; see the library beside it.

fn main() -> std::process::ExitCode {
    pinsealctl::main()
}
