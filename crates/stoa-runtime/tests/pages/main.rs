//! The product's own pages, used as a browser uses them; and single sign-on with a real provider.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod account;
mod administration;
mod browser;
mod provider;
mod repeat;
mod sign_in;
mod single_sign_on;
mod site;
