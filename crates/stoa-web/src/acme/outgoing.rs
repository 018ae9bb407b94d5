//! Requests to the authority: over TLS, no redirects, limits on time and size.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{RETRY_AFTER, USER_AGENT};
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
    /// How long the authority wants not to be asked, as it said last (RFC 8555 section 6.6).
    pause: Arc<Mutex<Option<Duration>>>,
}

impl Outgoing {
    /// One that trusts the certificates of a PEM file, or those of the system.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, RootsError> {
        let roots = match roots {
            Some(path) => read(path)?,
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
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .build()?;
        Ok(Self {
            client,
            pause: Arc::default(),
        })
    }

    /// How long the authority wants not to be asked; told once.
    pub(super) fn take_pause(&self) -> Duration {
        let pause = self
            .pause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        pause.unwrap_or_default()
    }

    /// Notes how long it wants not to be asked, and keeps from the library what it could not count with.
    fn note_pause(&self, status: StatusCode, headers: &mut HeaderMap) {
        let text = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let Some(text) = text else {
            return;
        };
        let pause = match text.trim().parse::<u64>() {
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
            let mut noted = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
            *noted = Some(pause.min(LONGEST_PAUSE));
        }
        if pause > LONGEST_PAUSE {
            headers.remove(RETRY_AFTER);
        }
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
        self.note_pause(answer.status(), response.headers_mut());
        Ok(response.into())
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

fn read(path: &Path) -> Result<RootCertStore, RootsError> {
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

    #[test]
    fn pauses_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        fs::write(&path, parameters.self_signed(&key).unwrap().pem()).unwrap();
        let outgoing = Outgoing::new(Some(&path)).unwrap();
        let note = |status: u16, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            outgoing.note_pause(StatusCode::from_u16(status).unwrap(), &mut headers);
            (outgoing.take_pause().as_secs(), headers.len())
        };
        assert_eq!(note(429, "120"), (120, 1));
        assert_eq!(outgoing.take_pause(), Duration::ZERO);
        // While an order is worked on.
        assert_eq!(note(200, "3"), (0, 1));
        assert_eq!(note(503, "18446744073709551615"), (24 * 3600, 0));
        assert_eq!(note(429, "soon"), (0, 1));
        assert_eq!(note(429, "Wed, 21 Oct 2015 07:28:00 GMT"), (0, 1));
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
