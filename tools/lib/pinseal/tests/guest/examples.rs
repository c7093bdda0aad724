// SPDX-License-Identifier: MIT OR Apache-2.0

//! The examples, among them those of the documentation, do what they say.

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// An example: beside this test program is the folder with them.
fn example(name: &str) -> Command {
    let mut path = env::current_exe().unwrap();
    path.pop();
    path.push("../examples");
    path.push(name);
    let mut command = Command::new(path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a program has printed, which must have succeeded.
#[track_caller]
fn printed(output: Output) -> String {
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

#[track_caller]
fn run(name: &str, arguments: &[&str]) -> String {
    printed(example(name).args(arguments).output().unwrap())
}

#[track_caller]
fn assert_says(text: &str, what: &str) {
    assert!(text.contains(what), "no \"{what}\" in:\n{text}");
}

#[test]
fn doc_overview() {
    run("doc_overview", &[]);
}

#[test]
fn doc_options() {
    assert_eq!(run("doc_options", &[]), "1048576 bytes\n");
}

#[test]
fn doc_seal() {
    let text = run("doc_seal", &[]);
    assert_says(&text, "2 pages are in use, the first of them page 0");
    assert_says(&text, "sealed after");
}

#[test]
fn doc_pending() {
    assert_says(&run("doc_pending", &[]), "so far: page 0 is in use");
}

#[test]
fn doc_seal_fd() {
    assert_eq!(run("doc_seal_fd", &[]), "");
}

#[cfg(feature = "tokio")]
#[test]
fn doc_tokio() {
    assert_says(&run("doc_tokio", &[]), "sealed after");
}

fn start(name: &str, arguments: &[&str]) -> Child {
    example(name).args(arguments).spawn().unwrap()
}

#[test]
fn producer_and_consumer() {
    let mut path: PathBuf = env::temp_dir();
    path.push(format!("pinseal-example-{}", std::process::id()));
    let path = path.to_str().unwrap();
    let producer = start("producer", &[path, "some text"]);
    let start = Instant::now();
    while !std::fs::exists(path).unwrap() {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(5));
    }
    let consumer = run("consumer", &[path]);
    assert_says(&consumer, "consumer: 9 bytes, sealed after");
    assert_says(&consumer, "some text");
    let producer = printed(producer.wait_with_output().unwrap());
    assert_says(&producer, "cannot be changed any more");
}

#[test]
fn lease_holder_releases() {
    let text = run("lease_holder", &[]);
    assert_says(&text, "holder: releases the pages for Some(");
    assert_says(&text, ", 0 pages were revoked");
}

#[test]
fn busy_lease_holder_loses_its_pages() {
    let text = run("lease_holder", &["busy"]);
    assert_says(&text, "holder: lost the pages");
    assert_says(&text, ", 4 pages were revoked");
}

#[test]
fn buffer_pool() {
    let text = run("buffer_pool", &["20"]);
    assert_says(
        &text,
        "client: drew 20 frames, and freed a buffer; 0 pages were revoked",
    );
    assert_says(&text, "compositor: showed 20 frames");
}
