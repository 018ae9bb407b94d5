//! Faults of a body, as they are found.

use crate::error::{Code, Detail, Error, join};

/// More than these are not told: the client gets the first ones.
const MOST: usize = 100;
/// Characters of the client's own text that a message repeats.
const SHOWN: usize = 60;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Detail>,
}

impl Faults {
    /// Notes a fault of a member of the object at `location`.
    pub(super) fn add(
        &mut self,
        code: Code,
        location: &str,
        member: &str,
        message: impl Into<String>,
    ) {
        if self.list.len() >= MOST {
            return;
        }
        let target = join(location, member);
        self.list.push(Detail {
            code,
            message: message.into(),
            target: (!target.is_empty()).then_some(target),
        });
    }

    pub(super) fn are_full(&self) -> bool {
        self.list.len() >= MOST
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets all faults but the first ones.
    pub(super) fn truncate(&mut self, length: usize) {
        self.list.truncate(length);
    }

    pub(super) fn into_error(self) -> Option<Error> {
        Error::from_details(self.list)
    }
}

/// The client's text, cut to what fits into a message.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
