//! The wire: URL → query, `$metadata`, JSON in and out.
//!
//! Owns: OData's URL, header and payload forms, the one public error type of the data service, and the
//! limits on what a client may send.
//!
//! Does not own: SQL, connections, HTTP servers. No I/O: every function is pure.
//!
//! Invariants: bad input becomes an [`error::Error`] with a stable code that names what is wrong and
//! where, never a panic; what leaves [`body`] is valid against the model; what leaves [`json`] is valid
//! JSON.
//!
//! Start reading at [`error`]; then [`negotiate`] (headers), [`body`] (requests' payloads), [`json`],
//! [`metadata`] and [`openapi`] (answers' payloads).

pub mod address;
pub mod body;
pub mod error;
pub mod json;
pub mod metadata;
pub mod negotiate;
pub mod openapi;
pub mod resolve;
pub mod skiptoken;
pub mod url;

#[cfg(test)]
mod sample;
