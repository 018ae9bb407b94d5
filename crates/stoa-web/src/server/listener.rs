//! Where connections come from.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket};

use crate::tls::Tls;

/// Silence after which a client is asked whether it is still there: one that lost its network says nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// Between the questions that follow.
const AGAIN: Duration = Duration::from_secs(15);
/// Questions without an answer.
const QUESTIONS: u32 = 4;

/// An address to serve, and what connections to it begin with.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    pub(super) transport: Transport,
}

#[derive(Debug, Default)]
pub(super) struct Transport {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) proxy_protocol: bool,
}

impl Transport {
    pub(super) fn begins_with_handshake(&self) -> bool {
        self.tls.is_some() || self.proxy_protocol
    }
}

impl Listener {
    /// With TLS, and HTTP/2 for clients that know it.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.transport.tls = Some(tls);
        self
    }

    /// Connections from the networks of [`Config::trust`](super::Config::trust) begin with a header of the PROXY
    /// protocol. Others must not, and are served as what they are.
    #[must_use]
    pub fn with_proxy_protocol(mut self) -> Self {
        self.transport.proxy_protocol = true;
        self
    }
}

/// Plain HTTP/1.1.
impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket,
            transport: Transport::default(),
        }
    }
}

/// Binds an address.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart need not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    let keep_alive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(AGAIN)
        .with_retries(QUESTIONS);
    SockRef::from(&socket).set_tcp_keepalive(&keep_alive)?;
    socket.bind(address)?;
    socket.listen(4096)
}
