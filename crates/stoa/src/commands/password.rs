//! A password from the terminal, without showing it, or from standard input. Never from an argument: those
//! are seen by every process of the machine, and kept in the shell's history.

use std::io::{BufRead as _, IsTerminal as _, Read as _, stdin};

use crate::Result;
use crate::failure::{Exit, Failure};

/// More than a password may have.
const LONGEST: u64 = 8 * 1024;

/// The first line of standard input.
pub(super) fn from_stdin() -> Result<String> {
    let mut line = String::new();
    stdin()
        .lock()
        .take(LONGEST)
        .read_line(&mut line)
        .map_err(|error| {
            Failure::new(
                Exit::Configuration,
                format!("cannot read the password from standard input: {error}"),
            )
        })?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            "standard input has no password in its first line",
        ));
    }
    Ok(password.to_owned())
}

/// Asked for twice on the terminal.
pub(super) fn from_terminal(otherwise: &str) -> Result<String> {
    if !stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Configuration,
            "there is no terminal to ask for the password",
        )
        .hint(otherwise));
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map_err(|error| {
            Failure::new(
                Exit::Failure,
                format!("cannot ask for the password: {error}"),
            )
        })
    };
    let password = ask("Password: ")?;
    if ask("Once more: ")? != password {
        return Err(Failure::new(
            Exit::Configuration,
            "the two passwords are not the same; nothing was changed",
        ));
    }
    Ok(password)
}
