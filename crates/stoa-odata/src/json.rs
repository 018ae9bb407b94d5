//! Answers' payloads: what a query reads becomes OData JSON, straight into one buffer.
//!
//! A [`Plan`] holds everything that is the same for every row of a query's shape, above all the escaped
//! names; it is made once and shared. A [`Writer`] is one answer. [`text`] knows the form of each value.

mod plan;
mod single;
pub mod text;
mod writer;

pub use plan::{Content, Plan};
pub use single::{PropertyWriter, RawWriter, count_text, path_of_row, resource_path};
pub use writer::{NextLink, Writer};

#[cfg(test)]
mod tests;
