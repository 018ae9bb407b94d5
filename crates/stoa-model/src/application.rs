//! An application folder, read and judged.

mod draft;
mod keys;
mod literal;
mod load;
mod names;
mod plural;
mod quoted;
mod resolve;
pub mod schema;
mod system;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use load::{load, load_from_sources};

use crate::diagnostic::Diagnostics;
use crate::model::Model;

/// A loaded application, and what is questionable about it.
#[derive(Debug)]
pub struct Loaded {
    /// The application.
    pub application: Application,
    /// Warnings only.
    pub warnings: Diagnostics,
}

/// An application as loaded: everything in it is valid.
#[derive(Debug)]
pub struct Application {
    /// The folder.
    pub folder: PathBuf,
    /// `app.toml`.
    pub manifest: Manifest,
    /// `model/*.toml`.
    pub model: Model,
}

/// What `app.toml` says.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Namespace of the service; an identifier.
    pub name: String,
    /// For people; the name when none is given.
    pub label: String,
    /// For people.
    pub description: Option<String>,
    /// The application's own version, free text.
    pub version: Option<String>,
    /// Limits on requests.
    pub limits: Limits,
    /// How long people stay signed in.
    pub sessions: Sessions,
    /// Users to try the application out with.
    pub demonstration: Option<Demonstration>,
    /// Static content.
    pub web: Web,
}

/// What `app.toml` says of static content (`[web]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// The header `Content-Security-Policy` of the folder `web`; none: the server's own.
    pub content_security_policy: Option<String>,
}

/// How long people stay signed in (`[sessions]` in `app.toml`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// Time without a request after which a session ends.
    pub idle: Duration,
    /// Time after which a session ends in any case.
    pub lifetime: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(3600),
            lifetime: Duration::from_secs(12 * 3600),
        }
    }
}

/// Users that everybody knows the password of (`[demonstration]` in `app.toml`). Made in a database of their
/// own, by `stoa run --demo-users`, and served on loopback only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demonstration {
    /// Password of all of them.
    pub password: String,
    /// The users.
    pub users: Vec<DemonstrationUser>,
}

/// A user for demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemonstrationUser {
    /// Name for signing in.
    pub name: String,
    /// Name of a user role.
    pub role: String,
}

/// Limits on what a client may ask (`[limits]` in `app.toml`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's URL.
    pub url_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of one answer's body.
    pub response_bytes: usize,
    /// Levels of `$expand`.
    pub expand_depth: usize,
    /// Rows of one page: the page size of an unbounded collection, and the most that `$top` or
    /// `maxpagesize` get at once (the rest comes by nextLink).
    pub page_rows: u64,
    /// Nodes of a `$filter` or `$orderby` tree.
    pub filter_nodes: usize,
    /// Operations of one write (a deep insert).
    pub write_operations: usize,
    /// Time of one database statement.
    pub statement_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            url_bytes: 16 * 1024,
            body_bytes: 4 * 1024 * 1024,
            response_bytes: 64 * 1024 * 1024,
            expand_depth: 6,
            page_rows: 1000,
            filter_nodes: 400,
            write_operations: 1000,
            statement_timeout: Duration::from_secs(30),
        }
    }
}
