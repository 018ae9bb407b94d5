//! The commands.

pub(crate) mod check;
pub(crate) mod db;
pub(crate) mod db_init;
pub(crate) mod new;
pub(crate) mod run;
pub(crate) mod schema;

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::Path;

use stoa_model::application::{self, Application};
use stoa_model::diagnostic::Diagnostics;

use crate::Result;
use crate::failure::{Exit, Failure};

/// Loads an application, and shows its faults and warnings on stderr.
pub(crate) fn load(folder: &Path) -> Result<Application> {
    match application::load(folder) {
        Ok(loaded) => {
            show(&loaded.warnings);
            Ok(loaded.application)
        }
        Err(faults) => {
            show(&faults);
            Err(Failure::reported(Exit::Configuration))
        }
    }
}

/// Shows diagnostics on stderr.
pub(crate) fn show(diagnostics: &Diagnostics) {
    if diagnostics.is_empty() {
        return;
    }
    let coloured = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _ = writeln!(stderr(), "{}", diagnostics.render(coloured).trim_end());
}

/// Writes to stdout. A reader that went away (`| head`) is no failure.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}
