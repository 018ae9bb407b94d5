//! Static content as it travels from app servers to web servers.
//!
//! A [`Source`] has the files of a folder and a list of them with their digests. [`fetch`] takes the list, then the
//! files that are not here yet, checks every byte against its digest, and serves the copy with the same code as the
//! folder itself. Files are kept by digest, so a new release fetches what is new in it, and copies of several
//! releases stand side by side.

mod list;
mod source;
mod store;

pub use source::Source;
pub use store::{FetchError, Replica, fetch, tidy};

/// Root of the paths on a link under which content is asked for.
pub const PATHS: &str = "/.stoa/content/";
