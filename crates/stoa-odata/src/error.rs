//! The one public error type of the data service.
//!
//! A code is a promise: clients may branch on it, so it never changes its meaning. The table in
//! `docs/reference/errors.md` is made from [`Code::ALL`].

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use stoa_model::access::Denial;
use stoa_model::change::{Action, Change, Rule, Violation};

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong: sending it again will not help.
    Client,
    /// The application (its model or logic) or the server's own code is wrong.
    Application,
    /// Something that the server depends on (a database) does not answer.
    Upstream,
    /// The machine or its configuration: disk full, limits.
    Operator,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Client => "client",
            Self::Application => "application",
            Self::Upstream => "upstream",
            Self::Operator => "operator",
        })
    }
}

macro_rules! codes {
    ($($name:ident $status:literal $fault:ident $retriable:literal $meaning:literal;)*) => {
        /// Stable codes of errors, as they stand in `error.code` and in the details.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text in the payload.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// HTTP status of an answer that has this code.
            #[must_use]
            pub fn status(self) -> StatusCode {
                // A test checks that every number is a status.
                let number: u16 = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// Whose fault it is.
            #[must_use]
            pub fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)* }
            }

            /// Whether the same request may succeed later without anybody changing anything in it.
            #[must_use]
            pub fn is_retriable(self) -> bool {
                match self { $(Self::$name => $retriable,)* }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    InvalidUrl 400 Client false "The URL is not well-formed; the message gives the position.";
    InvalidOption 400 Client false "A query option is unknown, given twice, or has a wrong value.";
    InvalidHeader 400 Client false "A request header has a value that cannot be understood.";
    UnsupportedVersion 400 Client false "The OData version asked for is older than 4.0 or newer than 4.01.";
    TypeMismatch 400 Client false "An expression compares or combines values of types that do not fit.";
    LimitExceeded 400 Client false "The request asks for more than a limit of the application allows.";
    InvalidJson 400 Client false "The body is not well-formed JSON; the message gives line and column.";
    InvalidBody 400 Client false "The body has several faults, or its shape is wrong; see the details.";
    UnknownProperty 400 Client false "The type has no property of this name; the message names the nearest.";
    UnknownType 400 Client false "A type name is unknown, or the type is not allowed here.";
    DuplicateProperty 400 Client false "A JSON object has the same name twice.";
    WrongType 400 Client false "A JSON value is of another type than the property.";
    InvalidFormat 400 Client false "A text is not a legal date, time, duration, uuid, number or binary value.";
    OutOfRange 400 Client false "A number, date or duration is below the least or above the greatest legal value.";
    TooLong 400 Client false "A text or binary value is longer than the property allows.";
    TooPrecise 400 Client false "A decimal has more digits than the property keeps.";
    PatternMismatch 400 Client false "A text does not match the property's pattern.";
    UnknownMember 400 Client false "A text is not a member of the enumeration.";
    Required 400 Client false "A value or a reference that must be given is missing or null.";
    ReadOnly 400 Client false "The property cannot be set by a client.";
    InvalidReference 400 Client false "A reference is not a URL of an entity of the right type.";
    ReferenceNotFound 400 Client false "A reference leads to a row that does not exist.";
    RequestIdReused 400 Client false "Another request had the same Repeatability-Request-ID; nothing was done.";
    CheckFailed 400 Client false "A check of the database refuses the value.";
    ResponseTooLarge 400 Client false "The answer would be larger than the limit: ask for fewer rows or properties.";
    NotSignedIn 401 Client false "The request does not say who makes it, or what it says is not valid (any more): sign in, or send a valid token.";
    Forbidden 403 Client false "No access rule of the user's roles allows this; the target names the member if it is about one.";
    CrossSite 403 Client false "A page of another site tries to change data; only pages of this server may.";
    NotFound 404 Client false "There is no such resource: no row with this key, or no such path.";
    MethodNotAllowed 405 Client false "The resource does not support the method; see the header Allow.";
    NotAcceptable 406 Client false "None of the accepted media types can be given.";
    NotUnique 409 Client false "Another row has the same key or the same unique values.";
    Referenced 409 Client false "Other rows refer to the row that is to be deleted.";
    PreconditionFailed 412 Client false "The row has another version than If-Match says, or exists although If-None-Match is *.";
    RepeatTooLate 412 Client false "Repeatability-First-Sent is too long ago to know whether the request has taken effect, or in the future; nothing was done.";
    BodyTooLarge 413 Client false "The body is larger than the limit.";
    UrlTooLong 414 Client false "The URL is longer than the limit.";
    UnsupportedMediaType 415 Client false "The body is not JSON.";
    PreconditionRequired 428 Client false "The entity has a version: send its ETag in If-Match.";
    Internal 500 Application false "An unexpected failure; the log has the cause under the request's id.";
    NotImplemented 501 Client false "Legal OData that this service does not support.";
    Unavailable 503 Upstream true "The database does not answer or the server is stopping; see Retry-After.";
    Overloaded 503 Operator true "Too many requests at once; see Retry-After.";
    StatementTimeout 504 Client false "The database took longer than the time allowed: ask for less.";
    StorageFull 507 Operator true "There is no room to store the change; nothing was changed.";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// What kind.
    pub code: Code,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// Path of the property, or name of the query option or header.
    pub target: Option<String>,
}

/// An error as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// Stable code.
    pub code: Code,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// What part of the request is wrong.
    pub target: Option<String>,
    /// All faults, when they were looked for one by one.
    pub details: Vec<Detail>,
    /// When to try again, for the header `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error without target.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            target: None,
            details: Vec::new(),
            retry_after: None,
        }
    }

    /// Names what part of the request is wrong.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// An error for one or more faults; `None` if there are none.
    #[must_use]
    pub fn from_details(details: Vec<Detail>) -> Option<Self> {
        let first = details.first()?;
        let (code, message, target) = if details.len() == 1 {
            (first.code, first.message.clone(), first.target.clone())
        } else {
            // The worst decides the status: a conflict among invalid values is still an invalid request.
            let message = format!("{} faults; the first: {}", details.len(), first.message);
            let same = details.iter().all(|detail| detail.code == first.code);
            (
                if same { first.code } else { Code::InvalidBody },
                message,
                None,
            )
        };
        Some(Self {
            code,
            message,
            target,
            details,
            retry_after: None,
        })
    }

    /// A legal request that is not supported.
    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(
            Code::NotImplemented,
            format!("{what} is not supported by this service"),
        )
    }

    /// A failure whose cause goes to the log and not to the client.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            "an unexpected failure; the server's log has its cause under the request id",
        )
    }

    /// Something that the server needs is away for a while.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::Unavailable, message)
        }
    }

    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// Appends `{"error":{…}}`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        use crate::json::text::write_string;
        out.extend_from_slice(b"{\"error\":{\"code\":");
        write_string(out, self.code.as_str());
        out.extend_from_slice(b",\"message\":");
        write_string(out, &self.message);
        if let Some(target) = &self.target {
            out.extend_from_slice(b",\"target\":");
            write_string(out, target);
        }
        if !self.details.is_empty() {
            out.extend_from_slice(b",\"details\":[");
            for (position, detail) in self.details.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"code\":");
                write_string(out, detail.code.as_str());
                out.extend_from_slice(b",\"message\":");
                write_string(out, &detail.message);
                if let Some(target) = &detail.target {
                    out.extend_from_slice(b",\"target\":");
                    write_string(out, target);
                }
                out.push(b'}');
            }
            out.push(b']');
        }
        out.extend_from_slice(b"}}");
    }

    /// The body of the answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        self.write_json(&mut out);
        out
    }

    /// The answer to a change that the database refused.
    #[must_use]
    pub fn from_violation(violation: &Violation, change: &Change) -> Self {
        Self::from_violations(std::slice::from_ref(violation), change)
    }

    /// The answer to a change that the database refused for one or more reasons.
    #[must_use]
    pub fn from_violations(violations: &[Violation], change: &Change) -> Self {
        let details = violations
            .iter()
            .map(|violation| {
                let operation = change.operations.get(violation.operation);
                let location = operation.map_or("", |operation| operation.location.as_str());
                let mut detail = detail_of(&violation.rule, location);
                // A link's own place is the navigation already.
                if !location.is_empty()
                    && operation.is_some_and(|operation| {
                        matches!(
                            operation.action,
                            Action::Link { .. } | Action::Unlink { .. }
                        )
                    })
                {
                    detail.target = Some(location.to_owned());
                }
                detail
            })
            .collect();
        Self::from_details(details).unwrap_or_else(Self::internal)
    }

    /// The answer to a change that no access rule allows. `operation` is its position in the change.
    #[must_use]
    pub fn from_denial(denial: &Denial, operation: usize, change: &Change) -> Self {
        let action = change.operations.get(operation);
        let location = action.map_or("", |operation| operation.location.as_str());
        let (message, member) = match denial {
            Denial::Create => ("you may not create such a row".to_owned(), ""),
            Denial::Update => ("you may not change this row like that".to_owned(), ""),
            Denial::Delete => ("you may not delete this row".to_owned(), ""),
            Denial::Member(name) => (format!("you may not give {name} this value"), name.as_str()),
            // What the user may not see does not exist.
            Denial::Reference(navigation) => {
                return Self::from_violation(
                    &Violation {
                        operation,
                        rule: Rule::ReferenceMissing {
                            navigation: navigation.clone(),
                        },
                    },
                    change,
                );
            }
        };
        let error = Self::new(Code::Forbidden, message);
        match join(location, member) {
            target if target.is_empty() => error,
            target => error.at(target),
        }
    }
}

impl From<stoa_model::expression::error::Error> for Error {
    fn from(error: stoa_model::expression::error::Error) -> Self {
        use stoa_model::expression::error::ErrorKind;
        let code = match error.kind {
            ErrorKind::Syntax => Code::InvalidUrl,
            ErrorKind::Limit => Code::LimitExceeded,
            ErrorKind::UnknownName => Code::UnknownProperty,
            ErrorKind::Type => Code::TypeMismatch,
            ErrorKind::Range => Code::OutOfRange,
            ErrorKind::Unsupported => Code::NotImplemented,
        };
        // Its text names the position, what was expected, and the nearest name.
        Self::new(code, error.to_string())
    }
}

/// `Lines/0` and `Product` → `Lines/0/Product`.
pub(crate) fn join(location: &str, member: &str) -> String {
    if location.is_empty() {
        member.to_owned()
    } else if member.is_empty() {
        location.to_owned()
    } else {
        format!("{location}/{member}")
    }
}

fn detail_of(rule: &Rule, location: &str) -> Detail {
    let (code, message, member) = match rule {
        Rule::Unique { members } if members.is_empty() => (
            Code::NotUnique,
            "another row has the same values: choose others".to_owned(),
            "",
        ),
        // What the reader may not know of has no name.
        Rule::Unique { members } if members.is_empty() => (
            Code::NotUnique,
            "another row has the same values: choose other ones".to_owned(),
            "",
        ),
        Rule::Unique { members } => (
            Code::NotUnique,
            format!(
                "another row has the same value of {}: choose another one",
                members.join(", ")
            ),
            members.first().map(String::as_str).unwrap_or_default(),
        ),
        Rule::ReferenceMissing { navigation } if navigation.is_empty() => (
            Code::ReferenceNotFound,
            "a reference leads to a row that does not exist".to_owned(),
            "",
        ),
        Rule::ReferenceMissing { navigation } => (
            Code::ReferenceNotFound,
            format!("{navigation} refers to a row that does not exist"),
            navigation.as_str(),
        ),
        Rule::ReferencedBy { entity, .. } if entity.is_empty() => (
            Code::Referenced,
            "other rows still refer to this row".to_owned(),
            "",
        ),
        Rule::ReferencedBy { entity, navigation } => (
            Code::Referenced,
            format!(
                "rows of {entity} still refer to this row by {navigation}: change or delete them first"
            ),
            "",
        ),
        Rule::Required { member } if member.is_empty() => (
            Code::Required,
            "a value is missing that you may not give: somebody else must".to_owned(),
            "",
        ),
        Rule::Required { member } => (
            Code::Required,
            format!("{member} must have a value"),
            member.as_str(),
        ),
        Rule::Check { member } if member.is_empty() => (
            Code::CheckFailed,
            "the database refuses a value".to_owned(),
            "",
        ),
        Rule::Check { member } => (
            Code::CheckFailed,
            format!("the database refuses the value of {member}"),
            member.as_str(),
        ),
    };
    let target = join(location, member);
    Detail {
        code,
        message,
        target: (!target.is_empty()).then_some(target),
    }
}

/// The table of codes, for the reference.
#[must_use]
pub fn reference_table() -> String {
    let mut table =
        String::from("| code | status | whose fault | retry | meaning |\n|---|---|---|---|---|\n");
    for code in Code::ALL {
        table.push_str(&format!(
            "| `{code}` | {} | {} | {} | {} |\n",
            code.status().as_u16(),
            code.fault(),
            if code.is_retriable() { "yes" } else { "no" },
            code.meaning(),
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_model::change::{Operation, Target};
    use stoa_model::model::{EntityId, NavigationId};

    #[test]
    fn the_reference_lists_every_code() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/errors.md"
        );
        let page = std::fs::read_to_string(path).unwrap();
        assert!(
            page.contains(&reference_table()),
            "put this table into docs/reference/errors.md:\n{}",
            reference_table()
        );
    }

    #[test]
    fn every_code_has_a_real_error_status() {
        for code in Code::ALL {
            let status = code.status();
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{code}"
            );
            assert!(
                *code == Code::Internal || status != StatusCode::INTERNAL_SERVER_ERROR,
                "{code}"
            );
        }
    }

    #[test]
    fn a_link_that_fails_names_its_navigation_once() {
        let key = || Target::Key(vec![]);
        let change = Change {
            operations: vec![Operation {
                location: "Tags".into(),
                action: Action::Link {
                    entity: EntityId(0),
                    from: key(),
                    navigation: NavigationId(0),
                    to: key(),
                },
            }],
        };
        let missing = Violation {
            operation: 0,
            rule: Rule::ReferenceMissing {
                navigation: "Tags".into(),
            },
        };
        let error = Error::from_violation(&missing, &change);
        assert_eq!(error.details[0].target.as_deref(), Some("Tags"));
    }

    #[test]
    fn violations_name_code_and_place() {
        let change = Change {
            operations: vec![Operation {
                location: "Lines/1".into(),
                action: Action::Insert {
                    entity: EntityId(0),
                    values: vec![],
                    references: vec![],
                },
            }],
        };
        let violation = |rule| Violation { operation: 0, rule };
        let unique = violation(Rule::Unique {
            members: vec!["Number".into(), "Year".into()],
        });
        let error = Error::from_violation(&unique, &change);
        assert_eq!(error.status(), StatusCode::CONFLICT);
        insta::assert_snapshot!(String::from_utf8(error.to_json()).unwrap(), @r#"{"error":{"code":"NotUnique","message":"another row has the same value of Number, Year: choose another one","target":"Lines/1/Number","details":[{"code":"NotUnique","message":"another row has the same value of Number, Year: choose another one","target":"Lines/1/Number"}]}}"#);
        let missing = violation(Rule::ReferenceMissing {
            navigation: "Product".into(),
        });
        let error = Error::from_violations(&[missing, unique], &change);
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.details.len(), 2);
        assert_eq!(error.details[0].target.as_deref(), Some("Lines/1/Product"));
    }
}
