//! The web server in the DMZ, taken over: what its owner can reach.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stoa_testing::network::{self, Reach};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::site::{Architecture, SiteBuilder};

/// Longest wait for an answer from the other side of the firewall.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ports that something could listen on.
fn ports() -> impl Iterator<Item = u16> {
    (1..1024).chain([5432, 7443, 8080, 9090, 9091])
}

#[test]
fn nothing_inside_can_be_reached_from_the_dmz() -> Result<()> {
    network::test(async || {
        let site = SiteBuilder::new(Architecture::Dmz).start().await?;
        let web1 = site.host("web1")?;
        // The database can be reached from inside: the scan would find it.
        let database = site.host("db1")?.at(5432);
        ensure!(site.host("app1")?.can_reach(database).await?);
        for name in ["app1", "db1"] {
            let address = site.host(name)?.address();
            let targets: Vec<SocketAddr> = ports().map(|port| (address, port).into()).collect();
            let reached: Vec<_> = web1
                .scan(targets, PATIENCE)
                .await?
                .into_iter()
                .filter(|(_, reach)| *reach != Reach::Silent)
                .collect();
            ensure!(
                reached.is_empty(),
                "from the DMZ {name} answers: {reached:?}"
            );
        }
        Ok(())
    })
}

/// With the certificate of a web server nobody is taken for an app server.
#[test]
fn a_web_server_cannot_pose_as_an_app_server() -> Result<()> {
    network::test(async || {
        let site = SiteBuilder::new(Architecture::Balanced).start().await?;
        let link = site.host("web2")?.at(7443);
        for (name, is_taken) in [("app1", true), ("web1", false)] {
            let trust = site.folder(name)?.join("trust");
            let read = |file: String| std::fs::read(trust.join(file));
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(&read(
                "authority.pem".to_owned(),
            )?)?)?;
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let mut configuration = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_client_auth_cert(
                    CertificateDer::pem_slice_iter(&read(format!("{name}.pem"))?)
                        .collect::<Result<_, _>>()?,
                    PrivateKeyDer::from_pem_slice(&read(format!("{name}.key"))?)?,
                )?;
            configuration.alpn_protocols = vec![b"stoa/1".to_vec()];
            let connector = TlsConnector::from(Arc::new(configuration));
            let ended = site
                .host(name)?
                .ask(move || async move {
                    let stream = TcpStream::connect(link).await?;
                    let server = ServerName::try_from("web2.server.stoa")?;
                    let mut stream = connector.connect(server, stream).await?;
                    // In TLS 1.3 a client learns later that its certificate was refused.
                    let mut byte = [0];
                    Ok(tokio::time::timeout(PATIENCE, stream.read(&mut byte))
                        .await
                        .is_ok())
                })
                .await
                .unwrap_or(true);
            ensure!(
                ended != is_taken,
                "the link of web2 took {name}: {is_taken} expected"
            );
        }
        Ok(())
    })
}

/// What is on the web server's disk would help nobody inside.
#[test]
fn the_web_server_holds_no_secret_of_the_inside() -> Result<()> {
    network::test(async || {
        let site = SiteBuilder::new(Architecture::Dmz).start().await?;
        let secrets = ["postgres://", "db1", "[entity."];
        let mut files = vec![site.folder("web1")?.to_path_buf()];
        let mut seen = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    files.push(entry?.path());
                }
                continue;
            }
            // Sockets cannot be read.
            let Ok(content) = std::fs::read(&path) else {
                continue;
            };
            seen += 1;
            let text = String::from_utf8_lossy(&content);
            for secret in secrets {
                ensure!(!text.contains(secret), "{} has `{secret}`", path.display());
            }
        }
        ensure!(seen > 3, "only {seen} files");
        let authority = site.operator_folder().join("trust/authority.key");
        ensure!(authority.exists(), "the operator has the authority's key");
        Ok(())
    })
}
