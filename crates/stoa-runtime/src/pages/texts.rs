//! The texts of the pages: the product's own, and what an application puts in their place.

use std::collections::BTreeMap;

use minijinja::Value;
use stoa_model::diagnostic::{Code, Diagnostic, SourceFile, Span};
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;

const BUILT_IN: &str = include_str!("texts.toml");

/// Texts by their keys.
pub(super) type Texts = BTreeMap<String, String>;

/// The product's own texts.
#[expect(clippy::expect_used, reason = "part of the program; a test reads it")]
pub(super) fn built_in() -> Texts {
    toml::from_str(BUILT_IN).expect("the product's own texts are a table of strings")
}

/// As templates take them.
pub(super) fn value(texts: &Texts) -> Value {
    Value::from_pairs(
        texts
            .iter()
            .map(|(key, text)| (key.as_str(), text.as_str())),
    )
}

/// Puts the texts of a file in the place of those there are.
pub(super) fn replace(
    texts: &mut Texts,
    file: &SourceFile,
    position: usize,
    faults: &mut Vec<Diagnostic>,
) {
    let (table, errors) = DeTable::parse_recoverable(file.text());
    for error in errors {
        let span = Span::new(position, error.span().unwrap_or(0..0));
        let message = format!("not TOML: {}", error.message());
        faults.push(Diagnostic::error(Code::Syntax, span, message));
    }
    for (key, value) in table.get_ref() {
        let span = Span::new(position, key.span());
        let Some(text) = texts.get_mut(key.get_ref().as_ref()) else {
            let near = nearest(key.get_ref(), texts.keys().map(String::as_str));
            let message = format!("the pages have no text `{}`", key.get_ref());
            faults.push(Diagnostic::error(Code::UnknownKey, span, message).nearest(near));
            continue;
        };
        match value.get_ref() {
            DeValue::String(given) => *text = given.to_string(),
            _ => {
                let span = Span::new(position, value.span());
                let message = format!("`{}` must be a text", key.get_ref());
                faults.push(Diagnostic::error(Code::WrongType, span, message));
            }
        }
    }
}
