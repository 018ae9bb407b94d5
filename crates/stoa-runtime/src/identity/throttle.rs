//! Slows down guessing.

/// How many sign-ins may fail.
#[derive(Clone, Debug, Default)]
pub struct Limits {}
