//! From a folder to a snapshot.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::file::{Content, OnDisk, Stamp, StaticFile};
use super::{Config, Entries, Entry, Snapshot};

/// Deepest folder below the served one.
const DEEPEST: usize = 64;
/// Content above this is not digested at load; its entity tag is made of length and time.
const DIGESTED_BYTES: u64 = 64 * 1024 * 1024;
/// How often a file is read again that changes while it is read.
const ATTEMPTS: usize = 5;

/// A folder that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too many files.
    #[error("{folder} has more than {most} files or folders; serve fewer or raise the limit")]
    TooMany {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        most: usize,
    },
    /// Folders in folders, too deep.
    #[error("{path} is nested deeper than {DEEPEST} folders")]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A file that never stands still.
    #[error("{path} keeps changing while it is read")]
    Restless {
        /// The file.
        path: PathBuf,
    },
}

pub(super) fn load(
    folder: &Path,
    config: &Config,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, LoadError> {
    let root = fs::canonicalize(folder).map_err(|source| LoadError::Unreadable {
        path: folder.to_owned(),
        source,
    })?;
    let mut walk = Walk {
        config,
        previous,
        ancestors: HashSet::from([root.clone()]),
        root,
        entries: Entries::default(),
        memory_bytes: 0,
        files: 0,
        folders: 0,
        skipped: Vec::new(),
    };
    walk.folder(&walk.root.clone(), "/", 0)?;
    let not_found = walk.file_at("/404.html");
    Ok(Snapshot {
        entries: walk.entries,
        not_found,
        files: walk.files,
        memory_bytes: walk.memory_bytes,
        memory_budget: config.memory_bytes,
        skipped: walk.skipped,
    })
}

struct Walk<'a> {
    config: &'a Config,
    previous: Option<&'a Snapshot>,
    root: PathBuf,
    /// The folders above the present one, links resolved: a link to one of them would go round for ever.
    ancestors: HashSet<PathBuf>,
    entries: Entries,
    memory_bytes: u64,
    files: usize,
    /// Links can lead to one folder on very many ways.
    folders: usize,
    skipped: Vec<String>,
}

impl Walk<'_> {
    /// Takes in a folder; `prefix` is its path in URLs and ends in a slash.
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), LoadError> {
        if depth > DEEPEST {
            return Err(LoadError::TooDeep {
                path: folder.to_owned(),
            });
        }
        self.folders += 1;
        if self.folders > self.config.most_files {
            return Err(self.too_many());
        }
        let unreadable = |source| LoadError::Unreadable {
            path: folder.to_owned(),
            source,
        };
        let mut children = fs::read_dir(folder)
            .map_err(unreadable)?
            .map(|child| child.map(|child| child.file_name()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(unreadable)?;
        // The order decides who gets the memory.
        children.sort();
        for name in children {
            let path = folder.join(&name);
            let Some(name) = name.to_str() else {
                self.skip(&path, "its name is not UTF-8");
                continue;
            };
            if name.starts_with('.') && name != ".well-known" {
                continue;
            }
            if name.contains(|character: char| character.is_control() || character == '\\') {
                self.skip(&path, "its name has a backslash or a control character");
                continue;
            }
            let resolved = match fs::canonicalize(&path) {
                Ok(resolved) => resolved,
                // A dangling link, or deleted since the folder was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.skip(&path, "it leads nowhere");
                    continue;
                }
                Err(source) => return Err(LoadError::Unreadable { path, source }),
            };
            if !resolved.starts_with(&self.root) {
                self.skip(&path, "it is a link that leads out of the folder");
                continue;
            }
            if self.leads_into_hidden(&resolved) {
                self.skip(&path, "it is a link to a hidden file");
                continue;
            }
            let metadata = fs::metadata(&resolved).map_err(|source| LoadError::Unreadable {
                path: path.clone(),
                source,
            })?;
            if metadata.is_dir() {
                if !self.ancestors.insert(resolved.clone()) {
                    self.skip(&path, "it is a link to a folder above itself");
                    continue;
                }
                self.folder(&resolved, &format!("{prefix}{name}/"), depth + 1)?;
                self.ancestors.remove(&resolved);
            } else if metadata.is_file() {
                self.file(&resolved, prefix, name)?;
            } else {
                self.skip(&path, "it is neither a file nor a folder");
            }
        }
        Ok(())
    }

    fn leads_into_hidden(&self, resolved: &Path) -> bool {
        resolved.strip_prefix(&self.root).is_ok_and(|inside| {
            inside.components().any(|component| {
                component
                    .as_os_str()
                    .to_str()
                    .is_some_and(|name| name.starts_with('.') && name != ".well-known")
            })
        })
    }

    fn too_many(&self) -> LoadError {
        LoadError::TooMany {
            folder: self.root.clone(),
            most: self.config.most_files,
        }
    }

    fn skip(&mut self, path: &Path, reason: &str) {
        self.skipped
            .push(format!("{} is not served: {reason}", path.display()));
    }

    fn file(&mut self, path: &Path, prefix: &str, name: &str) -> Result<(), LoadError> {
        self.files += 1;
        if self.files > self.config.most_files {
            return Err(self.too_many());
        }
        let url = format!("{prefix}{name}");
        let file = self.read(path, &url)?;
        if name == "index.html" {
            self.entries
                .insert(prefix.into(), Entry::File(Arc::clone(&file)));
            if let Some(bare) = prefix.strip_suffix('/')
                && !bare.is_empty()
                && let Ok(location) = HeaderValue::try_from(encode(prefix))
            {
                // A file of that name cannot exist beside the folder.
                self.entries.insert(bare.into(), Entry::Folder(location));
            }
        }
        self.entries.insert(url.into(), Entry::File(file));
        Ok(())
    }

    fn read(&mut self, path: &Path, url: &str) -> Result<Arc<StaticFile>, LoadError> {
        let unreadable = |source| LoadError::Unreadable {
            path: path.to_owned(),
            source,
        };
        for _ in 0..ATTEMPTS {
            let mut source = File::open(path).map_err(unreadable)?;
            let metadata = source.metadata().map_err(unreadable)?;
            let stamp = Stamp::of(&metadata);
            let modified = whole_seconds(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            let in_memory = stamp.length <= self.config.file_memory_bytes
                && self.memory_bytes + stamp.length <= self.config.memory_bytes;
            let (content, digest) = if in_memory {
                let mut buffer =
                    Vec::with_capacity(usize::try_from(stamp.length).unwrap_or_default());
                // One byte more than expected tells that the file has grown.
                source
                    .by_ref()
                    .take(stamp.length + 1)
                    .read_to_end(&mut buffer)
                    .map_err(unreadable)?;
                if buffer.len() as u64 != stamp.length {
                    continue;
                }
                let digest = hexadecimal(&Sha256::digest(&buffer));
                (Content::Memory(Bytes::from(buffer)), digest)
            } else {
                let digest = if stamp.length > DIGESTED_BYTES {
                    stamp.digest()
                } else {
                    let mut hasher = Sha256::new();
                    io::copy(&mut source, &mut hasher).map_err(unreadable)?;
                    hexadecimal(&hasher.finalize())
                };
                (
                    Content::Disk(Arc::new(OnDisk {
                        path: path.to_owned(),
                        stamp,
                    })),
                    digest,
                )
            };
            if Stamp::of(&fs::metadata(path).map_err(unreadable)?) != stamp {
                continue;
            }
            if in_memory {
                self.memory_bytes += stamp.length;
            }
            // Unchanged content keeps its compressed variants.
            if let Some(Entry::File(known)) =
                self.previous.and_then(|previous| previous.entries.get(url))
                && known.digest == digest
                && known.modified == modified
                && in_memory == matches!(known.identity.content, Content::Memory(_))
                && in_memory
            {
                return Ok(Arc::clone(known));
            }
            return Ok(Arc::new(StaticFile::new(url, content, digest, modified)));
        }
        Err(LoadError::Restless {
            path: path.to_owned(),
        })
    }

    fn file_at(&self, url: &str) -> Option<Arc<StaticFile>> {
        match self.entries.get(url) {
            Some(Entry::File(file)) => Some(Arc::clone(file)),
            _ => None,
        }
    }
}

/// A path as it stands in a `Location`.
fn encode(path: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(path, KEPT).to_string()
}

/// HTTP knows no fractions, and no date may lie in the future (RFC 9110 §8.8.2.1).
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time
        .min(SystemTime::now())
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The first half of a SHA-256: 128 bits tell any two contents apart.
fn hexadecimal(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest
        .iter()
        .take(16)
        .fold(String::with_capacity(32), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
