//! The web tier: connections and static content.
//!
//! Owns: the accept loop with its limits and time-outs, request ids, draining ([`server`]); the folder
//! that is served at `/` ([`static_content`]).
//!
//! Does not own: any database, any model, any route. Who serves which path is the binary's decision;
//! this crate is given one function from request to response.
//!
//! Invariants:
//! - A path of a request never reaches the file system: it is a key of a map made at load.
//! - Static content is sent from bytes and headers prepared at load; only answers of applications are compressed as
//!   they pass ([`compression`]).
//! - Nothing that a client sends or withholds keeps a connection for ever, nor costs memory without bound.
//!
//! Start reading at [`server::serve`] and [`static_content::StaticContent::respond`].

pub mod body;
pub mod compression;
pub mod request_id;
pub mod security_headers;
pub mod server;
pub mod static_content;

pub use body::Body;
pub use security_headers::SecurityHeaders;
pub use static_content::{LoadError, StaticContent};
