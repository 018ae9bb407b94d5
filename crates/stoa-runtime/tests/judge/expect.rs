//! What an answer must be.

use serde_json::Value as Json;

use crate::data::Database;

/// An expected outcome. Where both success and refusals stand, the rules leave open which it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) success: Option<Success>,
    /// Status and code of an error.
    pub(crate) refusals: Vec<(u16, &'static str)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) statuses: Vec<u16>,
    pub(crate) content: Content,
    /// All rows afterwards; none: as before.
    pub(crate) after: Option<Database>,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// No body.
    Nothing,
    /// One object.
    Row(Json),
    /// Rows in order, and their number where it is asked for.
    Rows(Vec<Json>, Option<usize>),
    /// `value` of a property.
    Property(Json),
    /// Plain text.
    Text(String),
    /// How the URLs of rows end, in order: with their keys mostly.
    References(Vec<String>, bool),
    /// Names that must not occur, and names that must.
    Metadata {
        hidden: Vec<String>,
        shown: Vec<String>,
    },
}

impl Expected {
    pub(crate) fn refused(status: u16, code: &'static str) -> Self {
        Self {
            success: None,
            refusals: vec![(status, code)],
        }
    }

    pub(crate) fn read(content: Content) -> Self {
        Self {
            success: Some(Success {
                statuses: vec![200],
                content,
                after: None,
            }),
            refusals: Vec::new(),
        }
    }

    pub(crate) fn nothing() -> Self {
        Self {
            success: Some(Success {
                statuses: vec![204],
                content: Content::Nothing,
                after: None,
            }),
            refusals: Vec::new(),
        }
    }

    /// This refusal is possible too.
    pub(crate) fn or(mut self, status: u16, code: &'static str) -> Self {
        self.refusals.push((status, code));
        self
    }
}
