//! The built binary as its user meets it: commands, exit codes, the life of a server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod commands;
mod least_privilege;
mod life;
mod people;
mod reload;
mod sites;
mod web;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the binary to its end, without the environment's own settings.
fn stoa(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoa"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STOA_") {
            command.env_remove(name);
        }
    }
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `stoa new` makes, opened to everybody.
fn open_application() -> (tempfile::TempDir, std::path::PathBuf) {
    let (parent, folder) = new_application();
    stoa_testing::open::folder(&folder).unwrap();
    (parent, folder)
}

/// What `stoa new` makes.
fn new_application() -> (tempfile::TempDir, std::path::PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("my-tasks");
    let output = stoa(&["new", folder.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    (parent, folder)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
