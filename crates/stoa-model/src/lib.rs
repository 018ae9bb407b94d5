//! The application definition, and the types in which requests are stated.
//!
//! Owns: what a model is, how its text is read and judged ([`application`], [`diagnostic`], [`document`]), the
//! expression language ([`expression`]), what access rules allow ([`access`]), and the contracts between the wire and the store ([`query`],
//! [`change`], [`value`]).
//!
//! Does not own: SQL, HTTP, OData's URL and JSON forms. Does no I/O beyond reading the application's
//! folder.
//!
//! Invariants: a [`model::Model`] is valid by construction; faults in text are collected and carry
//! file, line and column.
//!
//! Start reading at [`model`].

pub mod access;
pub mod application;
pub mod change;
pub mod diagnostic;
pub mod document;
pub mod expression;
pub mod model;
pub mod physical;
pub mod query;
pub mod value;
