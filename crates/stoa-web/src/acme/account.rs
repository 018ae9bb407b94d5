//! Who asks for certificates: a key, which the authority knows an account by.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, Key};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use stoa_link::chain;
use stoa_link::trust::{TrustError, write_private};

use super::failure::Failure;
use super::outgoing::Outgoing;

/// The key of an account: ECDSA with P-256, which every authority takes (RFC 8555 section 6.2).
pub struct AccountKey {
    pair: KeyPair,
    thumbprint: String,
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("AccountKey").finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum AccountKeyError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no private key for ECDSA with P-256 in PEM (PKCS #8)", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// There is no randomness.
    #[error("cannot make a key")]
    Make(#[source] rcgen::Error),
    /// A new one cannot be written.
    #[error(transparent)]
    Write(#[from] TrustError),
}

impl AccountKey {
    /// The key in a file; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Option<Self>, AccountKeyError> {
        let content = || AccountKeyError::Content {
            path: path.to_owned(),
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(content()),
            Err(source) => {
                return Err(AccountKeyError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let pair = KeyPair::from_pem(&text).map_err(|_| content())?;
        let pkcs8 = PrivatePkcs8KeyDer::from(pair.serialize_der());
        Key::from_pkcs8_der(pkcs8).map_err(|_| content())?;
        Self::of(pair).map(Some).ok_or_else(content)
    }

    /// A new key, written into a file that only its owner may read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn make(path: &Path) -> Result<Self, AccountKeyError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AccountKeyError::Make)?;
        write_private(path, &pair.serialize_pem())?;
        Self::of(pair).ok_or_else(|| AccountKeyError::Content {
            path: path.to_owned(),
        })
    }

    fn of(pair: KeyPair) -> Option<Self> {
        let thumbprint = thumbprint(pair.der_bytes())?;
        Some(Self { pair, thumbprint })
    }

    /// What stands for the key in answers to the authority; no secret.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The account, made if there is none. That its terms are agreed to was said in the site's file.
    pub(super) async fn look_up(
        &self,
        outgoing: Outgoing,
        directory: &str,
        contact: Option<&str>,
    ) -> Result<Account, Failure> {
        let pkcs8 = PrivatePkcs8KeyDer::from(self.pair.serialize_der());
        let key = Key::from_pkcs8_der(pkcs8.clone_key())?;
        let (account, _) = Account::builder_with_http(Box::new(outgoing))
            .create_from_key((key, PrivateKeyDer::Pkcs8(pkcs8)), directory.to_owned())
            .await?;
        // For CAA records that name it (RFC 8657).
        tracing::info!(account = account.id(), "the authority knows this account");
        if let Some(contact) = contact {
            let address = format!("mailto:{contact}");
            // Certificates do not depend on it.
            if let Err(error) = account.update_contacts(&[&address]).await {
                let reason = chain(&error);
                tracing::warn!(reason, "the authority does not take the contact");
            }
        }
        Ok(account)
    }
}

/// The SHA-256 of a key's public half as a JSON Web Key (RFC 7638), from its point as SEC 1 writes it without
/// compression; none for anything else.
fn thumbprint(point: &[u8]) -> Option<String> {
    let (x, y) = match point {
        [4, coordinates @ ..] if coordinates.len() == 64 => coordinates.split_at(32),
        _ => return None,
    };
    let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
    // Members in the order of their names, without white space (section 3.3).
    let key = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(key)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Made with `openssl genpkey`; the thumbprint was computed by Node.js.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglJFd+Wgwb/pnL+E4
cr+47VRGUYlg2lc/bkK5ioN4GW+hRANCAAQeScWyWxZcH2wRouY2cylgASSka8sO
TFw5UC1sFzB6aZOn5BsBabzN6bTiDmzViJrLCry3SF5b8rq7BCzUjVbB
-----END PRIVATE KEY-----
";
    const THUMBPRINT: &str = "7k_T44qur_ye5iNe0HjQWgqAwxjhjdQ-Cze5gfY_cRc";

    #[test]
    fn keys_are_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("account.key");
        assert!(AccountKey::read(&path).unwrap().is_none());
        let made = AccountKey::make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = AccountKey::read(&path).unwrap().unwrap();
        assert_eq!(read.thumbprint(), made.thumbprint());
        assert!(!format!("{read:?}").contains(made.thumbprint()));

        fs::write(&path, KEY).unwrap();
        let read = AccountKey::read(&path).unwrap().unwrap();
        assert_eq!(read.thumbprint(), THUMBPRINT);
    }

    #[test]
    fn other_files_are_no_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("account.key");
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        for content in ["", "nothing", &other.serialize_pem()] {
            fs::write(&path, content).unwrap();
            let error = AccountKey::read(&path).unwrap_err();
            assert!(matches!(error, AccountKeyError::Content { .. }), "{error}");
        }
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(
            AccountKey::read(&path),
            Err(AccountKeyError::Content { .. })
        ));
        assert!(matches!(
            AccountKey::read(folder.path()),
            Err(AccountKeyError::Read { .. })
        ));
    }
}
