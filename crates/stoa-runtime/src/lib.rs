//! An environment in motion: an application served from its database.
//!
//! Owns: the way of a request from headers to answer ([`environment`]), who makes it ([`identity`]), the
//! product's own pages ([`pages`]), people whom a provider knows ([`single_sign_on`]), sample data, the
//! content of files.
//!
//! Does not own: URLs, JSON and errors of the protocol (stoa-odata), SQL (stoa-store), structure
//! (stoa-schema), sockets and static content (stoa-web).
//!
//! Invariants: an error is turned into an answer once, here; nothing of a failed write is ever visible.
//!
//! Start reading at [`environment`].

pub mod body;
pub mod csrf;
pub mod environment;
mod failure;
mod file_property;
pub mod files;
pub mod identity;
mod nearest;
pub mod pages;
mod read;
pub mod repeat;
pub mod sample_data;
pub mod single_sign_on;
mod view;
mod write;

pub use environment::{Environment, Origin, SERVICE_PATH};
