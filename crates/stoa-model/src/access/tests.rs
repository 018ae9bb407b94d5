//! Small models, rules and requests, and what becomes of them.

mod reading;
mod text;
mod writing;
