//! A request that was prepared for an instance, answered in this process instead: it passes through HTTP without a
//! socket, since who answers takes requests as they come from a connection.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{client, server};
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::server::{Asked, Handler};

/// Bytes on their way.
const BUFFER: usize = 64 * 1024;

/// Asks `handler`. It is given up when the answer is.
pub(super) async fn ask<L: Handler>(
    handler: &Arc<L>,
    request: Request<Body>,
) -> hyper::Result<Response<Incoming>> {
    let (near, far) = tokio::io::duplex(BUFFER);
    let handler = Arc::clone(handler);
    tokio::spawn(async move {
        let service = service_fn(|request: Request<Incoming>| {
            let handler = Arc::clone(&handler);
            async move {
                let mut asked = Asked::handed_on(request.headers());
                Ok::<_, Infallible>(handler.handle(request, &mut asked).await)
            }
        });
        let mut builder = server::conn::http1::Builder::new();
        builder.header_read_timeout(None);
        let serving = builder.serve_connection(TokioIo::new(far), service);
        if let Err(error) = serving.await {
            tracing::debug!(%error, "a request in memory was given up");
        }
    });
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a request in memory was given up");
        }
    });
    sender.send_request(request).await
}
