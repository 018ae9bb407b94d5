//! Small models, rules and requests, and what becomes of them.

mod reading;
mod special;
mod text;
mod user;
mod writing;
