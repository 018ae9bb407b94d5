//! `If-Match`, `If-None-Match`, and the ETags that they are about.

use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use stoa_model::change::Expected;

use super::media::split_quoted;
use crate::error::{Code, Error};

/// `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `*`
    Any,
    /// Versions of the entity tags; a tag that we never gave is in no list and matches nothing.
    Versions(Vec<i64>),
}

impl Condition {
    /// Whether a row of this version fulfils it.
    #[must_use]
    pub fn matches(&self, version: Option<i64>) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => version.is_some_and(|version| versions.contains(&version)),
        }
    }

    /// What a write expects of the row.
    #[must_use]
    pub fn expected(&self) -> Expected {
        match self {
            Self::Any => Expected::Any,
            Self::Versions(versions) => Expected::OneOf(versions.clone()),
        }
    }
}

/// Preconditions of a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `If-Match`
    pub if_match: Option<Condition>,
    /// `If-None-Match`
    pub if_none_match: Option<Condition>,
}

impl Preconditions {
    /// Reads both headers.
    ///
    /// # Errors
    /// A value that is neither `*` nor a list of entity tags.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
        Ok(Self {
            if_match: condition(headers, &IF_MATCH, "If-Match")?,
            if_none_match: condition(headers, &IF_NONE_MATCH, "If-None-Match")?,
        })
    }

    /// What a change or delete of an existing row expects. `versioned`: the entity has a version.
    ///
    /// # Errors
    /// The entity has a version and the request does not say which one it means (428).
    pub fn expected(&self, versioned: bool) -> Result<Expected, Error> {
        match &self.if_match {
            Some(condition) if versioned => Ok(condition.expected()),
            // Without a version nothing but `*` can be fulfilled.
            Some(Condition::Versions(_)) => Ok(Expected::OneOf(Vec::new())),
            Some(Condition::Any) => Ok(Expected::Any),
            None if versioned => Err(Error::new(
                Code::PreconditionRequired,
                "send the ETag of the row in If-Match, or If-Match: * to overwrite whatever is there",
            )
            .at("If-Match")),
            None => Ok(Expected::Any),
        }
    }
}

fn condition(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<Condition>, Error> {
    let mut versions = Vec::new();
    let mut given = false;
    for value in headers.get_all(name) {
        given = true;
        let wrong = || {
            Error::new(
                Code::InvalidHeader,
                format!("{shown} must be * or a list of ETags like W/\"3\""),
            )
            .at(shown)
        };
        let text = value.to_str().map_err(|_| wrong())?;
        if text.trim() == "*" {
            return Ok(Some(Condition::Any));
        }
        for part in split_quoted(text, b',') {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            // Versions are compared weakly: there is no byte-wise equality to promise.
            let tag = part.strip_prefix("W/").unwrap_or(part);
            let inner = tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                .filter(|inner| !inner.contains('"'))
                .ok_or_else(wrong)?;
            if let Ok(version) = inner.parse() {
                versions.push(version);
            }
        }
    }
    Ok(given.then_some(Condition::Versions(versions)))
}

/// Whether `If-None-Match` names this tag (with its quotes), so that the answer is 304. For documents; rows
/// have [`Condition::matches`].
#[must_use]
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    headers
        .get_all(&IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split_quoted(value, b','))
        .map(str::trim)
        .any(|given| given == "*" || opaque(given) == opaque(tag))
}

/// ETag of a version.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}
