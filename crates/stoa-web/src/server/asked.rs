//! What is known of a request beside itself.

use http::{HeaderMap, HeaderValue};

use crate::access_log::Served;
use crate::forwarded::Client;
use crate::request_id;

/// What is known of a request beside itself, and what whoever answers it tells of the answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request's id.
    pub id: HeaderValue,
    /// Who makes it.
    pub client: Client,
    /// For the log; whoever answers fills it in.
    pub served: Served,
}

impl Asked {
    /// Before it is answered.
    #[must_use]
    pub fn new(id: HeaderValue, client: Client) -> Self {
        Self {
            id,
            client,
            served: Served::default(),
        }
    }

    /// As a web server says that has handed it on.
    #[must_use]
    pub fn handed_on(headers: &HeaderMap) -> Self {
        Self::new(
            request_id::accept_or_make(headers),
            Client::handed_on(headers),
        )
    }
}
