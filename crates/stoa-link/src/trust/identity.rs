//! A server's certificate with what it can be used for: to dial, and to accept.

use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, CommonState, RootCertStore, ServerConfig};

use super::{Description, Files, PROTOCOL, SERVER_SUFFIX, TrustError, describe, files, is_label};
use crate::cryptography::provider;

/// Who this server is on links, and whom it believes.
pub struct LinkIdentity {
    description: Description,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl LinkIdentity {
    /// Reads the files and checks that they belong together. A certificate that has expired is read too: a web
    /// server that starts with one can still serve what needs no link.
    ///
    /// # Errors
    /// A file cannot be read, or they do not belong together.
    pub fn load(files: &Files) -> Result<Self, TrustError> {
        Self::from_content(files, &files.read()?)
    }

    pub(super) fn from_content(
        paths: &Files,
        content: &super::reload::Content,
    ) -> Result<Self, TrustError> {
        let authorities = files::certificates(&paths.authority, &content.authority)?;
        let chain = files::certificates(&paths.certificate, &content.certificate)?;
        let key = files::private_key(&paths.key, &content.key)?;
        let Some((own, intermediates)) = chain.split_first() else {
            return Err(TrustError::NotPem {
                path: paths.certificate.clone(),
                expected: "certificate",
            });
        };
        let description = describe(own)?;
        let other_authority = |error: &dyn ToString| TrustError::OtherAuthority {
            certificate: paths.certificate.clone(),
            authority: paths.authority.clone(),
            reason: error.to_string(),
        };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority)
                .map_err(|error| other_authority(&error))?;
        }
        let roots = Arc::new(roots);
        let accepting = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
            .build()
            .map_err(|error| other_authority(&error))?;
        let dialling = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| other_authority(&error))?;

        // By the verifiers that the other side has, at a time when it was surely not expired.
        let then = UnixTime::since_unix_epoch(
            description
                .not_before
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default(),
        );
        if description.roles.web {
            let name = server_name(&description.names.server)?;
            dialling
                .verify_server_cert(own, intermediates, &name, &[], then)
                .map_err(|error| other_authority(&error))?;
        }
        if description.roles.app || !description.roles.web {
            accepting
                .verify_client_cert(own, intermediates, then)
                .map_err(|error| other_authority(&error))?;
        }

        let usable = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(_) => TrustError::KeyMismatch {
                certificate: paths.certificate.clone(),
                key: paths.key.clone(),
            },
            error => TrustError::Tls(error),
        };
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TrustError::Tls)?
            .with_webpki_verifier(dialling)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(usable)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TrustError::Tls)?
            .with_client_cert_verifier(accepting)
            .with_single_cert(chain, key)
            .map_err(usable)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.send_tls13_tickets = 0;
        Ok(Self {
            description,
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// What the server's own certificate says.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// For dialling. Connect to [`server_name`] of the web server, so that it cannot be another server of the site.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }

    /// For accepting.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }
}

/// The name that the certificate of a server must have.
///
/// # Errors
/// The server's name is no label of a DNS name.
pub fn server_name(server: &str) -> Result<ServerName<'static>, TrustError> {
    let wrong = || TrustError::Label {
        name: server.to_owned(),
    };
    if !is_label(server) {
        return Err(wrong());
    }
    ServerName::try_from(format!("{server}{SERVER_SUFFIX}")).map_err(|_| wrong())
}

/// What the other side of a connection has proved to be in its handshake, which has ended.
///
/// # Errors
/// It did not name the protocol of links, or its certificate is not one of a server.
pub fn peer(connection: &CommonState) -> Result<Description, TrustError> {
    // A side that names no protocol at all passes the handshake.
    if connection.alpn_protocol() != Some(PROTOCOL) {
        return Err(TrustError::Peer {
            reason: "does not speak the protocol of links",
        });
    }
    let certificate: Option<&CertificateDer<'_>> = connection
        .peer_certificates()
        .and_then(|certificates| certificates.first());
    match certificate {
        Some(certificate) => describe(certificate),
        None => Err(TrustError::Peer {
            reason: "showed no certificate",
        }),
    }
}
