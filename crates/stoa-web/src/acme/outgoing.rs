//! Requests to the authority: over TLS, no redirects, limits on time and size.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use stoa_link::cryptography::provider;
use stoa_link::trust;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
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

impl Outgoing {
    /// One that trusts the certificates of a PEM file, or those of the system.
    pub(super) fn new(roots: Option<&Path>) -> Result<Self, RootsError> {
        let roots = match roots {
            Some(path) => read(path)?,
            None => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
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
        Ok(Self { client })
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let failed = |error: reqwest::Error| Error::Other(Box::new(error));
        let (parts, body) = request.into_parts();
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
