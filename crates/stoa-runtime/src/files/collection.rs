//! Takes content away that no row names any more.
//!
//! Nothing is deleted at first sight. Content that is older than the grace period and that no row names is put
//! aside, where it can still be read; if no row has come to name it after another grace period, it is deleted.
//! The order of steps makes it safe beside uploads and other instances: an upload always brings a file of its
//! own with the present time, and it is only after it was put aside that a file's time is believed.
//!
//! A round is about one of the 256 folders, so its work and the rows that it reads are a small part of all.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stoa_model::access::Permitted;
use stoa_model::expression::{Expression, Function};
use stoa_model::model::{AttributeId, EntityId, Model, Purpose};
use stoa_model::query::{OrderTerm, Query, ROW, Row, RowWriter, Selection, Source};
use stoa_model::value::{ScalarType, Value, ValueRef};
use stoa_store::{SECURITY_REVISION, Store, StoreError};
use tokio::fs;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Description, FileStore, INCOMING, UNREFERENCED};

/// Time between two rounds; all folders take a day.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Content is left alone for so long after its upload, and again after it was put aside.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Most files that a round looks at in one folder.
const FILES: usize = 100_000;
/// Rows read at once.
const ROWS: u64 = 1000;
/// Folder with the names of databases.
const DATABASES: &str = "databases";

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Content put aside because no row names it.
    pub put_aside: u64,
    /// Content that rows name after all.
    pub put_back: u64,
    /// Files that are gone.
    pub deleted: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a round stopped.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// What rows name is not known.
    #[error("what rows name cannot be read")]
    Store(#[from] StoreError),
    /// The folder.
    #[error("the folder of content cannot be read or written")]
    Io(#[from] io::Error),
    /// Rows of another database may name the content.
    #[error(
        "{0} belongs to several databases; if only one is in use, delete the files of the others in it"
    )]
    Shared(PathBuf),
}

/// Collects the content of one database.
#[derive(Clone)]
pub(crate) struct Collection {
    pub(crate) files: FileStore,
    pub(crate) store: Store,
    pub(crate) model: Arc<Model>,
}

/// The task that runs rounds; it ends with this.
pub(crate) struct Collecting(JoinHandle<()>);

impl Drop for Collecting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A file that is old enough, by the digest of its content.
struct Old {
    digest: String,
    bytes: u64,
}

impl Collection {
    /// Starts rounds, if the model has File attributes. Needs a runtime.
    pub(crate) fn start(self) -> Option<Collecting> {
        if self.attributes().next().is_none() || tokio::runtime::Handle::try_current().is_err() {
            return None;
        }
        Some(Collecting(tokio::spawn(async move {
            // Told apart from other databases from the start, before there is anything to collect.
            self.report(self.claim().await.map(|_| Collected::default()));
            let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // After a restart not always the same folders first.
            let mut folder = uuid::Uuid::new_v4().as_bytes()[0];
            loop {
                ticks.tick().await;
                self.report(self.round(folder, GRACE).await);
                folder = folder.wrapping_add(1);
            }
        })))
    }

    fn report(&self, outcome: Result<Collected, CollectionError>) {
        match outcome {
            Ok(collected) if collected == Collected::default() => {}
            Ok(collected) => tracing::info!(
                files.put_aside = collected.put_aside,
                files.put_back = collected.put_back,
                files.deleted = collected.deleted,
                files.bytes = collected.bytes,
                "content that no row names was collected"
            ),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "content that no row names stays for now"
            ),
        }
    }

    /// Collects in one folder of content.
    pub(crate) async fn round(
        &self,
        folder: u8,
        grace: Duration,
    ) -> Result<Collected, CollectionError> {
        let mut collected = Collected::default();
        // Uploads that ended with their process.
        for old in old_files(&self.files.folder.join(INCOMING), "", grace).await? {
            delete(
                &self.files.folder.join(INCOMING).join(&old.digest),
                &old,
                &mut collected,
            )
            .await?;
        }
        let folder = format!("{folder:02x}");
        let all_aside = old_files(
            &self.files.folder.join(UNREFERENCED),
            &folder,
            Duration::ZERO,
        )
        .await?;
        let old = old_files(&self.files.folder.join(&folder), "", grace).await?;
        if all_aside.is_empty() && old.is_empty() {
            return Ok(collected);
        }
        if !self.claim().await? {
            return Ok(collected);
        }
        let named = self.named(&folder).await?;
        for file in all_aside {
            let aside = self.files.aside(&file.digest);
            if named.contains(&file.digest) {
                // Equal content may be there again: then one takes the place of the other.
                if renamed(&aside, &self.files.path(&file.digest)).await? {
                    collected.put_back += 1;
                }
            } else if is_old(&aside, grace).await? {
                delete(&aside, &file, &mut collected).await?;
            }
        }
        for mut file in old {
            file.digest.insert_str(0, &folder);
            if !named.contains(&file.digest) && self.put_aside(&file.digest, grace).await? {
                collected.put_aside += 1;
            }
        }
        Ok(collected)
    }

    /// Puts content aside, unless it was uploaded again since somebody looked.
    async fn put_aside(&self, digest: &str, grace: Duration) -> io::Result<bool> {
        let (usual, aside) = (self.files.path(digest), self.files.aside(digest));
        fs::create_dir_all(self.files.folder.join(UNREFERENCED)).await?;
        if !renamed(&usual, &aside).await? {
            return Ok(false);
        }
        if !is_old(&aside, grace).await? {
            renamed(&aside, &usual).await?;
            return Ok(false);
        }
        // From now on it counts how long it has been here.
        let moved = tokio::task::spawn_blocking(move || {
            std::fs::File::open(&aside)?.set_modified(SystemTime::now())
        });
        match moved.await.map_err(io::Error::other)? {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// Leaves the database's name in the folder; false if the database has none yet.
    async fn claim(&self) -> Result<bool, CollectionError> {
        let Some(name) = self.database().await? else {
            return Ok(false);
        };
        let folder = self.files.folder.join(DATABASES);
        fs::create_dir_all(&folder).await?;
        fs::File::create(folder.join(&name)).await?;
        let mut entries = fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            if entry.file_name().to_str() != Some(&name) {
                return Err(CollectionError::Shared(folder));
            }
        }
        Ok(true)
    }

    /// What tells the database from others: the instant when it was first served.
    async fn database(&self) -> Result<Option<String>, StoreError> {
        let Some(entity) = self.model.entities_by_name.get("SystemRevision") else {
            return Ok(None);
        };
        let Some(created) = (0_u32..)
            .zip(&self.model[*entity].attributes)
            .find(|(_, attribute)| attribute.purpose == Purpose::CreatedAt)
            .map(|(id, _)| AttributeId(id))
        else {
            return Ok(None);
        };
        let source = Source::Key(vec![Value::Text(SECURITY_REVISION.to_owned())]);
        let found = self
            .read(Query::row(*entity, source, vec![created]))
            .await?;
        Ok(found.into_iter().find_map(|row| match row.value {
            Some(Value::DateTime(micros)) => Some(micros.to_string()),
            _ => None,
        }))
    }

    /// All File attributes.
    fn attributes(&self) -> impl Iterator<Item = (EntityId, AttributeId)> {
        self.model.entities.iter().flat_map(|entity| {
            (0_u32..)
                .zip(&entity.attributes)
                .filter(|(_, attribute)| {
                    attribute.scalar_type == ScalarType::File && attribute.declared_by == entity.id
                })
                .map(|(id, _)| (entity.id, AttributeId(id)))
        })
    }

    /// Digests that begin so and that rows name.
    async fn named(&self, beginning: &str) -> Result<HashSet<String>, StoreError> {
        let mut named = HashSet::new();
        for (entity, attribute) in self.attributes() {
            let mut query = self.rows_with(entity, attribute, &format!("\"{beginning}"));
            loop {
                let rows = self.read(query.clone()).await?;
                let more = rows.len() as u64 == ROWS;
                query.after = rows.last().map(|row| row.key.clone());
                for row in rows {
                    let (Some(Value::Text(text)) | Some(Value::Json(text))) = row.value else {
                        continue;
                    };
                    // What is no description names nothing that could be read.
                    if let Ok(description) = serde_json::from_str::<Description>(&text) {
                        named.insert(description.digest);
                    }
                }
                if !more {
                    break;
                }
            }
        }
        Ok(named)
    }

    /// Rows whose attribute contains a text, by their key.
    fn rows_with(&self, entity: EntityId, attribute: AttributeId, text: &str) -> Query {
        let of_row = |id: AttributeId, scalar_type| Expression::Attribute {
            from: ROW,
            path: Vec::new(),
            entity,
            attribute: id,
            scalar_type,
        };
        let described = &self.model[entity];
        let order = described.key.iter().map(|id| OrderTerm {
            expression: of_row(*id, described[*id].scalar_type),
            descending: false,
        });
        Query {
            single: false,
            filter: Some(Expression::Call {
                function: Function::Contains,
                arguments: vec![
                    of_row(attribute, ScalarType::File),
                    Expression::Literal {
                        value: Value::Text(text.to_owned()),
                        scalar_type: ScalarType::String,
                    },
                ],
                scalar_type: ScalarType::Boolean,
            }),
            order: order.collect(),
            limit: ROWS,
            selection: Selection {
                node: 0,
                entity,
                attributes: vec![attribute],
                specialised: Vec::new(),
                expands: Vec::new(),
                masks: Vec::new(),
            },
            ..Query::row(entity, Source::All, Vec::new())
        }
    }

    async fn read(&self, query: Query) -> Result<Vec<Found>, StoreError> {
        let query = Permitted::by_system(query);
        let read = self
            .store
            .read(&self.model, &query, Rows::default())
            .await?;
        Ok(read.writer.0)
    }
}

/// Files of a folder that are older than the grace period and whose names begin so; not more than a round
/// takes. What is no digest of ours is not touched.
async fn old_files(folder: &Path, beginning: &str, grace: Duration) -> io::Result<Vec<Old>> {
    let mut found = Vec::new();
    let mut entries = match fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    while let Some(entry) = entries.next_entry().await? {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let is_ours = name.starts_with(beginning)
            && name
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_ours || !is_old(&entry.path(), grace).await? {
            continue;
        }
        let bytes = match entry.metadata().await {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            _ => continue,
        };
        found.push(Old {
            digest: name,
            bytes,
        });
        if found.len() == FILES {
            break;
        }
    }
    Ok(found)
}

/// Whether a file is there and older than the grace period.
async fn is_old(path: &Path, grace: Duration) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata?,
    };
    // A time to come is that of a clock that goes differently: not old.
    let age = SystemTime::now().duration_since(metadata.modified()?);
    Ok(age.is_ok_and(|age| age >= grace))
}

/// Renames a file if it is there: another instance may have done it.
async fn renamed(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

async fn delete(path: &Path, file: &Old, collected: &mut Collected) -> io::Result<()> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => {
            outcome?;
            collected.deleted += 1;
            collected.bytes += file.bytes;
            Ok(())
        }
    }
}

/// A row's key and its one attribute.
struct Found {
    key: Vec<Value>,
    value: Option<Value>,
}

/// Gathers rows.
#[derive(Default)]
struct Rows(Vec<Found>);

impl RowWriter for Rows {
    fn begin_collection(&mut self, _: usize, _: Option<u64>) {}

    fn end_collection(&mut self, _: usize, _: Option<&[Value]>) {}

    fn begin_row(&mut self, _: usize, row: Row<'_>) {
        self.0.push(Found {
            key: row
                .key
                .iter()
                .map(|value| ValueRef::to_owned(*value))
                .collect(),
            value: None,
        });
    }

    fn value(&mut self, _: usize, _: usize, value: ValueRef<'_>) {
        if let Some(found) = self.0.last_mut() {
            found.value = Some(value.to_owned());
        }
    }

    fn null_target(&mut self, _: usize) {}

    fn count_only(&mut self, _: usize, _: u64) {}

    fn end_row(&mut self, _: usize) {}

    fn written(&self) -> usize {
        // A page of descriptions is small: it never reaches the limit of an answer.
        0
    }
}
