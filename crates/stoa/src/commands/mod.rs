//! The commands.

pub(crate) mod access;
pub(crate) mod administrator;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod db;
pub(crate) mod db_init;
pub(crate) mod listing;
pub(crate) mod new;
mod opened;
mod password;
pub(crate) mod role;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod site;
pub(crate) mod token;
pub(crate) mod trust;
pub(crate) mod user;

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::Path;

use stoa_model::application::{self, Application};
use stoa_model::diagnostic::Diagnostics;
use stoa_model::model::Model;
use stoa_runtime::pages::Theme;

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

/// Loads the theme of the product's own pages, and shows its faults on stderr.
pub(crate) fn load_theme(folder: &Path) -> Result<Theme> {
    Theme::load(folder).map_err(|faults| {
        show(&faults);
        Failure::reported(Exit::Configuration)
    })
}

/// Shows diagnostics on stderr.
pub(crate) fn show(diagnostics: &Diagnostics) {
    if diagnostics.is_empty() {
        return;
    }
    let coloured = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _ = writeln!(stderr(), "{}", diagnostics.render(coloured).trim_end());
}

/// Number of the application's own collections.
pub(crate) fn collections(model: &Model) -> usize {
    model
        .entities_by_collection
        .values()
        .filter(|entity| !model[**entity].is_of_system())
        .count()
}

/// Writes to stdout. A reader that went away (`| head`) is no failure.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}
