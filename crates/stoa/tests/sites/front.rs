//! The simplest thing that can stand in front of a server: it adds TLS and passes bytes on.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stoa_testing::certificates::Certificate;
use stoa_testing::network::Host;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Listens on a host's port 443 until the test ends.
pub(crate) async fn start(host: &Host, certificate: &Certificate, to: SocketAddr) -> Result<()> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(
                certificate.chain.as_bytes(),
            )?],
            PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?,
        )?;
    let acceptor = TlsAcceptor::from(Arc::new(configuration));
    let (listening, heard) = tokio::sync::oneshot::channel();
    let host = host.clone();
    let address = host.at(443);
    tokio::spawn(async move {
        host.ask(move || async move {
            let listener = TcpListener::bind(address).await?;
            let _ = listening.send(());
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(pass(acceptor.clone(), stream, to));
            }
            #[expect(unreachable_code, reason = "says what the endless loop would give")]
            Ok(())
        })
        .await
    });
    heard.await.context("the front does not listen")
}

async fn pass(acceptor: TlsAcceptor, stream: TcpStream, to: SocketAddr) {
    stream.set_nodelay(true).unwrap();
    // Clients and servers end as they like here.
    if let Ok(mut client) = acceptor.accept(stream).await
        && let Ok(mut server) = TcpStream::connect(to).await
    {
        server.set_nodelay(true).unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
