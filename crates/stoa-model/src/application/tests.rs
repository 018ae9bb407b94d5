mod associations;
mod attributes;
mod files;
mod loading;
mod names;
mod robustness;
mod rules;
mod schema;
mod system;

use std::path::Path;

use super::{Loaded, load_from_sources};
use crate::diagnostic::Diagnostics;
use crate::model::Model;

/// Loads one model file beside a minimal manifest.
fn load_text(text: &str) -> Result<Loaded, Diagnostics> {
    load_files(&[("app.toml", "name = \"shop\"\n"), ("model/shop.toml", text)])
}

fn load_files(files: &[(&str, &str)]) -> Result<Loaded, Diagnostics> {
    let sources = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    load_from_sources(Path::new(""), sources)
}

/// What `stoa check` prints about a model file: faults, or warnings.
fn check(text: &str) -> String {
    match load_text(text) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(faults) => faults.render(false),
    }
}

fn model(text: &str) -> Model {
    match load_text(text) {
        Ok(loaded) => loaded.application.model,
        Err(faults) => panic!("{faults}"),
    }
}
