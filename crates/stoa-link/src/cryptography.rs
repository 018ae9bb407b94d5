//! The one implementation of cryptography, for links and towards clients.

use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// What TLS is made with, whatever the process has as its default.
///
/// AES-128 comes first: it is no weakness (BSI TR-02102-2 and NIST SP 800-52 have both), and takes less time than
/// AES-256, mostly for the hash that goes with it. SHA-256 is an instruction of most processors, SHA-384 is not.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    Arc::new(provider)
}
