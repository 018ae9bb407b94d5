//! A folder served at `/`.
//!
//! [`Snapshot::load`] reads it into an immutable map from path to prepared answers; [`StaticContent`] holds the
//! present snapshot and answers from it. Loading again makes a new snapshot and swaps it in.

mod compress;
mod condition;
pub(crate) mod encoding;
mod file;
mod load;
pub(crate) mod names;
mod range;
mod respond;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use http::HeaderValue;

use file::{Content, StaticFile};
pub use load::LoadError;

/// What a snapshot may use.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of content and compressed variants held in memory; what is beyond is streamed from disk.
    pub memory_bytes: u64,
    /// Bytes of the largest file that is held in memory.
    pub file_memory_bytes: u64,
    /// Most files of a folder.
    pub most_files: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            file_memory_bytes: 8 << 20,
            most_files: 100_000,
        }
    }
}

/// What there is, by path. Clients ask for paths, but only the folder says which there are: a quick hash will do.
type Entries = foldhash::HashMap<Box<str>, Entry>;

/// A folder as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    entries: Entries,
    not_found: Option<Arc<StaticFile>>,
    files: usize,
    memory_bytes: u64,
    memory_budget: u64,
    skipped: Vec<String>,
}

/// What is at a path.
#[derive(Debug)]
enum Entry {
    File(Arc<StaticFile>),
    /// A folder named without its slash; the value is its path with it.
    Folder(HeaderValue),
}

impl Snapshot {
    /// Nothing at all: every path is a 404.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            entries: Entries::default(),
            not_found: None,
            files: 0,
            memory_bytes: 0,
            memory_budget: 0,
            skipped: Vec::new(),
        }
    }

    /// Reads a folder. Content that `previous` has too keeps its compressed variants.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read, or there is too much of it.
    pub fn load(
        folder: &Path,
        config: &Config,
        previous: Option<&Self>,
    ) -> Result<Self, LoadError> {
        load::load(folder, config, previous)
    }

    /// Makes the compressed variants that lack. It takes a while: call it beside the serving.
    pub fn compress(&self) {
        let memory_left = AtomicU64::new(self.memory_budget.saturating_sub(self.memory_bytes));
        let mut files: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(path, entry)| match entry {
                Entry::File(file) if file.compressible => Some((file.identity.length, path, file)),
                _ => None,
            })
            .collect();
        files.sort_by_key(|(length, path, _)| (*length, *path));
        for (_, _, file) in files {
            compress::compress(file, &memory_left);
        }
    }

    /// Number of files.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// Bytes of content in memory, without compressed variants.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// A line for each thing in the folder that is not served although it is not hidden.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Whether something is served at a path or below it.
    #[must_use]
    pub fn has_below(&self, path: &str) -> bool {
        self.entries.keys().any(|key| {
            key.strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Paths of all files, in no order.
    pub fn file_paths(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|(path, entry)| {
            (matches!(entry, Entry::File(_)) && !path.ends_with('/')).then_some(&**path)
        })
    }

    /// Number of files that are streamed from disk.
    #[must_use]
    pub fn on_disk(&self) -> usize {
        self.entries
            .iter()
            .filter(|(path, entry)| {
                !path.ends_with('/')
                    && matches!(entry, Entry::File(file) if matches!(file.identity.content, Content::Disk(_)))
            })
            .count()
    }
}

/// The present snapshot of a folder.
#[derive(Debug)]
pub struct StaticContent {
    folder: PathBuf,
    config: Config,
    current: ArcSwap<Snapshot>,
}

impl StaticContent {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`Snapshot::load`].
    pub fn load(folder: &Path, config: Config) -> Result<Self, LoadError> {
        let snapshot = Snapshot::load(folder, &config, None)?;
        Ok(Self {
            folder: folder.to_owned(),
            config,
            current: ArcSwap::from_pointee(snapshot),
        })
    }

    /// Serves nothing until the folder, which does not exist, is there and [`reload`](Self::reload) is called.
    #[must_use]
    pub fn missing(folder: &Path, config: Config) -> Self {
        Self {
            folder: folder.to_owned(),
            config,
            current: ArcSwap::from_pointee(Snapshot::empty()),
        }
    }

    /// The present snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Whether there is something at the path of a request.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        respond::find(&self.current.load(), path).is_some()
    }

    /// Reads the folder again and serves what is there now. Requests in flight finish with the old content. Returns
    /// the new snapshot, whose variants are still to be made.
    ///
    /// # Errors
    /// As [`Snapshot::load`]; the old snapshot stays.
    pub fn reload(&self) -> Result<Arc<Snapshot>, LoadError> {
        let previous = self.current.load_full();
        let snapshot = Arc::new(Snapshot::load(&self.folder, &self.config, Some(&previous))?);
        self.current.store(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
