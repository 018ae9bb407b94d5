//! The socket by which the operator asks a server on its own machine.
//!
//! It lies in the server's data folder, for its owner only, and speaks HTTP: `GET /status`, `POST /drain`,
//! `POST /undrain`, `POST /maintenance/<environment>/on` and `/off`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use stoa_link::announcement::Event;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::report::Report;
use crate::Result;
use crate::failure::{Exit, Failure};

/// Name of the socket in a server's data folder.
const NAME: &str = "control.sock";
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket, bound.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

impl Socket {
    /// Binds the socket in a server's data folder, in place of one that nobody listens on any more.
    pub(crate) fn bind(data: &Path) -> Result<Self> {
        let path = path(data);
        let failure = |message: String| Failure::new(Exit::CannotCreate, message);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(Failure::new(
                Exit::Temporary,
                format!(
                    "another server runs with the data folder {}",
                    data.display()
                ),
            ));
        }
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(failure(format!(
                "cannot replace {}: {error}",
                path.display()
            )));
        }
        let listener = UnixListener::bind(&path)
            .map_err(|error| failure(format!("cannot listen on {}: {error}", path.display())))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|error| failure(format!("cannot protect {}: {error}", path.display())))?;
        Ok(Self { listener, path })
    }

    /// Answers until the task is aborted.
    pub(crate) fn serve(self, report: Arc<Report>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let sampled = Arc::clone(&report);
            let _sampler = AbortOnDrop(tokio::spawn(async move { sampled.follow().await }));
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let report = Arc::clone(&report);
                        tokio::spawn(async move { attend(stream, &report).await });
                    }
                    Err(error) => {
                        tracing::error!(%error, socket = %self.path.display(), "cannot accept at the control socket");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
    }
}

/// Ends a task with the one that has begun it.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone with its folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn attend(stream: UnixStream, report: &Arc<Report>) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let (status, body) = answer(report, request.method(), request.uri().path()).await;
        let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        Ok::<_, std::convert::Infallible>(response)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the control socket ended with an error");
    }
}

async fn answer(report: &Report, method: &Method, path: &str) -> (StatusCode, Value) {
    let instances = |event| {
        (
            StatusCode::OK,
            json!({ "instances": report.transition(event) }),
        )
    };
    match (method, path) {
        (&Method::GET, "/status") => (StatusCode::OK, report.status().await),
        (&Method::POST, "/drain") => instances(Event::Drain),
        (&Method::POST, "/undrain") => instances(Event::Undrain),
        (&Method::POST, path) => {
            let maintained = path
                .strip_prefix("/maintenance/")
                .and_then(|rest| rest.rsplit_once('/'))
                .filter(|(environment, switch)| {
                    matches!(*switch, "on" | "off") && report.maintain(environment, *switch == "on")
                });
            match maintained {
                Some((environment, switch)) => (
                    StatusCode::OK,
                    json!({ "environment": environment, "maintenance": switch }),
                ),
                None => not_found(),
            }
        }
        _ => not_found(),
    }
}

fn not_found() -> (StatusCode, Value) {
    (
        StatusCode::NOT_FOUND,
        json!({ "message": "there is nothing of that name" }),
    )
}

/// Asks the server whose data folder this is.
pub(crate) async fn ask(data: &Path, method: Method, target: &str) -> Result<Value> {
    let socket = path(data);
    let unavailable = |reason: String| {
        Failure::new(
            Exit::Unavailable,
            format!("cannot ask the server at {}: {reason}", socket.display()),
        )
        .hint("it answers on its own machine only, to the user it runs as; does it run?")
    };
    let asked = async {
        let stream = UnixStream::connect(&socket)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        tokio::spawn(async move {
            // The answer tells of failures.
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| unavailable(error.to_string()))?
            .to_bytes();
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| unavailable(format!("its answer is no JSON: {error}")))?;
        if status == StatusCode::OK {
            return Ok(value);
        }
        let message = value["message"].as_str().unwrap_or("it refuses").to_owned();
        Err(Failure::new(Exit::Configuration, message))
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(unavailable("it does not answer".to_owned())))
}
