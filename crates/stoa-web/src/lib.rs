//! The web tier: connections and static content.
//!
//! Owns: the accept loop with its limits and time-outs, HTTP/1.1 and HTTP/2, request ids, draining ([`server`]);
//! certificates ([`tls`]) and who gives them ([`acme`]); who the client is ([`forwarded`], [`proxy_protocol`]) and how
//! often it may ask ([`rate_limit`]); the log of requests ([`access_log`]); what is shown when there is no answer
//! ([`error_pages`]); the folder that is served at `/` ([`static_content`]).
//!
//! Does not own: any database, any model, any route. Who serves which path is the binary's decision;
//! this crate is given one function from request to response.
//!
//! Invariants:
//! - A path of a request never reaches the file system: it is a key of a map made at load.
//! - Static content is sent from bytes and headers prepared at load; only answers of applications are compressed as
//!   they pass ([`compression`]).
//! - Every request has one form, and one reading, before anybody else sees it.
//! - Nothing that a client says of itself is believed, or handed on.
//! - Nothing that a client sends or withholds keeps a connection for ever, nor costs memory without bound.
//!
//! Start reading at [`server::serve`] and [`static_content::StaticContent::respond`].

pub mod access_log;
pub mod acme;
pub mod body;
pub mod compression;
pub mod error_pages;
pub mod forwarded;
pub mod host_name;
pub mod proxy_protocol;
pub mod rate_limit;
pub mod redirect;
pub mod replica;
pub mod request_id;
pub mod security_headers;
pub mod server;
pub mod static_content;
pub mod tier;
pub mod tls;
mod tunnel;
pub mod upstream;

pub use body::Body;
pub use error_pages::ErrorPages;
pub use security_headers::SecurityHeaders;
pub use static_content::{LoadError, StaticContent};
