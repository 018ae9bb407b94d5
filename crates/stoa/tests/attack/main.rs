//! What an attacker tries, through the built binary: a test or more for every item of the OWASP API Security
//! Top 10 (2023). What rests on the database runs on both.
//!
//! | item | module |
//! |---|---|
//! | API1 broken object level authorisation | `objects` |
//! | API2 broken authentication | `authentication`, `enumeration` |
//! | API3 broken object property level authorisation | `properties` |
//! | API4 unrestricted resource consumption | `resources` |
//! | API5 broken function level authorisation | `functions` |
//! | API6 unrestricted access to sensitive business flows | `authentication`, `enumeration` |
//! | API7 server side request forgery | `forgery` |
//! | API8 security misconfiguration | `configuration` |
//! | API9 improper inventory management | `inventory` |
//! | API10 unsafe consumption of APIs | `forgery` |
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod authentication;
mod configuration;
mod enumeration;
mod forgery;
mod functions;
mod inventory;
mod objects;
mod properties;
mod resources;
mod world;
