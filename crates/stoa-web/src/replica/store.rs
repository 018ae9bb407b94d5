//! The web server's side: copies of static content.
//!
//! In the folder: `files/` has contents by digest; `trees/<environment>/<digest of the list>/` has a folder made of
//! hard links to them. Both come into being by renaming, whole or not at all.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use stoa_link::accept::Instance;
use tokio::task::spawn_blocking;

use super::PATHS;
use super::list::{Entry, List, ListError, hex, is_digest};
use super::source::digest_of;
use crate::body::{Body, BodyError};
use crate::static_content::{Config, LoadError, StaticContent};

/// Bytes of the longest list.
const LIST: usize = 64 << 20;
/// Longest wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files fetched at once.
const AT_ONCE: usize = 4;

/// A copy of static content.
#[derive(Debug)]
pub struct Replica {
    /// Digest of the list of its files.
    pub digest: String,
    /// What answers requests.
    pub content: StaticContent,
}

/// Static content that cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The instance does not answer.
    #[error("the instance does not answer")]
    NoAnswer,
    /// The instance does not have it.
    #[error("the instance answers {status} when asked for {digest}")]
    Status {
        /// What it answers.
        status: StatusCode,
        /// What it was asked for.
        digest: String,
    },
    /// The answer broke off.
    #[error("the answer ended before its end")]
    Cut(#[source] BodyError),
    /// The list is not usable.
    #[error("the list of files is not usable: {0}")]
    List(String),
    /// A file is not what the list says.
    #[error("the content of {path} is not what its digest says")]
    Content {
        /// Its path.
        path: String,
    },
    /// The copy cannot be written.
    #[error("the copy cannot be written to {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy cannot be served.
    #[error("the copy cannot be served")]
    Load(#[from] LoadError),
}

impl From<ListError> for FetchError {
    fn from(error: ListError) -> Self {
        Self::List(error.to_string())
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> FetchError + '_ {
    move |source| FetchError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Copies what an instance announces, unless it is here already, and loads it.
///
/// # Errors
/// It cannot be fetched whole and right, or not be written. Files that are here stay for the next attempt.
pub async fn fetch(
    instance: &Arc<Instance<Body>>,
    environment: &str,
    digest: &str,
    folder: &Path,
    config: Config,
) -> Result<Replica, FetchError> {
    if !is_digest(digest) {
        return Err(FetchError::List("its digest is none".into()));
    }
    let files = folder.join("files");
    let trees = folder.join("trees").join(environment);
    for path in [&files, &trees] {
        fs::create_dir_all(path).map_err(write_error(path))?;
    }
    let bytes = whole(instance, environment, digest).await?;
    let list = List::decode(&bytes, digest)?;
    let mut wanted: Vec<&Entry> = Vec::new();
    let mut seen = HashSet::new();
    for entry in &list.files {
        if seen.insert(entry.digest.as_str()) && !is_here(&files, entry).await {
            wanted.push(entry);
        }
    }
    for some in wanted.chunks(AT_ONCE) {
        let fetches = some
            .iter()
            .map(|entry| file(instance, environment, entry, &files));
        futures_util::future::try_join_all(fetches).await?;
    }
    let tree = trees.join(digest);
    let digest = digest.to_owned();
    let content = spawn_blocking(move || {
        plant(&files, &tree, &list).map_err(write_error(&tree))?;
        StaticContent::load(&tree, config).map_err(FetchError::from)
    })
    .await
    .map_err(|error| FetchError::Write {
        path: folder.to_owned(),
        source: io::Error::other(error),
    })??;
    Ok(Replica { digest, content })
}

/// Whether a file is here, and whole: what was written before a power failure may not be.
async fn is_here(files: &Path, entry: &Entry) -> bool {
    let (path, digest) = (files.join(&entry.digest), entry.digest.clone());
    spawn_blocking(move || digest_of(&path).is_ok_and(|found| found == digest))
        .await
        .unwrap_or(false)
}

async fn ask(
    instance: &Arc<Instance<Body>>,
    environment: &str,
    digest: &str,
) -> Result<impl http_body::Body<Data = Bytes, Error = BodyError> + Unpin + use<>, FetchError> {
    let asked = async {
        let taken = instance
            .wait(false, Instant::now() + PATIENCE)
            .await
            .ok_or(FetchError::NoAnswer)?;
        let request = Request::get(format!("{PATHS}{digest}"))
            .header(header::HOST, "stoa")
            .header(
                "x-stoa-environment",
                HeaderValue::try_from(environment).map_err(|_| FetchError::NoAnswer)?,
            )
            .body(Body::Empty)
            .map_err(|_| FetchError::NoAnswer)?;
        taken
            .send(request, || true)
            .await
            .map_err(|_| FetchError::NoAnswer)
    };
    let response = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_| FetchError::NoAnswer)??;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status {
            status: response.status(),
            digest: digest.to_owned(),
        });
    }
    Ok(response.into_body())
}

async fn whole(
    instance: &Arc<Instance<Body>>,
    environment: &str,
    digest: &str,
) -> Result<Bytes, FetchError> {
    let body = ask(instance, environment, digest).await?;
    let collected = http_body_util::Limited::new(body, LIST)
        .collect()
        .await
        .map_err(FetchError::Cut)?;
    Ok(collected.to_bytes())
}

/// Fetches one file, and checks it.
async fn file(
    instance: &Arc<Instance<Body>>,
    environment: &str,
    entry: &Entry,
    files: &Path,
) -> Result<(), FetchError> {
    let mut body = ask(instance, environment, &entry.digest).await?;
    let mut temporary = tempfile::NamedTempFile::new_in(files).map_err(write_error(files))?;
    let mut hasher = Sha256::new();
    let mut length = 0;
    let different = || FetchError::Content {
        path: entry.path.clone(),
    };
    loop {
        let next = tokio::time::timeout(PATIENCE, body.frame())
            .await
            .map_err(|_| FetchError::NoAnswer)?;
        let Some(frame) = next else { break };
        let Ok(data) = frame.map_err(FetchError::Cut)?.into_data() else {
            continue;
        };
        length += data.len() as u64;
        if length > entry.length {
            return Err(different());
        }
        hasher.update(&data);
        temporary.write_all(&data).map_err(write_error(files))?;
    }
    if hex(&hasher.finalize()) != entry.digest {
        return Err(different());
    }
    let modified = UNIX_EPOCH + Duration::from_secs(entry.modified);
    let path = files.join(&entry.digest);
    let kept = (|| {
        temporary.as_file().set_modified(modified)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&path).map_err(|error| error.error)?;
        Ok(())
    })();
    kept.map_err(write_error(&path))
}

/// Makes the folder of a list.
fn plant(files: &Path, tree: &Path, list: &List) -> io::Result<()> {
    if tree.exists() {
        // It was renamed into place whole; its files were checked a moment ago, under their other names.
        return Ok(());
    }
    let parent = tree.parent().unwrap_or(tree);
    let sapling = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)?;
    for entry in &list.files {
        let Some(relative) = entry.relative_path() else {
            continue;
        };
        let path = sapling.path().join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::hard_link(files.join(&entry.digest), &path)?;
    }
    fs::rename(sapling.path(), tree)
}

/// Removes copies that nobody serves any more: trees of the environment other than this one and the one before it,
/// and files that no tree has.
pub async fn tidy(folder: &Path, environment: &str, current: &str) {
    let (folder, trees, current) = (
        folder.to_owned(),
        folder.join("trees").join(environment),
        current.to_owned(),
    );
    let tidied = spawn_blocking(move || {
        let mut others = Vec::new();
        for entry in fs::read_dir(&trees)? {
            let entry = entry?;
            if entry.file_name().to_str() != Some(current.as_str()) {
                others.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        others.sort();
        others.pop();
        for (_, path) in others {
            fs::remove_dir_all(path)?;
        }
        for entry in fs::read_dir(folder.join("files"))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // One that another environment is just fetching has no tree yet.
            let is_old = metadata
                .ctime()
                .checked_add(3600)
                .is_some_and(|then| then < now());
            if metadata.nlink() == 1 && is_old {
                fs::remove_file(entry.path())?;
            }
        }
        io::Result::Ok(())
    })
    .await;
    let error = match tidied {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(error) => io::Error::other(error),
    };
    tracing::warn!(%error, "old copies of static content cannot be removed");
}

/// Seconds since 1970.
fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
