//! Preferences (RFC 7240, OData 4.01 Part 1 §8.2.8).

use http::header::HeaderMap;

use super::PREFER;
use super::media::split_quoted;

/// What the answer to a write holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// No body: 204.
    Minimal,
    /// The changed entity.
    Representation,
}

/// Preferences of a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Preferences {
    /// `return=…`
    pub answer: Option<Return>,
    /// `handling=strict`: nothing unknown is ignored.
    pub strict: bool,
    /// `maxpagesize` as asked for; the limit of rows of a page still applies.
    pub page_size: Option<u64>,
    page_size_prefixed: bool,
}

impl Preferences {
    /// Reads all `Prefer` headers. What is unknown or malformed is ignored (RFC 7240 §2); the first of
    /// two equal names counts.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut preferences = Self::default();
        let mut handling = None;
        for value in headers.get_all(&PREFER) {
            let Ok(text) = value.to_str() else { continue };
            for part in split_quoted(text, b',') {
                let preference = split_quoted(part, b';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                let prefixed = name
                    .get(..6)
                    .is_some_and(|start| start.eq_ignore_ascii_case("odata."));
                let short = if prefixed { &name[6..] } else { name };
                if short.eq_ignore_ascii_case("return") {
                    preferences.answer =
                        preferences
                            .answer
                            .or(if value.eq_ignore_ascii_case("minimal") {
                                Some(Return::Minimal)
                            } else if value.eq_ignore_ascii_case("representation") {
                                Some(Return::Representation)
                            } else {
                                None
                            });
                } else if short.eq_ignore_ascii_case("handling") {
                    handling = handling.or(Some(value.eq_ignore_ascii_case("strict")));
                } else if short.eq_ignore_ascii_case("maxpagesize")
                    && preferences.page_size.is_none()
                {
                    // Not a positive number: ignored.
                    preferences.page_size = value.parse().ok().filter(|size| *size > 0);
                    preferences.page_size_prefixed = prefixed;
                }
            }
        }
        preferences.strict = handling.unwrap_or_default();
        preferences
    }

    /// Value of `Preference-Applied` for a read; `page_size` is the size of page that was used because
    /// of the preference.
    #[must_use]
    pub fn applied_to_read(&self, page_size: Option<u64>) -> Option<String> {
        let mut applied = Vec::new();
        if self.strict {
            applied.push("handling=strict".to_owned());
        }
        if let (Some(_), Some(size)) = (self.page_size, page_size) {
            let prefix = if self.page_size_prefixed {
                "odata."
            } else {
                ""
            };
            applied.push(format!("{prefix}maxpagesize={size}"));
        }
        (!applied.is_empty()).then(|| applied.join(", "))
    }

    /// Value of `Preference-Applied` for a write.
    #[must_use]
    pub fn applied_to_write(&self) -> Option<&'static str> {
        match (self.answer, self.strict) {
            (Some(Return::Minimal), false) => Some("return=minimal"),
            (Some(Return::Minimal), true) => Some("return=minimal, handling=strict"),
            (Some(Return::Representation), false) => Some("return=representation"),
            (Some(Return::Representation), true) => Some("return=representation, handling=strict"),
            (None, true) => Some("handling=strict"),
            (None, false) => None,
        }
    }
}
