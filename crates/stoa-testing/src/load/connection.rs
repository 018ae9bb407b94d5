//! A user's connection to the site.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// Most bytes of an answer.
const LARGEST: usize = 64 << 20;

/// Makes connections, and keeps one.
pub(super) struct Line {
    addresses: Vec<SocketAddr>,
    /// Which is tried first.
    preferred: usize,
    from: Option<Ipv4Addr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connecting: Duration,
    answering: Duration,
    kept: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// No answer.
pub(super) enum Broken {
    /// The request did not leave.
    NotSent(String),
    /// It may have arrived; not a byte of an answer came.
    Unanswered(String),
    /// The answer is not whole, or came too late.
    Incomplete(String),
}

impl Line {
    pub(super) fn new(
        addresses: &[SocketAddr],
        preferred: usize,
        from: Option<Ipv4Addr>,
        tls: Option<(&Arc<ClientConfig>, &str)>,
        connecting: Duration,
        answering: Duration,
    ) -> Result<Self> {
        let tls = match tls {
            Some((configuration, name)) => Some((
                TlsConnector::from(Arc::clone(configuration)),
                ServerName::try_from(name.to_owned()).context("name of the site")?,
            )),
            None => None,
        };
        Ok(Self {
            addresses: addresses.to_vec(),
            preferred: preferred % addresses.len().max(1),
            from,
            tls,
            connecting,
            answering,
            kept: None,
        })
    }

    pub(super) async fn send(
        &mut self,
        request: &Request<Full<Bytes>>,
    ) -> std::result::Result<Answer, Broken> {
        let answered = tokio::time::timeout(self.answering, self.send_once(request)).await;
        if !matches!(answered, Ok(Ok(_))) {
            self.kept = None;
        }
        answered.unwrap_or_else(|_| {
            Err(Broken::Incomplete(format!(
                "nothing in {:?}",
                self.answering
            )))
        })
    }

    async fn send_once(
        &mut self,
        request: &Request<Full<Bytes>>,
    ) -> std::result::Result<Answer, Broken> {
        // The kept connection may have been closed meanwhile, and then the request comes back unsent.
        loop {
            let is_new = self.kept.is_none();
            let mut sender = match self.kept.take() {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            if let Err(error) = sender.ready().await {
                if is_new {
                    return Err(Broken::NotSent(plain(&error)));
                }
                continue;
            }
            let response = match sender.try_send_request(request.clone()).await {
                Ok(response) => response,
                Err(mut error) => match (error.take_message(), is_new) {
                    (Some(_), false) => continue,
                    (Some(_), true) => return Err(Broken::NotSent(plain(error.error()))),
                    (None, _) => return Err(Broken::Unanswered(plain(error.error()))),
                },
            };
            let (parts, body) = response.into_parts();
            let body = http_body_util::Limited::new(body, LARGEST)
                .collect()
                .await
                .map_err(|error| Broken::Incomplete(format!("body: {error}")))?
                .to_bytes();
            self.kept = Some(sender);
            return Ok(Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            });
        }
    }

    /// Tries each address once, beginning with the one that worked last.
    async fn connect(&mut self) -> std::result::Result<SendRequest<Full<Bytes>>, Broken> {
        let mut last = String::new();
        for turn in 0..self.addresses.len() {
            let number = (self.preferred + turn) % self.addresses.len();
            let Some(address) = self.addresses.get(number).copied() else {
                break;
            };
            match tokio::time::timeout(self.connecting, self.connect_to(address)).await {
                Ok(Ok(sender)) => {
                    self.preferred = number;
                    return Ok(sender);
                }
                Ok(Err(error)) => last = format!("{address}: {error:#}"),
                Err(_) => last = format!("{address}: no connection in {:?}", self.connecting),
            }
        }
        Err(Broken::NotSent(last))
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind((from, 0).into())?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some((connector, name)) => speak(connector.connect(name.clone(), stream).await?).await,
            None => speak(stream).await,
        }
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // How it ends is told to whoever sends or waits.
        let _ = connection.await;
    });
    Ok(sender)
}

/// An error with its cause. Explanations are cut off: reasons are counted.
fn plain(error: &hyper::Error) -> String {
    use std::error::Error as _;
    let whole = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    whole
        .split(": https://")
        .next()
        .unwrap_or_default()
        .to_owned()
}
