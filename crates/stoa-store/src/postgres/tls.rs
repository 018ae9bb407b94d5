//! Encryption of connections: rustls with aws-lc-rs, chosen here and not by a process-wide default.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database_url::{Encryption, PostgresUrl};
use crate::error::StoreError;

/// Makes the connector that a server's address asks for.
pub(super) fn connector(url: &PostgresUrl) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let checked = match url.encryption {
        Encryption::Disable | Encryption::Prefer => false,
        Encryption::Require => url.root_certificates.is_some(),
        Encryption::VerifyAuthority | Encryption::VerifyFull => true,
    };
    let authority = if checked {
        let roots = Arc::new(trusted(url)?);
        Some(
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| {
                    wrong(format!("the certificates to trust cannot be used: {error}"))
                })?,
        )
    } else {
        None
    };
    let verifier = Verifier {
        authority,
        name_matters: url.encryption == Encryption::VerifyFull,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn trusted(url: &PostgresUrl) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &url.root_certificates {
        let unreadable = |error: &dyn std::fmt::Display| {
            wrong(format!(
                "sslrootcert {} cannot be read: {error}",
                file.display()
            ))
        };
        for certificate in
            CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?
        {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(wrong(
            "there is no certificate to check the database server against; name one with sslrootcert=FILE",
        ));
    }
    Ok(roots)
}

fn wrong(reason: impl Into<String>) -> StoreError {
    StoreError::Configuration {
        reason: reason.into(),
    }
}

/// libpq's levels of care: nothing, the authority, the authority and the name.
#[derive(Debug)]
struct Verifier {
    authority: Option<Arc<WebPkiServerVerifier>>,
    name_matters: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name_matters => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database_url::DatabaseUrl;

    fn outcome(parameters: &str) -> Result<(), String> {
        let url = format!("postgres://me@localhost/db?{parameters}").parse();
        let Ok(DatabaseUrl::Postgres(url)) = url else {
            return Err(format!("{url:?}"));
        };
        connector(&url).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn connectors_need_certificates_only_where_they_are_checked() {
        assert_eq!(outcome("sslmode=prefer"), Ok(()));
        assert_eq!(outcome("sslmode=require"), Ok(()));
        for mode in ["require", "verify-ca", "verify-full"] {
            let error = outcome(&format!("sslmode={mode}&sslrootcert=/no/such.pem")).unwrap_err();
            assert!(error.contains("/no/such.pem"), "{error}");
        }
    }
}
