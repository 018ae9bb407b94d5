//! Sample data: `data/*.csv` of an application, loaded when its database is new.
//!
//! A file is named after a collection (`Customers.csv`), after an entity without one (`OrderLine.csv`), or
//! after a many-to-many navigation (`Product.Suppliers.csv`). The header names attributes and to-one
//! navigations, whose values are keys of their targets (`Navigation/Key` for each part of a composite
//! one); `@type` names the specialisation of a row. An empty field is null, or the default of an attribute
//! whose file has no column for it.
//!
//! Everything is read and judged before the first row is written, so a fault leaves an empty database.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rust_decimal::Decimal;
use stoa_model::model::{
    AttributeId, Default as ModelDefault, Entity, EntityId, Model, NavigationId, Purpose, Storage,
};
use stoa_model::value::text::{parse_date, parse_date_time, parse_duration, parse_time};
use stoa_model::value::{ScalarType, Value};
use stoa_store::{Load, LoadProgress, LoadTarget, Store, StoreError};
use uuid::Uuid;

use crate::environment::now;

/// Faults reported at most.
const FAULTS: usize = 20;

/// Rows for one table.
#[derive(Debug)]
pub struct Rows {
    /// File that they come from.
    pub file: PathBuf,
    /// Where they go.
    pub target: Target,
    /// One vector for each row, as long as the target has columns.
    pub rows: Vec<Vec<Value>>,
}

/// Where rows go.
#[derive(Debug)]
pub enum Target {
    /// Rows of an entity and of its specialisations.
    Entity {
        /// Type of rows that name none.
        entity: EntityId,
        /// What the values are. With [`Column::Type`] only if the file has `@type`.
        columns: Vec<Column>,
    },
    /// Pairs of a many-to-many navigation: the key of the entity's row, then the key of the target's.
    Join {
        /// Entity that has the navigation.
        entity: EntityId,
        /// The navigation.
        navigation: NavigationId,
    },
}

/// A column of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Name of the row's type, as text.
    Type,
    /// An attribute of the entity named (the file's, or a specialisation).
    Attribute(EntityId, AttributeId),
    /// A part of the key of a to-one navigation's target.
    Reference(EntityId, NavigationId, usize),
}

/// What is wrong with sample data.
#[derive(Debug, thiserror::Error)]
pub enum SampleDataError {
    /// A file or folder cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Faults in the files, each with file and line.
    #[error("the sample data has faults:\n{}", .0.join("\n"))]
    Faults(Vec<String>),
}

/// Reads and judges the files of a `data` folder, in the order in which they can be loaded. A folder that
/// does not exist has no files.
///
/// # Errors
/// See [`SampleDataError`].
pub fn read(model: &Model, folder: &Path) -> Result<Vec<Rows>, SampleDataError> {
    let mut files = match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| SampleDataError::Io {
                file: folder.to_owned(),
                source,
            })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(SampleDataError::Io {
                file: folder.to_owned(),
                source,
            });
        }
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    let mut faults = Vec::new();
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|source| SampleDataError::Io {
            file: file.clone(),
            source,
        })?;
        if let Some(rows) = read_file(model, &file, &text, &mut faults) {
            all.push(rows);
        }
    }
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(FAULTS);
        faults.truncate(FAULTS);
        if more > 0 {
            faults.push(format!("and {more} more"));
        }
        return Err(SampleDataError::Faults(faults));
    }
    Ok(in_order(model, all))
}

/// Tables before those that refer to them; join tables last.
fn in_order(model: &Model, mut all: Vec<Rows>) -> Vec<Rows> {
    let mut ordered: Vec<Rows> = Vec::with_capacity(all.len());
    while !all.is_empty() {
        let waiting: Vec<EntityId> = all
            .iter()
            .filter_map(|rows| match rows.target {
                Target::Entity { entity, .. } => Some(model[entity].root),
                Target::Join { .. } => None,
            })
            .collect();
        let ready = all.iter().position(|rows| match &rows.target {
            Target::Entity { entity, columns } => columns.iter().all(|column| match column {
                Column::Reference(owner, navigation, _) => {
                    let target = model[model[*owner][*navigation].target].root;
                    target == model[*entity].root || !waiting.contains(&target)
                }
                Column::Type | Column::Attribute(..) => true,
            }),
            Target::Join { .. } => waiting.is_empty(),
        });
        // Tables that refer to each other in a circle go in any order: the database checks them.
        ordered.push(all.remove(ready.unwrap_or(0)));
    }
    ordered
}

fn read_file(model: &Model, file: &Path, text: &str, faults: &mut Vec<String>) -> Option<Rows> {
    let name = file.file_stem()?.to_string_lossy().into_owned();
    let shown = file
        .file_name()
        .map_or_else(|| name.clone(), |name| name.to_string_lossy().into_owned());
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            faults.push(format!("{shown}: {error}"));
            return None;
        }
    };
    if let Some((entity, navigation)) = name.split_once('.') {
        return read_join(model, file, &shown, (entity, navigation), reader, faults);
    }
    let Some(&entity) = model
        .entities_by_collection
        .get(&name)
        .or_else(|| model.entities_by_name.get(&name))
        // What the runtime keeps for itself is made by the runtime.
        .filter(|id| model.is_known(**id))
    else {
        faults.push(format!("{shown}: no collection or entity is named {name}"));
        return None;
    };
    let mut columns = Vec::with_capacity(header.len());
    for title in &header {
        match column(model, entity, title) {
            Some(column) if columns.contains(&column) => {
                faults.push(format!("{shown}:1: the column {title} stands there twice"));
                return None;
            }
            Some(column) => columns.push(column),
            None => {
                faults.push(format!(
                    "{shown}:1: {} has no attribute and no to-one navigation named {title}",
                    model[entity].name
                ));
                return None;
            }
        }
    }
    let types: Vec<ScalarType> = columns
        .iter()
        .map(|column| scalar_type(model, *column))
        .collect();
    let given = columns.len();
    let defaults = missing_defaults(model, entity, &columns);
    columns.extend(
        defaults
            .iter()
            .map(|(attribute, _)| Column::Attribute(entity, *attribute)),
    );
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                faults.push(format!("{shown}: {error}"));
                return None;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = Vec::with_capacity(columns.len());
        for position in 0..given {
            match value_of(model, types[position], &record[position]) {
                Ok(value) => {
                    if let Some(fault) = judge(model, columns[position], &value) {
                        faults.push(format!("{shown}:{line}: {}: {fault}", &header[position]));
                    }
                    row.push(value);
                }
                Err(wanted) => {
                    faults.push(format!(
                        "{shown}:{line}: {}: {:?} is not {wanted}",
                        &header[position], &record[position]
                    ));
                    row.push(Value::Null);
                }
            }
        }
        row.extend(defaults.iter().map(|(attribute, default)| {
            default_value(model[entity][*attribute].scalar_type, default)
        }));
        rows.push(row);
    }
    Some(Rows {
        file: file.to_owned(),
        target: Target::Entity { entity, columns },
        rows,
    })
}

fn read_join(
    model: &Model,
    file: &Path,
    shown: &str,
    (entity, navigation): (&str, &str),
    mut reader: csv::Reader<&[u8]>,
    faults: &mut Vec<String>,
) -> Option<Rows> {
    let found = model.entities_by_name.get(entity).and_then(|id| {
        let entity = &model[*id];
        let navigation = *entity.navigations_by_name.get(navigation)?;
        matches!(entity[navigation].storage, Storage::Join { .. }).then_some((entity, navigation))
    });
    let Some((entity, navigation)) = found else {
        faults.push(format!(
            "{shown}: there is no many-to-many navigation {navigation} of {entity}"
        ));
        return None;
    };
    let target = &model[entity[navigation].target];
    let types: Vec<ScalarType> = entity
        .key
        .iter()
        .map(|id| entity[*id].scalar_type)
        .chain(target.key.iter().map(|id| target[*id].scalar_type))
        .collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) if record.len() == types.len() => record,
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                faults.push(format!(
                    "{shown}:{line}: {} columns are needed",
                    types.len()
                ));
                return None;
            }
            Err(error) => {
                faults.push(format!("{shown}: {error}"));
                return None;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = Vec::with_capacity(types.len());
        for (text, scalar_type) in record.iter().zip(&types) {
            match value_of(model, *scalar_type, text) {
                Ok(value) => row.push(value),
                Err(wanted) => faults.push(format!("{shown}:{line}: {text:?} is not {wanted}")),
            }
        }
        rows.push(row);
    }
    Some(Rows {
        file: file.to_owned(),
        target: Target::Join {
            entity: entity.id,
            navigation,
        },
        rows,
    })
}

/// The column that a title means, in the entity or in one of its specialisations.
fn column(model: &Model, entity: EntityId, title: &str) -> Option<Column> {
    if title == "@type" {
        return Some(Column::Type);
    }
    let (name, part) = title
        .split_once('/')
        .map_or((title, None), |(name, part)| (name, Some(part)));
    std::iter::once(&entity)
        .chain(&model[entity].specialisations)
        .find_map(|id| {
            let candidate = &model[*id];
            if part.is_none()
                && let Some(attribute) = candidate.attributes_by_name.get(name)
            {
                return Some(Column::Attribute(*id, *attribute));
            }
            let navigation = *candidate.navigations_by_name.get(name)?;
            let Storage::Own(columns) = &candidate[navigation].storage else {
                return None;
            };
            let target = &model[candidate[navigation].target];
            let position = match part {
                None if columns.len() == 1 => 0,
                None => return None,
                Some(part) => target
                    .key
                    .iter()
                    .position(|key| target[*key].name == part)?,
            };
            Some(Column::Reference(*id, navigation, position))
        })
}

fn scalar_type(model: &Model, column: Column) -> ScalarType {
    match column {
        Column::Type => ScalarType::String,
        Column::Attribute(entity, attribute) => model[entity][attribute].scalar_type,
        Column::Reference(entity, navigation, part) => {
            let target = &model[model[entity][navigation].target];
            target[target.key[part]].scalar_type
        }
    }
}

/// Attributes that the file has no column for, with what they get.
fn missing_defaults(
    model: &Model,
    entity: EntityId,
    columns: &[Column],
) -> Vec<(AttributeId, Missing)> {
    let entity: &Entity = &model[entity];
    (0_u32..)
        .map(AttributeId)
        .zip(&entity.attributes)
        .filter(|(id, attribute)| {
            attribute.is_writable() && !columns.contains(&Column::Attribute(entity.id, *id))
        })
        .filter_map(|(id, attribute)| {
            let default = match (attribute.purpose, &attribute.default) {
                (Purpose::GeneratedKey, _) => Missing::NewKey,
                (_, Some(default)) => Missing::Default(default.clone()),
                (_, None) => return None,
            };
            Some((id, default))
        })
        .collect()
}

/// What an attribute without a column gets.
enum Missing {
    /// A new key.
    NewKey,
    /// Its default.
    Default(ModelDefault),
}

fn default_value(scalar_type: ScalarType, missing: &Missing) -> Value {
    match missing {
        Missing::NewKey => Value::Uuid(Uuid::now_v7()),
        Missing::Default(ModelDefault::Value(value)) => value.clone(),
        Missing::Default(ModelDefault::Now) => Value::instant(scalar_type, now()),
    }
}

/// A field as a value; the error says what was wanted.
fn value_of(model: &Model, scalar_type: ScalarType, text: &str) -> Result<Value, &'static str> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match scalar_type {
        ScalarType::String | ScalarType::File => Some(Value::Text(text.to_owned())).ok_or("text"),
        ScalarType::Integer => text
            .parse::<i32>()
            .map(|number| Value::Integer(number.into()))
            .map_err(|_| "an integer of 32 bits"),
        ScalarType::Long => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| "an integer of 64 bits"),
        ScalarType::Decimal { precision, scale } => Decimal::from_str_exact(text)
            .ok()
            .map(|number| number.normalize())
            .filter(|number| {
                number.scale() <= u32::from(scale)
                    && number.trunc().abs().mantissa() < 10_i128.pow(u32::from(precision - scale))
            })
            .map(Value::Decimal)
            .ok_or("a decimal of the attribute's precision and scale"),
        ScalarType::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err("true or false"),
        },
        ScalarType::DateTime => parse_date_time(text)
            .map(Value::DateTime)
            .ok_or("an instant like 2024-02-29T12:30:00Z"),
        ScalarType::Date => parse_date(text)
            .map(Value::Date)
            .ok_or("a date like 2024-02-29"),
        ScalarType::Time => parse_time(text)
            .map(Value::Time)
            .ok_or("a time like 12:30:00"),
        ScalarType::Duration => parse_duration(text)
            .map(Value::Duration)
            .ok_or("a duration like P1DT2H30M"),
        ScalarType::Uuid => text.parse().map(Value::Uuid).map_err(|_| "a uuid"),
        ScalarType::Binary => STANDARD
            .decode(text)
            .map(Value::Binary)
            .map_err(|_| "base64"),
        ScalarType::Json => serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map(|_| Value::Json(text.trim().to_owned()))
            .map_err(|_| "JSON"),
        ScalarType::Enumeration(id) => model[id]
            .members
            .iter()
            .any(|member| member.name == text)
            .then(|| Value::Text(text.to_owned()))
            .ok_or("a member of the enumeration"),
    }
}

/// What the model has against a value.
fn judge(model: &Model, column: Column, value: &Value) -> Option<String> {
    match column {
        Column::Type => match value {
            Value::Text(name) if model.entities_by_name.contains_key(name) => None,
            _ => Some("this is no entity".to_owned()),
        },
        Column::Attribute(entity, attribute) => {
            let declared_by = model[entity][attribute].declared_by;
            let attribute = &model[entity][attribute];
            match value {
                Value::Null if attribute.required && model[declared_by].base.is_none() => {
                    Some("a value is required".to_owned())
                }
                Value::Text(text)
                    if attribute
                        .length
                        .is_some_and(|length| text.chars().count() > length as usize) =>
                {
                    Some("the text is too long".to_owned())
                }
                Value::Text(text)
                    if attribute
                        .pattern
                        .as_ref()
                        .is_some_and(|pattern| !pattern.is_match(text)) =>
                {
                    Some("the text does not match the pattern".to_owned())
                }
                Value::Text(text) if text.contains('\0') => {
                    Some("the text may not contain the character U+0000".to_owned())
                }
                Value::Binary(bytes)
                    if attribute
                        .length
                        .is_some_and(|length| bytes.len() > length as usize) =>
                {
                    Some("the value is too long".to_owned())
                }
                value if is(value, Ordering::Less, attribute.minimum.as_ref()) => {
                    Some("the value is below the minimum".to_owned())
                }
                value if is(value, Ordering::Greater, attribute.maximum.as_ref()) => {
                    Some("the value is above the maximum".to_owned())
                }
                _ => None,
            }
        }
        Column::Reference(entity, navigation, _) => {
            let navigation = &model[entity][navigation];
            (value.is_null() && navigation.required && model[navigation.declared_by].base.is_none())
                .then(|| "a reference is required".to_owned())
        }
    }
}

/// Whether a value stands so to a limit, if there is one.
fn is(value: &Value, order: Ordering, limit: Option<&Value>) -> bool {
    limit.is_some_and(|limit| value.order(limit) == Some(order))
}

/// Rows in all files, for a progress display.
#[must_use]
pub fn count(all: &[Rows]) -> usize {
    all.iter().map(|rows| rows.rows.len()).sum()
}

/// Writes what [`read`] has read, all of it or nothing, once in the life of a database; gives the number of
/// rows, none if the database has had its sample data before.
///
/// # Errors
/// What the database has against the rows.
pub async fn load(
    store: &Store,
    model: &Arc<Model>,
    all: Vec<Rows>,
    progress: Option<LoadProgress>,
) -> Result<Option<u64>, StoreError> {
    let loads = all
        .into_iter()
        .flat_map(|rows| loads(model, rows))
        .collect();
    store.load_once(model, loads, progress).await
}

/// What a file holds as the store takes it.
fn loads(model: &Model, all: Rows) -> Vec<Load> {
    let (entity, columns) = match all.target {
        Target::Join { entity, navigation } => {
            return vec![Load {
                target: LoadTarget::Links { entity, navigation },
                rows: all.rows,
            }];
        }
        Target::Entity { entity, columns } => (entity, columns),
    };
    let numbers = missing_numbers(model, entity, &columns);
    let mut next_number = 1_i64;
    let mut loads = Vec::new();
    for (entity, mut rows) in by_type(model, entity, &columns, all.rows) {
        let (kept, mut given): (Vec<usize>, Vec<stoa_store::Column>) = columns
            .iter()
            .enumerate()
            .filter_map(|(position, column)| Some((position, stored(model, entity, *column)?)))
            .unzip();
        given.extend(numbers.iter().map(|id| stoa_store::Column::Attribute(*id)));
        for row in &mut rows {
            let mut values: Vec<Value> = kept
                .iter()
                .map(|position| std::mem::replace(&mut row[*position], Value::Null))
                .collect();
            values.extend(numbers.iter().map(|_| Value::Integer(next_number)));
            next_number += 1;
            *row = values;
        }
        loads.push(Load {
            target: LoadTarget::Rows {
                entity,
                columns: given,
            },
            rows,
        });
    }
    loads
}

/// Auto numbers that the file does not give: rows are numbered in their order, on every database alike.
fn missing_numbers(model: &Model, entity: EntityId, columns: &[Column]) -> Vec<AttributeId> {
    (0_u32..)
        .map(AttributeId)
        .zip(&model[entity].attributes)
        .filter(|(id, attribute)| {
            attribute.purpose == Purpose::AutoNumber
                && !columns.contains(&Column::Attribute(entity, *id))
        })
        .map(|(id, _)| id)
        .collect()
}

/// Rows in runs of one type, in the order of the file.
fn by_type(
    model: &Model,
    entity: EntityId,
    columns: &[Column],
    rows: Vec<Vec<Value>>,
) -> Vec<(EntityId, Vec<Vec<Value>>)> {
    let Some(place) = columns.iter().position(|column| *column == Column::Type) else {
        return vec![(entity, rows)];
    };
    let mut runs: Vec<(EntityId, Vec<Vec<Value>>)> = Vec::new();
    for row in rows {
        let named = match &row[place] {
            Value::Text(name) => model.entities_by_name.get(name).copied(),
            _ => None,
        };
        let named = named.unwrap_or(entity);
        match runs.last_mut() {
            Some((last, run)) if *last == named => run.push(row),
            _ => runs.push((named, vec![row])),
        }
    }
    runs
}

/// A column of the file as the rows of a type have it; none if they do not.
fn stored(model: &Model, row: EntityId, column: Column) -> Option<stoa_store::Column> {
    let has = |owner: EntityId| owner == row || model[owner].specialisations.contains(&row);
    match column {
        Column::Attribute(owner, attribute) if has(owner) => {
            Some(stoa_store::Column::Attribute(attribute))
        }
        Column::Reference(owner, navigation, part) if has(owner) => {
            Some(stoa_store::Column::Reference(navigation, part))
        }
        Column::Type | Column::Attribute(..) | Column::Reference(..) => None,
    }
}
