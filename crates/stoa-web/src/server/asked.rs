//! What is known of a request beside itself.

use http::HeaderValue;

use crate::access_log::Served;
use crate::forwarded::Client;

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
}
