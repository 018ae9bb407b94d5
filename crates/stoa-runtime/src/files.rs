//! Content of File attributes: kept outside the database, named by its digest.
//!
//! A file is written under a temporary name, made durable, and only then given its final name, so a
//! reader never sees half of it and a row never names content that a crash could take away. Equal content
//! is kept once. Content that no row names is taken away by [`collection`].
//!
//! Below the folder: `incoming` with uploads under way, `00` to `ff` with content by the first digits of its
//! digest, `unreferenced` with content that will be gone after a while, `databases` with a name for each
//! database whose rows name content here.

pub mod collection;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::pin;

use bytes::Buf;
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// Folder of uploads under way.
const INCOMING: &str = "incoming";
/// Folder of content that no row named when somebody looked.
const UNREFERENCED: &str = "unreferenced";

/// What a File attribute's column holds, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// SHA-256 of the content, lower-case hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Media type as sent by the client.
    pub media_type: String,
}

/// Why content was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The content is larger than the attribute or the limits allow.
    #[error("the content is larger than {0} bytes")]
    TooLarge(u64),
    /// The client stopped sending.
    #[error("the request's body could not be read: {0}")]
    Body(String),
    /// The disk is full.
    #[error("no space is left for files")]
    StorageFull,
    /// Anything else.
    #[error("files could not be read or written: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        if matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            Self::StorageFull
        } else {
            Self::Io(error)
        }
    }
}

/// Content that was stored, before a row names it.
#[derive(Debug)]
pub struct Upload {
    /// What the row is to hold.
    pub description: Description,
    /// The file, if such content was not there before.
    made: Option<FileIdentity>,
}

/// Device and number of a file: what stays the same when it is renamed.
type FileIdentity = (u64, u64);

fn identity(metadata: &std::fs::Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

/// A folder of content.
#[derive(Clone, Debug)]
pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    /// Content is kept in `folder`, which is made when the first file comes.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Stores content of at most `limit` bytes; durable when this returns.
    ///
    /// # Errors
    /// See [`FileError`]; nothing stays behind.
    pub async fn store<B>(
        &self,
        body: B,
        media_type: String,
        limit: u64,
    ) -> Result<Upload, FileError>
    where
        B: HttpBody,
        B::Error: std::fmt::Display,
    {
        fs::create_dir_all(self.folder.join(INCOMING)).await?;
        let temporary = self.temporary();
        let stored = self.receive(body, media_type, limit, &temporary).await;
        if stored.is_err() {
            // What is left of a failed upload is of no use to anybody.
            if let Err(error) = fs::remove_file(&temporary).await
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %temporary.display(), %error, "an unfinished upload could not be removed");
            }
        }
        stored
    }

    async fn receive<B>(
        &self,
        body: B,
        media_type: String,
        limit: u64,
        temporary: &Path,
    ) -> Result<Upload, FileError>
    where
        B: HttpBody,
        B::Error: std::fmt::Display,
    {
        let mut file = File::create_new(temporary).await?;
        let mut hasher = Sha256::new();
        let mut size = 0_u64;
        let mut body = pin!(body);
        while let Some(frame) = body.as_mut().frame().await {
            let frame = frame.map_err(|error| FileError::Body(error.to_string()))?;
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            size += data.remaining() as u64;
            if size > limit {
                return Err(FileError::TooLarge(limit));
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                hasher.update(chunk);
                file.write_all(chunk).await?;
                let length = chunk.len();
                data.advance(length);
            }
        }
        file.flush().await?;
        file.sync_all().await?;
        let digest: String = hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let target = self.path(&digest);
        let mut made = None;
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).await?;
            // Of several that bring the same content at once, one makes it. The others, and all on a file
            // system without links, put theirs in its place: the file's time tells that it is wanted.
            if fs::hard_link(temporary, &target).await.is_ok() {
                made = Some(identity(&file.metadata().await?));
                fs::remove_file(temporary).await?;
            } else {
                fs::rename(temporary, &target).await?;
            }
            // The name is durable only when its folder is.
            File::open(folder).await?.sync_all().await?;
            File::open(&self.folder).await?.sync_all().await?;
        }
        Ok(Upload {
            description: Description {
                digest,
                size,
                media_type,
            },
            made,
        })
    }

    /// Takes an upload away that no row came to name. Content that was there before, or was brought again by
    /// somebody else, stays: rows may name it.
    ///
    /// # Errors
    /// The file system's; what stays behind is collected later.
    pub async fn discard(&self, upload: &Upload) -> io::Result<()> {
        let target = self.path(&upload.description.digest);
        let is_ours = async |path: &Path| -> io::Result<bool> {
            match fs::symlink_metadata(path).await {
                Ok(metadata) => Ok(upload.made == Some(identity(&metadata))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        };
        if !is_ours(&target).await? {
            return Ok(());
        }
        // What is deleted is what was looked at, even if another upload comes between.
        let aside = self.temporary();
        fs::rename(&target, &aside).await?;
        if is_ours(&aside).await? {
            fs::remove_file(&aside).await
        } else {
            fs::rename(&aside, &target).await
        }
    }

    fn temporary(&self) -> PathBuf {
        let name = Uuid::new_v4().simple().to_string();
        self.folder.join(INCOMING).join(name)
    }

    /// Opens content.
    ///
    /// # Errors
    /// When the content is missing or cannot be read.
    pub async fn open(&self, description: &Description) -> Result<File, FileError> {
        // The description comes from a column that other programs may write: it must not lead elsewhere.
        if description.digest.len() != 64
            || !description
                .digest
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(FileError::Io(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a digest",
            )));
        }
        let usual = self.path(&description.digest);
        let aside = self.aside(&description.digest);
        // Content goes to one side when no row names it, and comes back when one does again.
        for path in [&usual, &aside, &usual] {
            match File::open(path).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return Ok(opened?),
            }
        }
        Err(FileError::Io(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the content {} is missing", description.digest),
        )))
    }

    fn aside(&self, digest: &str) -> PathBuf {
        self.folder.join(UNREFERENCED).join(digest)
    }

    fn path(&self, digest: &str) -> PathBuf {
        // Two levels keep folders small.
        let (folder, name) = digest.split_at(digest.len().min(2));
        self.folder.join(folder).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn equal_content_is_kept_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileStore::new(folder.path().join("files"));
        let first = files
            .store(Full::new(Bytes::from("hello")), "text/plain".into(), 10)
            .await
            .unwrap();
        let second = files
            .store(Full::new(Bytes::from("hello")), "text/plain".into(), 10)
            .await
            .unwrap();
        assert_eq!(first.description, second.description);
        assert_eq!(first.description.size, 5);
        let mut text = String::new();
        files
            .open(&first.description)
            .await
            .unwrap()
            .read_to_string(&mut text)
            .await
            .unwrap();
        assert_eq!(text, "hello");
        let left: Vec<_> = std::fs::read_dir(folder.path().join("files/incoming"))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "temporary files stay behind: {left:?}");
    }

    #[tokio::test]
    async fn content_above_the_limit_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileStore::new(folder.path().to_owned());
        let error = files
            .store(Full::new(Bytes::from("hello")), "text/plain".into(), 4)
            .await
            .unwrap_err();
        assert!(matches!(error, FileError::TooLarge(4)), "{error}");
        assert!(
            std::fs::read_dir(folder.path().join("incoming"))
                .unwrap()
                .next()
                .is_none()
        );
    }

    #[tokio::test]
    async fn only_what_an_upload_has_brought_itself_is_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileStore::new(folder.path().to_owned());
        let store = async |text: &'static str| {
            let body = Full::new(Bytes::from(text));
            files.store(body, "text/plain".into(), 10).await.unwrap()
        };
        let alone = store("alone").await;
        files.discard(&alone).await.unwrap();
        files.open(&alone.description).await.unwrap_err();
        // Again is nothing to do.
        files.discard(&alone).await.unwrap();

        // Whoever comes second may be in a row already, or will be.
        let (first, second) = (store("both").await, store("both").await);
        files.discard(&first).await.unwrap();
        files.open(&first.description).await.unwrap();
        files.discard(&second).await.unwrap();
        files.open(&second.description).await.unwrap();
        let left = std::fs::read_dir(folder.path().join(INCOMING)).unwrap();
        assert_eq!(left.count(), 0);
    }
}
