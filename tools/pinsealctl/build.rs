// SPDX-License-Identifier: MIT OR Apache-2.0

//! Compiles the BPF programs of `who`, with the feature `bpf`.

use std::{env, path::PathBuf, process::Command};

const PROGRAMS: &str = "src/who/bpf";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_BPF").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed={PROGRAMS}");
    println!("cargo::rerun-if-env-changed=CLANG");

    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let object = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("owners.bpf.o");
    // <asm/types.h> is among the headers of an architecture; it is the same for all.
    let headers = format!("/usr/include/{}-linux-gnu", env::consts::ARCH);
    let status = Command::new(&clang)
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(["-idirafter", &headers, "-I"])
        .arg(env::var_os("DEP_BPF_INCLUDE").unwrap())
        .arg("-c")
        .arg(PathBuf::from(PROGRAMS).join("owners.bpf.c"))
        .arg("-o")
        .arg(&object)
        .status()
        .unwrap_or_else(|error| {
            panic!("{clang}: {error}; install clang, set CLANG, or build without the feature bpf")
        });
    assert!(status.success(), "{clang}: {status}");
}
