//! An HTTP client that shows all of an answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A client of one server. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it came, or decompressed if it was compressed by gzip.
    pub body: Bytes,
}

impl Client {
    /// A client of `base`, like `http://127.0.0.1:8080`. Paths given later are appended to it.
    ///
    /// # Errors
    /// The HTTP library cannot start.
    pub fn new(base: impl Into<String>) -> Result<Self> {
        // The product builds the HTTP library with TLS and without a provider of its own; an earlier call has
        // installed the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            base: base.into(),
            http,
        })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    /// `POST path` with JSON.
    ///
    /// # Errors
    /// No answer came.
    pub async fn post(&self, path: &str, body: &Json) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// `PATCH path` with JSON and `If-Match`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn patch(&self, path: &str, etag: &str, body: &Json) -> Result<Answer> {
        self.send(Method::PATCH, path, &[("If-Match", etag)], Some(body))
            .await
    }

    /// `DELETE path` with `If-Match`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn delete(&self, path: &str, etag: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, &[("If-Match", etag)], None)
            .await
    }

    /// Any request. `path` is percent-encoded where it must be (blanks, quotes, non-ASCII); what is
    /// already encoded stays.
    ///
    /// # Errors
    /// No answer came, or a header is malformed.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Answer> {
        let body = body.map(|json| ("application/json", json.to_string().into_bytes()));
        self.send_bytes(method, path, headers, body).await
    }

    /// Any request with any body: its content type and its bytes.
    ///
    /// # Errors
    /// No answer came, or a header is malformed.
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Answer> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(
                HeaderName::from_bytes(name.as_bytes())?,
                HeaderValue::from_str(value)?,
            );
        }
        if let Some((content_type, bytes)) = body {
            request = request.header("Content-Type", content_type).body(bytes);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response
                .bytes()
                .await
                .with_context(|| format!("{method} {path}: body"))?,
        })
    }
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is no JSON; the message has status and body.
    pub fn json(&self) -> Result<Json> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {} with no JSON: {}", self.status, self.text()))
    }

    /// A header's value; none when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The same answer if it has this status.
    ///
    /// # Errors
    /// It has another; the message has status and body.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        bail!(
            "expected status {status}, got {}: {}",
            self.status,
            self.text()
        )
    }
}

/// Sends bytes as they are over a connection of their own and reads until the server closes it, at most
/// ten seconds: for requests that no client library would send. Ask for `Connection: close`.
///
/// # Errors
/// The connection cannot be made or ends with an error before a byte of the answer.
pub async fn raw(server: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    // The server may answer and close before it has read all of a request that it refuses.
    let written = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    if answer.is_empty() {
        written?;
        read.context("no answer in ten seconds")??;
    }
    Ok(answer)
}
