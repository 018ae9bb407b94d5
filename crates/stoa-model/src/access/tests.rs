//! Small models, rules and requests, and what becomes of them.

mod explained;
mod reading;
mod seen;
mod special;
mod text;
mod user;
mod world;
mod writing;
