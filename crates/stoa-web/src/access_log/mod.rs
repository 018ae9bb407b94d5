//! A line for each request, for people and programs that count them.
//!
//! A request costs the making of its line and a lock that hardly anybody else wants; a thread of its own writes. If it
//! cannot keep up, lines are dropped and counted: a full disk must not stop the site.

mod line;
mod writer;

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Uri, Version, header};
use hyper::body::Incoming;

pub use line::Format;
pub use writer::Target;

use crate::server::{Asked, Finished, Observer};
use line::Line;
use writer::Writer;

/// What is logged, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// How a line looks.
    pub format: Format,
    /// Where lines go.
    pub target: Target,
    /// Beginnings of paths whose rest is a secret, such as `/-/link/`.
    pub secrets: Vec<String>,
}

/// A log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log {}", path.display())]
pub struct AccessLogError {
    path: PathBuf,
    source: io::Error,
}

/// What only the one who answers knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The environment that was asked.
    pub environment: Option<Arc<str>>,
    /// The instance that answered.
    pub instance: Option<Arc<str>>,
    /// The kind of request.
    pub route: Option<&'static str>,
}

/// A log of requests. The last clone to go writes what is left.
#[derive(Clone, Debug)]
pub struct AccessLog {
    writer: Arc<Writer>,
    format: Format,
    secrets: Arc<[String]>,
}

impl AccessLog {
    /// Opens the log.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be started.
    pub fn open(config: Config) -> Result<Self, AccessLogError> {
        let path = config.target.path().to_owned();
        let writer =
            Writer::start(config.target).map_err(|source| AccessLogError { path, source })?;
        Ok(Self {
            writer: Arc::new(writer),
            format: config.format,
            secrets: config.secrets.into(),
        })
    }

    /// Lines that could not be written since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Closes the file and opens it by its name again: for programs that rotate logs. It is noticed, too, within a
    /// second when the file is moved or deleted.
    pub fn reopen(&self) {
        self.writer.reopen();
    }

    /// A path as it may be seen.
    fn shown<'a>(&'a self, path: &'a str) -> &'a str {
        self.secrets
            .iter()
            .find(|secret| path.starts_with(secret.as_str()))
            .map_or(path, String::as_str)
    }
}

/// Logs what another observer is told.
#[derive(Debug)]
pub struct Logged<O> {
    observer: Arc<O>,
    log: Option<AccessLog>,
}

impl<O: Observer> Logged<O> {
    /// Without a log only the observer is told.
    pub fn new(observer: Arc<O>, log: Option<AccessLog>) -> Self {
        Self { observer, log }
    }
}

/// What is kept of a request until it is logged.
#[derive(Debug)]
struct Noted {
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
}

/// A request that is worked on.
#[derive(Debug)]
pub struct Exchange<E> {
    inner: E,
    noted: Option<Noted>,
}

fn text(value: Option<&HeaderValue>) -> Cow<'_, str> {
    String::from_utf8_lossy(value.map_or(&b""[..], HeaderValue::as_bytes))
}

impl<O: Observer> Observer for Logged<O> {
    type Exchange = Exchange<O::Exchange>;

    fn begin(&self, request: &Request<Incoming>) -> Self::Exchange {
        let noted = self.log.as_ref().map(|_| {
            let headers = request.headers();
            Noted {
                method: request.method().clone(),
                uri: request.uri().clone(),
                version: request.version(),
                referer: headers.get(header::REFERER).cloned(),
                agent: headers.get(header::USER_AGENT).cloned(),
            }
        });
        Exchange {
            inner: self.observer.begin(request),
            noted,
        }
    }

    fn finish(&self, exchange: Self::Exchange, asked: &Asked, finished: Finished) {
        self.observer.finish(exchange.inner, asked, finished);
        let (Some(log), Some(noted)) = (&self.log, exchange.noted) else {
            return;
        };
        let referer = text(noted.referer.as_ref());
        let line = Line {
            id: asked.id.to_str().unwrap_or_default(),
            client: &asked.client,
            method: noted.method.as_str(),
            // The query may hold what nobody but the database should see.
            path: log.shown(noted.uri.path()),
            version: noted.version,
            referer: &line::referer(&referer, |path| log.shown(path).to_owned()),
            agent: &text(noted.agent.as_ref()),
            served: &asked.served,
            finished,
        };
        log.writer
            .add(|buffer, clock| line.write(log.format, buffer, clock));
    }
}
