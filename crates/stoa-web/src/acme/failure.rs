//! Why there is no new certificate, and what that says of the next try.

use std::io;

use instant_acme::{Error, Problem};
use tokio::task::JoinError;

use super::outgoing::RootsError;
use crate::tls::TlsError;

/// What keeps a certificate from being obtained.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no room; nothing was ordered.
    #[error("there is no place for the certificate")]
    Disk(#[source] io::Error),
    /// The authority does not answer, or not as one, or has a fault of its own.
    #[error("the authority cannot be asked")]
    Unreachable(#[source] Error),
    /// It will not give a certificate.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// It has been asked too often.
    #[error("the authority was asked too often: {0}")]
    RateLimited(String),
    /// It has lost the account.
    #[error("the authority does not know the account: {0}")]
    NoAccount(String),
    /// It validates in other ways only.
    #[error("the authority does not validate this name over HTTP")]
    NoHttp,
    /// It neither validates nor refuses.
    #[error("the authority takes too long")]
    Slow,
    /// Another server with the same account uses the order.
    #[error("another web server has the same order")]
    Busy,
    /// There is no randomness.
    #[error("cannot make a key")]
    Key(#[from] rcgen::Error),
    /// A fault of ours, or of the library.
    #[error("the task has failed")]
    Task(#[from] JoinError),
    /// It may have been made, and did not come.
    #[error("the certificate could not be fetched")]
    Unfetched(#[source] Box<Failure>),
    /// The certificates by which the authority itself is trusted.
    #[error("the authority cannot be trusted")]
    Roots(#[from] RootsError),
    /// It came, with something that is none.
    #[error("something else came with the certificate")]
    NoChain,
    /// It came, and could not be written.
    #[error("the certificate could not be written")]
    Lost(#[source] io::Error),
    /// It came, and is none.
    #[error("the certificate cannot be used")]
    Unusable(#[source] TlsError),
    /// It is for another name, or is about to expire by this machine's clock.
    #[error("the certificate is for another name, or for another time: is the clock right?")]
    Useless,
}

/// How often the same may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// At once, nearly: the next order is another one.
    Busy,
    /// Costs the authority nothing.
    Unreachable,
    /// Costs nobody anything: this machine is to be put right.
    Disk,
    /// Authorities allow a handful an hour.
    Refused,
    /// As it says.
    RateLimited,
    /// A certificate was made for nothing; authorities allow a handful of them a week.
    Spent,
}

impl Failure {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Busy => Kind::Busy,
            Self::Unreachable(_) => Kind::Unreachable,
            Self::Disk(_) | Self::Roots(_) => Kind::Disk,
            Self::Refused(_)
            | Self::NoAccount(_)
            | Self::NoHttp
            | Self::Slow
            | Self::Key(_)
            | Self::Task(_) => Kind::Refused,
            Self::RateLimited(_) => Kind::RateLimited,
            Self::Unfetched(_)
            | Self::NoChain
            | Self::Lost(_)
            | Self::Unusable(_)
            | Self::Useless => Kind::Spent,
        }
    }

    /// Whether what is known of the authority and the account may be wrong.
    pub(super) fn is_of_account(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoAccount(_))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => of_problem(problem),
            error => Self::Unreachable(error),
        }
    }
}

/// After RFC 8555 section 6.7.
fn of_problem(problem: Problem) -> Failure {
    let text = problem.to_string();
    let text = text.strip_prefix("API error: ").unwrap_or(&text).to_owned();
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let is_its_own = problem.status.is_some_and(|status| status >= 500);
    match kind.strip_prefix("urn:ietf:params:acme:error:") {
        // Let's Encrypt says "rateLimited" with 503 while it has too much to do.
        Some("rateLimited") if !is_its_own => Failure::RateLimited(text),
        Some("orderNotReady") => Failure::Busy,
        Some("accountDoesNotExist") => Failure::NoAccount(text),
        Some("serverInternal" | "badNonce") => Failure::Unreachable(Error::Api(problem)),
        _ if is_its_own => Failure::Unreachable(Error::Api(problem)),
        _ => Failure::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_apart() {
        let of = |kind: &str, status: u16| {
            let problem = serde_json::json!({
                "type": format!("urn:ietf:params:acme:error:{kind}"),
                "detail": "not for you",
                "status": status,
            });
            Failure::from(Error::Api(serde_json::from_value(problem).unwrap()))
        };
        for (kind, status, expected) in [
            ("rejectedIdentifier", 403, Kind::Refused),
            ("accountDoesNotExist", 400, Kind::Refused),
            ("somethingNew", 400, Kind::Refused),
            ("somethingNew", 503, Kind::Unreachable),
            ("serverInternal", 500, Kind::Unreachable),
            ("badNonce", 400, Kind::Unreachable),
            ("rateLimited", 429, Kind::RateLimited),
            ("rateLimited", 503, Kind::Unreachable),
            ("orderNotReady", 403, Kind::Busy),
        ] {
            assert_eq!(of(kind, status).kind(), expected, "{kind} {status}");
        }
        assert_eq!(
            of("rejectedIdentifier", 403).to_string(),
            "the authority refuses: not for you (urn:ietf:params:acme:error:rejectedIdentifier)"
        );
        assert!(of("accountDoesNotExist", 400).is_of_account());
        assert!(!of("rejectedIdentifier", 403).is_of_account());
        let bare = Error::Api(serde_json::from_str("{}").unwrap());
        assert_eq!(Failure::from(bare).kind(), Kind::Refused);
        assert_eq!(
            Failure::from(Error::Str("no nonce")).kind(),
            Kind::Unreachable
        );
    }
}
