//! The link: connections that an app server dials to web servers, and serves HTTP over.
//!
//! Start reading at [`trust`].

pub mod trust;
