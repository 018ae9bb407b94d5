//! TOML files with known keys: their shape, their faults, their JSON Schema.
//!
//! The application's files are read with it, and the site's file by whoever owns that.

mod faults;
mod reader;
mod schema;
mod section;
pub(crate) mod shape;

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::diagnostic::{Code, Diagnostic, SourceFile, Span};

pub use faults::At;
pub(crate) use faults::Faults;
pub use reader::Reader;
pub(crate) use reader::text;
pub use schema::schema;
pub use section::{Advice, Form, Key, Section, key};

/// Most characters of a name that are compared with others.
const COMPARED_CHARACTERS: usize = 128;

/// Reads a file and checks its shape. What it holds can be taken apart by a [`Reader`] even if there are faults:
/// what has the wrong shape is not there then.
#[must_use]
pub fn read<'a>(
    source: &'a SourceFile,
    file: usize,
    root: &'static Section,
) -> (Spanned<DeTable<'a>>, Vec<Diagnostic>) {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let syntax = syntax(&errors, file, source);
    let is_understood = syntax
        .iter()
        .all(|diagnostic| diagnostic.code == Code::DuplicateName);
    let mut faults = Faults::default();
    if is_understood {
        shape::check_table(
            table.get_ref(),
            root,
            file,
            Span::new(file, 0..0),
            &mut faults,
        );
    }
    let mut list = syntax;
    list.extend(faults.into_list());
    (table, list)
}

/// The faults of TOML itself.
pub(crate) fn syntax(errors: &[Error], index: usize, file: &SourceFile) -> Vec<Diagnostic> {
    errors
        .iter()
        .map(|error| {
            let range = error.span().unwrap_or(0..0);
            let is_duplicate = error.message() == "duplicate key";
            let key = file.text().get(range.clone()).unwrap_or_default();
            let span = Span::new(index, range);
            if is_duplicate {
                Diagnostic::error(Code::DuplicateName, span, format!("`{key}` is given twice"))
            } else {
                Diagnostic::error(Code::Syntax, span, format!("not TOML: {}", error.message()))
            }
        })
        .collect()
}

/// The candidate nearest to a name, if it is near enough to be a slip.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: String = name
        .chars()
        .take(COMPARED_CHARACTERS)
        .collect::<String>()
        .to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(wanted.len()) <= limit * 4)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}
