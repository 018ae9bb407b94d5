//! Requests to the authority: over TLS, no redirects, limits on time and size.

use std::cell::Cell;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use stoa_link::cryptography::provider;
use stoa_link::trust;

/// Who asks (RFC 8555 section 6.1).
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("stoa/", env!("CARGO_PKG_VERSION"), " instant-acme"));
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest pause that an authority can ask for; more is taken for as much.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of an answer.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Why no authority can be asked.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file with its certificates cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(transparent)]
    Content(#[from] trust::TrustError),
    /// A certificate in it is not fit for an authority.
    #[error("{} holds a certificate that cannot be trusted", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The system knows none.
    #[error(
        "this system trusts no authority at all: install the package ca-certificates, or name a file of your own"
    )]
    None,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The client cannot be set up.
    #[error("cannot set up a client")]
    Client(#[from] reqwest::Error),
}

/// Asks an authority.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    client: reqwest::Client,
}

tokio::task_local! {
    /// How long the authority wants not to be asked, as it said during one try (RFC 8555 section 6.6).
    static PAUSE: Cell<Duration>;
}

/// Does what asks the authority. Returns how long it wants not to be asked, too.
pub(super) async fn heeding<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let work = async { (work.await, PAUSE.with(Cell::get)) };
    PAUSE.scope(Cell::default(), work).await
}

impl Outgoing {
    /// One that trusts the certificates of a PEM file, or those of the system.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, RootsError> {
        let roots = match roots {
            Some(path) => read_roots(path)?,
            None => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(RootsError::None);
                }
                roots
            }
        };
        let tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .https_only(true)
            .redirect(Policy::none())
            .connect_timeout(PATIENCE / 3)
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { client })
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let failed = |error: reqwest::Error| Error::Other(Box::new(error));
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(USER_AGENT, AGENT);
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let mut answer = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .map_err(failed)?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES {
                let message = format!("the answer has more than {ANSWER_BYTES} bytes");
                return Err(Error::Other(message.into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut response = Response::new(Full::new(bytes.freeze()));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        note_pause(answer.status(), response.headers_mut());
        // A gateway's, which the library would take for a refusal.
        if answer.status().is_server_error() && !is_problem(response.headers()) {
            return Err(Error::Other(answer.status().to_string().into()));
        }
        Ok(response.into())
    }
}

/// Whether it is a problem document (RFC 9457), as the authority's own errors are.
fn is_problem(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/problem+json"))
}

/// Notes how long the authority wants not to be asked, and keeps from the library what it could not count with.
fn note_pause(status: StatusCode, headers: &mut HeaderMap) {
    let text = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let Some(text) = text else {
        return;
    };
    let asked = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()
            .and_then(|time| time.duration_since(SystemTime::now()).ok())
            .unwrap_or_default(),
    };
    if matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        // Outside of a try nobody waits.
        let _ = PAUSE.try_with(|pause| pause.set(pause.get().max(asked.min(LONGEST_PAUSE))));
    }
    if asked > LONGEST_PAUSE {
        headers.remove(RETRY_AFTER);
    }
}

impl HttpClient for Outgoing {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

/// The certificates of a PEM file, by which an authority is trusted.
pub(super) fn read_roots(path: &Path) -> Result<RootCertStore, RootsError> {
    let content = fs::read(path).map_err(|source| RootsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in trust::certificates(path, &content)? {
        roots.add(certificate).map_err(|source| RootsError::Unfit {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_are_heeded() {
        let note = |status: u16, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            note_pause(StatusCode::from_u16(status).unwrap(), &mut headers);
            headers.len()
        };
        // Nobody waits for it.
        assert_eq!(note(429, "120"), 1);
        let (kept, pause) = heeding(async {
            [
                note(429, "120"),
                note(503, "60"),
                note(429, "soon"),
                note(429, "Wed, 21 Oct 2015 07:28:00 GMT"),
                // While an order is worked on.
                note(200, "500"),
            ]
        })
        .await;
        assert_eq!((kept, pause), ([1; 5], Duration::from_secs(120)));
        // Longer than the library could count.
        let (kept, pause) = heeding(async { note(503, "18446744073709551615") }).await;
        assert_eq!((kept, pause), (0, LONGEST_PAUSE));
        let (_, pause) = heeding(async {}).await;
        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn roots_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        assert!(matches!(
            Outgoing::new(Some(&path)),
            Err(RootsError::Read { .. })
        ));
        fs::write(&path, "nothing").unwrap();
        assert!(matches!(
            Outgoing::new(Some(&path)),
            Err(RootsError::Content(_))
        ));
    }
}
