//! Random secrets: made here, shown once, kept as hashes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a secret: what the database has. A secret has 256 random bits, so nothing slower is needed
/// (nobody can try them all), and looking a hash up tells nothing of the secret by its time.
pub(crate) type Hash = [u8; 32];

/// Characters of a secret: 256 bits in base64url.
const CHARACTERS: usize = 43;

/// What tokens for programs begin with, so that scanners of leaked secrets find them.
pub const TOKEN_PREFIX: &str = "stoa_";

/// A secret on its way to the one it is for. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 256 bits from the operating system's generator.
    pub(crate) fn random(prefix: &str) -> Self {
        Self::of(prefix, rand::random())
    }

    /// Of bits that nobody else knows.
    pub(super) fn of(prefix: &str, bits: [u8; 32]) -> Self {
        let mut text = String::with_capacity(prefix.len() + CHARACTERS);
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(bits, &mut text);
        Self(text)
    }

    /// The secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the database keeps.
    pub(crate) fn hash(&self) -> Hash {
        hash(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// Hash of what a client presents; none if it cannot be a secret of ours with this prefix.
pub(crate) fn presented(prefix: &str, text: &str) -> Option<Hash> {
    let rest = text.strip_prefix(prefix)?;
    let sane = rest.len() == CHARACTERS
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    sane.then(|| hash(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_random_and_never_printed() {
        let (first, second) = (Secret::random(TOKEN_PREFIX), Secret::random(TOKEN_PREFIX));
        assert_ne!(first, second);
        assert_eq!(first.expose().len(), TOKEN_PREFIX.len() + CHARACTERS);
        assert_eq!(format!("{first:?}"), "Secret(…)");
        assert_eq!(presented(TOKEN_PREFIX, first.expose()), Some(first.hash()));
    }

    #[test]
    fn what_cannot_be_a_secret_is_not_looked_up() {
        let secret = Secret::random("");
        for text in [
            "",
            "x",
            &secret.expose()[1..],
            &format!("{}x", secret.expose()),
        ] {
            assert_eq!(presented("", text), None, "{text}");
        }
        assert_eq!(presented(TOKEN_PREFIX, secret.expose()), None);
        assert_eq!(presented("", &format!("{}\"", &secret.expose()[1..])), None);
    }
}
