//! A TCP proxy that breaks connections on command; stands between the server and its database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// Connections are cut, new ones as soon as they are made.
    Cut,
    /// Connections stand, nothing passes.
    Stall,
    /// What clients send arrives, and no answer does.
    Unanswered,
    /// Every piece passes this much later.
    Delay(Duration),
}

/// A running proxy; all its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    open: Arc<AtomicUsize>,
    listening: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes everything to `upstream`, a `host:port`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(upstream: impl Into<String>) -> Result<Self> {
        let upstream = upstream.into();
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("no free port")?;
        let address = listener.local_addr()?;
        let (mode, watching) = watch::channel(Mode::Pass);
        let open = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&open);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, mut mode, open) =
                    (upstream.clone(), watching.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    open.fetch_add(1, Ordering::SeqCst);
                    let mut cut = mode.clone();
                    tokio::select! {
                        () = pass_both(client, &upstream, &mut mode) => {}
                        // Also when the proxy is gone and the channel closed.
                        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self {
            address,
            mode,
            open,
            listening,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A database URL whose host and port are the proxy's.
    #[must_use]
    pub fn through(&self, url: &str) -> String {
        let start = url.find("://").map_or(0, |at| at + 3);
        let end = url[start..].find('/').map_or(url.len(), |at| start + at);
        let host = url[start..end]
            .rfind('@')
            .map_or(start, |at| start + at + 1);
        format!("{}{}{}", &url[..host], self.address, &url[end..])
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass_both(client: TcpStream, upstream: &str, mode: &mut watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut back = mode.clone();
    tokio::join!(
        pass(client_read, server_write, mode, &[Mode::Stall]),
        pass(
            server_read,
            client_write,
            &mut back,
            &[Mode::Stall, Mode::Unanswered]
        )
    );
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mode: &mut watch::Receiver<Mode>,
    waits: &[Mode],
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let Ok(now) = mode
            .wait_for(|mode| !waits.contains(mode))
            .await
            .map(|mode| *mode)
        else {
            return;
        };
        // What was held back when the connection is cut never arrives.
        if now == Mode::Cut {
            return;
        }
        if let Mode::Delay(time) = now {
            tokio::time::sleep(time).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn passes_stalls_and_cuts() {
        let proxy = Proxy::start(echo().await.to_string()).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let mut byte = [0];
        stream.write_all(b"a").await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"a");

        proxy.set(Mode::Stall);
        stream.write_all(b"b").await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
        assert!(nothing.is_err());
        proxy.set(Mode::Pass);
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");

        proxy.set(Mode::Cut);
        assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)));
        eventually("no open connection", Duration::from_secs(5), || async {
            (proxy.connections() == 0).then_some(())
        })
        .await
        .unwrap();
        assert_eq!(
            proxy.through("postgres://u@127.0.0.1:5/d?x=1"),
            format!("postgres://u@{}/d?x=1", proxy.address())
        );
    }
}
