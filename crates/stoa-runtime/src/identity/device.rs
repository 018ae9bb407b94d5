//! The cookie that says that somebody has signed in from this device before: what keeps owners out of the
//! reach of those who guess at their account (see `throttle`). It lets nobody in.
//!
//! An entry names the account and a random number, signed with a key made of the hash of the password: every
//! instance can judge it without keeping anything, and with a new password it is worth nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Accounts that a device remembers.
const ACCOUNTS: usize = 4;
/// Between the entries of a cookie.
const SEPARATOR: char = '~';
/// Characters of an entry: 16 bytes of account, 16 of number, 32 of signature, in base64url.
const ENTRY: usize = 86;

/// A device, as the throttle tells them apart.
pub(super) type Device = [u8; 16];

/// The device, if the cookie has an entry of this account that is right.
pub(super) fn verify(cookie: Option<&str>, account: Uuid, password_hash: &str) -> Option<Device> {
    entries(cookie?).find_map(|(_, bytes)| {
        let (owner, rest) = bytes.split_first_chunk::<16>()?;
        let (device, signature) = rest.split_first_chunk::<16>()?;
        if owner != account.as_bytes() {
            return None;
        }
        sign(account, device, password_hash)?
            .verify_slice(signature)
            .ok()?;
        Some(*device)
    })
}

/// The cookie with a new entry of this account before those of others.
pub(super) fn remember(cookie: Option<&str>, account: Uuid, password_hash: &str) -> Option<String> {
    let device: Device = rand::random();
    let signature = sign(account, &device, password_hash)?.finalize();
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(account.as_bytes());
    bytes.extend_from_slice(&device);
    bytes.extend_from_slice(&signature.into_bytes());
    let mut value = URL_SAFE_NO_PAD.encode(bytes);
    let others = entries(cookie.unwrap_or_default())
        .filter(|(_, bytes)| !bytes.starts_with(account.as_bytes()))
        .take(ACCOUNTS - 1);
    for (text, _) in others {
        value.push(SEPARATOR);
        value.push_str(text);
    }
    Some(value)
}

fn entries(cookie: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    cookie
        .split(SEPARATOR)
        .take(ACCOUNTS)
        .filter(|text| text.len() == ENTRY)
        .filter_map(|text| Some((text, URL_SAFE_NO_PAD.decode(text).ok()?)))
}

fn sign(account: Uuid, device: &Device, password_hash: &str) -> Option<Hmac<Sha256>> {
    let key = Sha256::new()
        .chain_update(b"stoa device ")
        .chain_update(password_hash.as_bytes())
        .finalize();
    let mut signature = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    signature.update(account.as_bytes());
    signature.update(device);
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_to_its_accounts_until_the_password_changes() {
        let [anna, berta, carla] = [1, 2, 3].map(Uuid::from_u128);
        let first = remember(None, anna, "hash a").unwrap();
        assert_eq!(first.len(), ENTRY);
        let both = remember(Some(&first), berta, "hash b").unwrap();
        assert!(verify(Some(&both), anna, "hash a").is_some());
        assert!(verify(Some(&both), berta, "hash b").is_some());
        assert_eq!(verify(Some(&both), anna, "new hash"), None);
        assert_eq!(verify(Some(&both), carla, "hash a"), None);
        assert_eq!(verify(None, anna, "hash a"), None);
        let again = remember(Some(&both), anna, "hash a").unwrap();
        assert_eq!(again.matches(SEPARATOR).count(), 1, "one entry each");
        assert_ne!(
            verify(Some(&again), anna, "hash a"),
            verify(Some(&both), anna, "hash a")
        );
    }

    #[test]
    fn what_is_not_signed_is_nothing() {
        let anna = Uuid::from_u128(1);
        let cookie = remember(None, anna, "hash").unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        bytes[20] ^= 1;
        let forged = URL_SAFE_NO_PAD.encode(bytes);
        for text in [forged.as_str(), "", "~~~~", "x", &cookie[1..]] {
            assert_eq!(verify(Some(text), anna, "hash"), None, "{text}");
        }
        let junk = "A".repeat(ENTRY);
        let full = vec![junk.as_str(); 50].join("~");
        let value = remember(Some(&full), anna, "hash").unwrap();
        assert!(value.len() <= ACCOUNTS * (ENTRY + 1));
    }
}
