//! Small models, rules and requests, and what becomes of them.

mod allowed;
mod explained;
mod reading;
mod seen;
mod special;
mod tape;
mod text;
mod user;
mod world;
mod writing;
