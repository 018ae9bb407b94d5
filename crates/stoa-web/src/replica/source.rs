//! The app server's side: a list of the files, and the files.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::PATHS;
use super::list::{Entry, List, hex};
use crate::body::Body;
use crate::static_content::Snapshot;

/// Files up to this size are read whole.
const WHOLE: u64 = 1 << 20;

/// The static content of an application, for web servers.
#[derive(Debug)]
pub struct Source {
    list: Bytes,
    digest: String,
    files: HashMap<String, (PathBuf, u64)>,
}

impl Source {
    /// What a snapshot of a folder serves, no more and no less. Reads all of it.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(folder: &Path, snapshot: &Snapshot) -> io::Result<Self> {
        let mut list = List::default();
        let mut files = HashMap::new();
        for path in snapshot.file_paths() {
            let relative = path.trim_start_matches('/');
            let file = folder.join(relative);
            let metadata = fs::metadata(&file)?;
            let digest = digest_of(&file)?;
            let modified = metadata
                .modified()?
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            list.files.push(Entry {
                path: relative.to_owned(),
                length: metadata.len(),
                modified,
                digest: digest.clone(),
            });
            files.insert(digest, (file, metadata.len()));
        }
        list.files.sort_by(|one, other| one.path.cmp(&other.path));
        let (bytes, digest) = list.encode()?;
        Ok(Self {
            list: bytes.into(),
            digest,
            files,
        })
    }

    /// Digest of the list: what is announced.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Answers a request of a web server for a path below [`PATHS`].
    pub async fn respond(&self, path: &str) -> Response<Body> {
        let wanted = path.strip_prefix(PATHS).unwrap_or_default();
        if wanted == self.digest {
            return Response::new(self.list.clone().into());
        }
        let Some((file, length)) = self.files.get(wanted) else {
            return status(StatusCode::NOT_FOUND);
        };
        match open(file.clone(), *length).await {
            Ok(body) => {
                let mut response = Response::new(body);
                if let Ok(length) = HeaderValue::try_from(length.to_string()) {
                    response
                        .headers_mut()
                        .insert(header::CONTENT_LENGTH, length);
                }
                response
            }
            Err(error) => {
                tracing::error!(%error, file.path = %file.display(), "static content cannot be given to a web server");
                status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

async fn open(path: PathBuf, length: u64) -> io::Result<Body> {
    tokio::task::spawn_blocking(move || {
        if length <= WHOLE {
            return Ok(Bytes::from(fs::read(path)?).into());
        }
        Ok(Body::of_file(fs::File::open(path)?, length))
    })
    .await
    .map_err(io::Error::other)?
}

pub(super) fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}
