//! What answers for an environment: an application of ours, or a foreign one behind this server.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use stoa_web::Body;
use stoa_web::server::{Asked, Handler};
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
    async fn handle(&self, request: Request<Incoming>, asked: &mut Asked) -> Response<Body> {
        match self {
            Self::Own(site) => site.handle(request, asked).await,
            Self::Foreign(upstream) => upstream.handle(request, asked).await,
        }
    }
}
