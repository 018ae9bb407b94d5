//! Whole sites on real networks: processes in network namespaces behind real firewall rules, a PostgreSQL on
//! a host of its own, TLS, and users outside who are at work while things break. What they saw is judged
//! afterwards against what is in the database.
//!
//! | module | what |
//! |---|---|
//! | `harness` | the tests' own instruments, on a server as it runs alone |
//! | `options` | the same application in every architecture |
//! | `faults` | what happens to users when a part of the site fails |
//! | `walls` | what a web server in a DMZ can reach |
//! | `site` | builds and starts a site |
//! | `shop` | what users know of the application |
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod faults;
mod front;
mod harness;
mod options;
mod shop;
mod site;
mod walls;
