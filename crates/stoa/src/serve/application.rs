//! What answers for an environment: an application of ours, or a foreign one behind this server.

use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use stoa_web::Body;
use stoa_web::server::Handler;
use stoa_web::upstream::Upstream;

use crate::site::Site;

/// An application in an environment.
pub(crate) enum Application {
    /// Of ours.
    Own(Box<Site>),
    /// Any HTTP application.
    Foreign(Arc<Upstream>),
}

impl Handler for Application {
    async fn handle(&self, request: Request<Incoming>, id: &HeaderValue) -> Response<Body> {
        match self {
            Self::Own(site) => site.handle(request, id).await,
            Self::Foreign(upstream) => upstream.handle(request, id).await,
        }
    }
}
