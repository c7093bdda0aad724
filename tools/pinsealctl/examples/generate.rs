// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writes the man pages and completions of pinsealctl.
//!
//! ```text
//! cargo run --example generate -- FOLDER
//! ```
//!
//! makes `FOLDER/man1` and `FOLDER/completions/{bash,zsh,fish}`.

use clap_complete::{Shell, generate_to};
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = env::args_os()
        .nth(1)
        .ok_or("usage: generate FOLDER")?
        .into();
    let man = folder.join("man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(pinsealctl::command(), man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let folder = folder.join("completions").join(shell.to_string());
        fs::create_dir_all(&folder)?;
        generate_to(shell, &mut pinsealctl::command(), "pinsealctl", folder)?;
    }
    Ok(())
}
