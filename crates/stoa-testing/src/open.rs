//! Applications that everybody may read and change without signing in: for tests that are not about access.
//!
//! Works on the text of the files, so that a test's own model stays as it would be written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What `app.toml` says to let people in who are not signed in.
pub const ANONYMOUS: &str = "\n[access]\nanonymous = true\n";

/// The text of a model file with a rule for each of its entities that lets everybody do everything.
#[must_use]
pub fn model(text: &str) -> String {
    let mut entities = BTreeSet::new();
    for line in text.lines() {
        // `[entity.Name]`, `[entity.Name.attributes]`, `[[entity."Name".access]]`
        let header = line.trim().trim_start_matches('[');
        let Some(rest) = header.strip_prefix("entity.") else {
            continue;
        };
        let name = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().map(|name| format!("\"{name}\"")),
            None => rest.split(['.', ']']).next().map(str::to_owned),
        };
        if line.trim_start().starts_with('[') {
            entities.extend(name);
        }
    }
    let mut opened = format!("{}\n", text.trim_end());
    for entity in entities {
        opened.push_str(&format!(
            "\n[[entity.{entity}.access]]\nrole = \"Anonymous\"\ncreate = true\ndelete = true\nread = \"*\"\nwrite = \"*\"\n"
        ));
    }
    opened
}

/// The text of an `app.toml` that lets in people who are not signed in.
#[must_use]
pub fn manifest(text: &str) -> String {
    if text.lines().any(|line| line.trim() == "[access]") {
        text.replace("[access]", "[access]\nanonymous = true")
    } else {
        format!("{}\n{ANONYMOUS}", text.trim_end())
    }
}

/// Opens the application in a folder.
///
/// # Errors
/// As the file system's; there is no `app.toml`.
pub fn folder(folder: &Path) -> Result<()> {
    rewrite(&folder.join("app.toml"), manifest)?;
    let models = folder.join("model");
    for entry in fs::read_dir(&models).with_context(|| models.display().to_string())? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            rewrite(&path, model)?;
        }
    }
    Ok(())
}

/// An opened copy of the application in a folder.
///
/// # Errors
/// As the file system's; there is no `app.toml`.
pub fn copy(application: &Path) -> Result<tempfile::TempDir> {
    let copy = tempfile::Builder::new()
        .prefix("stoa-application-")
        .tempdir()?;
    crate::process::copy_folder(application, copy.path())?;
    folder(copy.path())?;
    Ok(copy)
}

fn rewrite(path: &Path, change: fn(&str) -> String) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    fs::write(path, change(&text)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_gets_one_rule() {
        let opened = model(
            "[enumeration.A]\nvalues = [\"x\"]\n[entity.One.attributes]\nB = { type = \"A\" }\n\
             [entity.\"Größe\"]\nextends = \"One\"\n[[entity.One.access]]\nrole = \"R\"\n",
        );
        assert_eq!(
            opened.matches("role = \"Anonymous\"").count(),
            2,
            "{opened}"
        );
        for name in ["One", "\"Größe\""] {
            assert!(
                opened.contains(&format!("[[entity.{name}.access]]\nrole = \"Anonymous\"")),
                "{opened}"
            );
        }
        assert!(manifest("name = \"A\"\n").ends_with("[access]\nanonymous = true\n"));
        assert_eq!(
            manifest("[access]\nother = 1\n"),
            "[access]\nanonymous = true\nother = 1\n"
        );
    }
}
