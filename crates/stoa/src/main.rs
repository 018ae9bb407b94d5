//! The `stoa` command: reads flags and environment, wires the crates together, serves.
//!
//! Owns: the command line, exit codes, the order in which a server starts and stops, routes, metrics,
//! logs, health.
//!
//! Does not own: how anything is served, stored or checked; that is what the other crates are for.
//!
//! Invariants: everything that can be wrong is found before an address is bound or a database touched; a
//! failure is one clear message on stderr and a documented exit code.
//!
//! Start reading at `commands::run`.

mod admin;
mod command_line;
mod commands;
mod data_folder;
mod database;
mod demonstration;
mod failure;
mod first_start;
mod health;
mod histogram;
mod least_privilege;
mod logging;
mod metrics;
mod private_files;
mod progress;
mod route;
mod serve;
mod settings;
mod shutdown;
mod site;
mod site_file;
mod threads;
mod watch;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use command_line::{Command, CommandLine};
use failure::{Exit, Failure};

fn main() -> ExitCode {
    let started = Instant::now();
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help and version are answers, everything else is a bad command line.
            let exit = if error.use_stderr() {
                Exit::Configuration
            } else {
                Exit::Success
            };
            let _ = error.print();
            return exit.into();
        }
    };
    let result = match command_line.command {
        Command::New(arguments) => commands::new::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Run(arguments) => commands::run::run(&arguments, started),
        Command::Db { command } => commands::db::run(&command),
        Command::User { command } => commands::user::run(&command),
        Command::Role { command } => commands::role::run(&command),
        Command::Token { command } => commands::token::run(&command),
        Command::Access { command } => commands::access::run(&command),
        Command::Audit(arguments) => commands::audit::run(&arguments),
        Command::Admin { command } => commands::administrator::run(&command),
        Command::Site { command } => commands::site::run(&command),
        Command::Trust { command } => commands::trust::run(&command),
        Command::Serve(arguments) => serve::run(&arguments, started),
        Command::Status(arguments) => commands::control::status(&arguments),
        Command::Drain(arguments) => commands::control::drain(&arguments),
        Command::Undrain(arguments) => commands::control::undrain(&arguments),
        Command::Maintenance(arguments) => commands::control::maintain(&arguments),
        Command::Schema(arguments) => commands::schema::run(&arguments),
    };
    match result {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            failure.report();
            failure.exit.into()
        }
    }
}

/// Result of a command.
type Result<T> = std::result::Result<T, Failure>;
