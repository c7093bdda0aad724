// SPDX-License-Identifier: GPL-2.0-only

//! Runs the tests of a Rust package in a guest, each in a process of its own, and reports them as TAP.
//!
//! ```text
//! rust PACKAGE [FILTER]
//! ```
//!
//! The tests are those of `../tools/tests/PACKAGE` beside this program: a test binary as `cargo test`
//! makes it. FILTER is a part of their names. A test that prints a line `SKIP: REASON` is skipped.

use std::{
    env,
    error::Error,
    path::Path,
    process::{Command, ExitCode, Output},
};

/// What kselftest programs end with when all tests were skipped.
const ALL_SKIPPED: u8 = 4;

enum Verdict {
    Passed,
    Skipped(String),
    /// With what the test printed.
    Failed(String),
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let package = arguments.first().ok_or("usage: rust PACKAGE [FILTER]")?;
    let filter = arguments.get(1).map_or("", String::as_str);

    let program = env::current_exe()?
        .with_file_name("../tools/tests")
        .join(package);
    let names = names(&program)?;
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| name.contains(filter))
        .collect();

    println!("TAP version 13\n1..{}", names.len());
    let (mut failed, mut skipped) = (0, 0);
    for (number, name) in names.iter().enumerate() {
        println!("#  RUN           {name} ...");
        let number = number + 1;
        match run(&program, name)? {
            Verdict::Passed => println!("ok {number} {name}"),
            Verdict::Skipped(reason) => {
                skipped += 1;
                println!("ok {number} {name} # SKIP {reason}");
            }
            Verdict::Failed(printed) => {
                failed += 1;
                for line in printed.lines() {
                    println!("# {line}");
                }
                println!("not ok {number} {name}");
            }
        }
    }
    Ok(match (failed, skipped) {
        (0, n) if n > 0 && n == names.len() => ExitCode::from(ALL_SKIPPED),
        (0, _) if !names.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The names of the tests.
fn names(program: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let listed = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !listed.status.success() {
        return Err(text(&listed).into());
    }
    Ok(String::from_utf8(listed.stdout)?
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}

fn run(program: &Path, name: &str) -> Result<Verdict, Box<dyn Error>> {
    let output = Command::new(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .output()?;
    let printed = text(&output);
    if !output.status.success() {
        return Ok(Verdict::Failed(format!("{printed}{}", output.status)));
    }
    // libtest's own words may be in front.
    let reason = printed
        .lines()
        .find_map(|line| line.split_once("SKIP: "))
        .map(|(_, reason)| reason.to_owned());
    Ok(reason.map_or(Verdict::Passed, Verdict::Skipped))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
