//! A request in words, and what its answer comes to.

use http::Method;
use http::header::LOCATION;

use super::connection::{Answer, Broken};
use crate::history::{Kind, Outcome};

/// Characters of a refusal that are kept.
const KEPT_CHARACTERS: usize = 200;

/// A request in words.
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<(&'static str, String)>,
    pub(super) if_match: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) value: Option<u64>,
}

impl Asked {
    pub(super) fn get(kind: Kind, path: &str) -> Self {
        Self {
            kind,
            method: Method::GET,
            path: path.to_owned(),
            body: None,
            if_match: None,
            tag: None,
            value: None,
        }
    }
}

/// An answer that is not as it should be.
pub(super) fn failure(answer: &Answer) -> Outcome {
    let status = answer.status;
    let location = answer
        .headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let is_sent_to_sign_in =
        (300..400).contains(&status) && location.is_some_and(|to| to.contains("sign-in"));
    if status == 401 || is_sent_to_sign_in {
        return Outcome::SignedOut { status };
    }
    let error: String = String::from_utf8_lossy(&answer.body)
        .chars()
        .take(KEPT_CHARACTERS)
        .collect();
    if (400..500).contains(&status) {
        Outcome::Refused { status, error }
    } else {
        Outcome::Failed { status, error }
    }
}

pub(super) fn broken_outcome(broken: &Broken) -> Outcome {
    let error = text_of(broken);
    match broken {
        Broken::NotSent(_) => Outcome::NotSent { error },
        Broken::Unanswered(_) | Broken::Incomplete(_) => Outcome::NoAnswer { error },
    }
}

fn text_of(broken: &Broken) -> String {
    match broken {
        Broken::NotSent(error) | Broken::Unanswered(error) | Broken::Incomplete(error) => {
            error.clone()
        }
    }
}
