//! Where a sign-in comes from.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::USER_AGENT;

use super::cookies::{Cookies, Kind};
use super::seed::Seed;

/// Longest text of a browser's name that is kept, in characters (the column's length).
const AGENT: usize = 300;

/// What is known of the client that wants to sign in.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its address.
    pub address: Option<IpAddr>,
    /// What it calls itself (`User-Agent`), cut to what is kept.
    pub agent: Option<String>,
    /// The cookie that says that somebody has signed in from this device before.
    pub device: Option<String>,
    /// Session cookies that it has already: that of users and that of administrators. They end with the
    /// sign-in.
    pub user_session: Option<String>,
    /// See `user_session`.
    pub administrator_session: Option<String>,
    /// Identity of the request, for the audit trail.
    pub request: Option<String>,
    /// What the answer's secrets are made of, if the request may be repeated.
    pub seed: Option<Seed>,
}

impl Client {
    /// From the headers of a request.
    #[must_use]
    pub fn new(headers: &HeaderMap, address: Option<IpAddr>, request: Option<&str>) -> Self {
        let cookies = Cookies::of(headers);
        let agent = headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|agent| agent.chars().take(AGENT).collect());
        Self {
            address: address.map(|address| address.to_canonical()),
            agent,
            device: cookies.get(headers, Kind::Device).map(str::to_owned),
            user_session: cookies.get(headers, Kind::User).map(str::to_owned),
            administrator_session: cookies.get(headers, Kind::Administrator).map(str::to_owned),
            request: request.map(str::to_owned),
            seed: None,
        }
    }
}
