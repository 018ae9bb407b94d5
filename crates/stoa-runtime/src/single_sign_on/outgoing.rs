//! Requests to a provider: to where its settings and its own description say, and nowhere else.
//!
//! No redirects, no plain HTTP but to this machine, limits on time and size.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::AsyncHttpClient;
use openidconnect::http::{Request, Response};
use openidconnect::url::{Host, Url};
use reqwest::redirect::Policy;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// Most bytes of an answer.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Why a provider could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutgoingError {
    /// The address is none that may be asked.
    #[error("{0} is no address that may be asked: https is needed")]
    Address(String),
    /// The connection, or the time.
    #[error("the request failed: {0}")]
    Request(String),
    /// The answer is too large.
    #[error("the answer has more than {ANSWER_BYTES} bytes")]
    TooLarge,
}

/// Asks a provider.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    client: reqwest::Client,
    /// The provider is on this machine (development): so may its addresses be.
    allows_loopback: bool,
}

impl Outgoing {
    pub(super) fn new(issuer: &str, timeout: Duration) -> Result<Self, OutgoingError> {
        let failed = |error: &dyn std::fmt::Display| OutgoingError::Request(error.to_string());
        let issuer = Url::parse(issuer).map_err(|error| failed(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .redirect(Policy::none())
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("stoa/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self {
            client,
            allows_loopback: is_loopback(&issuer),
        })
    }

    /// Whether an address that the provider names may be used.
    pub(super) fn may_ask(&self, url: &Url) -> bool {
        is_allowed(url) && (self.allows_loopback || !is_loopback(url))
    }

    /// One request.
    pub(super) async fn ask(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, OutgoingError> {
        let address = request.uri().to_string();
        let url = Url::parse(&address)
            .ok()
            .filter(|url| self.may_ask(url))
            .ok_or(OutgoingError::Address(address))?;
        let (parts, body) = request.into_parts();
        let failed = |error: reqwest::Error| OutgoingError::Request(chain(&error.without_url()));
        let mut answer = self
            .client
            .request(parts.method, url)
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .map_err(failed)?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if response.body().len() + chunk.len() > ANSWER_BYTES {
                return Err(OutgoingError::TooLarge);
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Outgoing {
    type Error = OutgoingError;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, OutgoingError>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Whether an address is one for secrets: TLS, or this machine.
pub(super) fn is_allowed(url: &Url) -> bool {
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    is_private && url.host().is_some() && url.username().is_empty() && url.password().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let allowed = |text: &str| is_allowed(&Url::parse(text).unwrap());
        for good in [
            "https://login.example.com/",
            "http://localhost:4000",
            "http://127.0.0.1:4000/x",
            "http://[::1]/",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "http://login.example.com/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "https://user:secret@login.example.com/",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
        let outside = Outgoing::new("https://login.example.com", Duration::from_secs(1)).unwrap();
        assert!(!outside.may_ask(&Url::parse("http://127.0.0.1:9090/metrics").unwrap()));
        assert!(!outside.may_ask(&Url::parse("https://localhost/").unwrap()));
        assert!(outside.may_ask(&Url::parse("https://keys.example.com/").unwrap()));
    }
}
