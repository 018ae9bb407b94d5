//! The list of files of a folder.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most files.
const FILES: usize = 200_000;
/// Bytes of the longest path.
const PATH: usize = 4096;

/// The files of a folder, in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) files: Vec<Entry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Below the folder, with `/` between names.
    pub(super) path: String,
    pub(super) length: u64,
    /// When it was changed, in seconds since 1970: for `Last-Modified`.
    pub(super) modified: u64,
    /// SHA-256 in hexadecimal.
    pub(super) digest: String,
}

/// A list that no app server of ours makes.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error("it is no list of files")]
    Syntax(#[from] serde_json::Error),
    #[error("its digest is not the one announced")]
    Digest,
    #[error("it has more than {FILES} files")]
    TooMany,
    #[error("`{0}` is no path of a file below a folder")]
    Path(String),
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a text can be a digest, and so the name of a file.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl List {
    /// Its bytes on the wire, and their digest.
    pub(super) fn encode(&self) -> Result<(Vec<u8>, String), serde_json::Error> {
        let bytes = serde_json::to_vec(self)?;
        let digest = digest(&bytes);
        Ok((bytes, digest))
    }

    /// Reads a list. What is given back names files below a folder and nothing else.
    pub(super) fn decode(bytes: &[u8], expected: &str) -> Result<Self, ListError> {
        if digest(bytes) != expected {
            return Err(ListError::Digest);
        }
        let list: Self = serde_json::from_slice(bytes)?;
        if list.files.len() > FILES {
            return Err(ListError::TooMany);
        }
        for entry in &list.files {
            if entry.relative_path().is_none() || !is_digest(&entry.digest) {
                return Err(ListError::Path(entry.path.chars().take(200).collect()));
            }
        }
        Ok(list)
    }
}

impl Entry {
    /// The path below the folder; none if it leads out of it, or is none.
    pub(super) fn relative_path(&self) -> Option<PathBuf> {
        let has_bad = self
            .path
            .contains(|character: char| character.is_control() || character == '\\');
        if self.path.is_empty() || self.path.len() > PATH || has_bad || self.path.ends_with('/') {
            return None;
        }
        let path = Path::new(&self.path);
        let is_plain = path
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        // Components leave out what changes nothing, such as `a/./b`: two names for one file are not wanted either.
        let is_shortest = path.components().count() == self.path.split('/').count();
        (is_plain && is_shortest).then(|| path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(path: &str) -> List {
        List {
            files: vec![Entry {
                path: path.to_owned(),
                length: 1,
                modified: 0,
                digest: digest(b"x"),
            }],
        }
    }

    #[test]
    fn a_list_comes_back_as_it_was() {
        let list = list("a/b.css");
        let (bytes, digest) = list.encode().unwrap();
        assert_eq!(List::decode(&bytes, &digest).unwrap(), list);
        let other = super::digest(b"");
        assert!(matches!(
            List::decode(&bytes, &other),
            Err(ListError::Digest)
        ));
    }

    #[test]
    fn paths_that_lead_out_of_the_folder_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            ".",
        ] {
            let (bytes, digest) = list(path).encode().unwrap();
            assert!(
                matches!(List::decode(&bytes, &digest), Err(ListError::Path(_))),
                "{path:?}"
            );
        }
    }
}
