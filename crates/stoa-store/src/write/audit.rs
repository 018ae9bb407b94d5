//! The audit trail of rows: who changed what, as it was before and as it is after, in the transaction that
//! changes it. What a delete does to other rows is found out by [`super::consequence`].

use stoa_model::change::{Action, Applied, Change};
use stoa_model::model::{Attribute, AttributeId, Entity, EntityId, NavigationId, Purpose, Storage};
use stoa_model::value::text::{write_date, write_date_time, write_duration, write_time};
use stoa_model::value::{ScalarType, Value};
use uuid::Uuid;

use super::engine::Engine;
use super::insert::insert_statement;
use super::judge::{Lock, Which};
use super::source::{equal_columns, key_columns, key_forms};
use super::statement::{Connection, Failure, Form, Writer, text};
use crate::error::StoreError;
use crate::sql::Encoding;
use crate::sql::builder::Builder;
use crate::sql::shape::Positions;

/// Entity of the trail.
const TRAIL: &str = "SystemAudit";

/// A row as the trail shows it.
struct Image {
    entity: EntityId,
    json: String,
}

/// A row that an operation touches, and what it was.
pub(super) struct Touched {
    pub(super) entity: EntityId,
    pub(super) key: Vec<Value>,
    before: Option<Image>,
}

/// A pair of rows in a table of pairs, as the row at one end sees it.
pub(super) struct Tie {
    pub(super) entity: EntityId,
    pub(super) key: Vec<Value>,
    pub(super) navigation: NavigationId,
    pub(super) other: EntityId,
    pub(super) other_key: Vec<Value>,
}

/// What becomes of a pair.
#[derive(Clone, Copy)]
pub(super) enum Tied {
    Made,
    Ended,
}

impl<'a, C: Connection> Engine<'a, C> {
    /// Applies one operation, and records what it does to rows whose changes are recorded.
    pub(super) async fn one_recorded(
        &mut self,
        change: &Change,
        position: usize,
    ) -> Result<Applied, Failure> {
        let Some(operation) = change.operations.get(position) else {
            return Err(StoreError::internal("no such operation").into());
        };
        let deletes = matches!(
            operation.action,
            Action::Delete { .. } | Action::Retain { .. }
        );
        let lock = if deletes { Lock::Delete } else { Lock::Change };
        let mut touched = Vec::new();
        let mut ended = Vec::new();
        for (entity, key) in self.rows_touched(&operation.action).await? {
            let described = &self.model[entity];
            if let Some(lock) = self.lock(described, Which::Key(&key), lock) {
                self.connection.query(lock).await?;
            }
            if self.is_recorded(entity) {
                touched.push(self.touched(entity, key.clone()).await?);
            }
            if deletes {
                self.consequences(described, &key, &mut touched, &mut ended)
                    .await?;
            }
        }
        let applied = self.one(change, position).await?;
        let inserts = matches!(
            operation.action,
            Action::Insert { .. } | Action::Upsert { .. }
        );
        // A row that was there may be of a specialisation.
        let known = touched
            .iter()
            .any(|row| row.key == applied.key && row.before.is_some());
        touched.retain(|row| row.before.is_some() || !inserts);
        if inserts && !known && self.is_recorded(applied.entity) {
            touched.push(Touched {
                entity: applied.entity,
                key: applied.key.clone(),
                before: None,
            });
        }
        for row in touched {
            self.record(row).await?;
        }
        for tie in ended {
            // The row may have stayed: the user does not see it.
            if !self.is_tied(&tie).await? {
                self.record_tie(Tied::Ended, &tie).await?;
            }
        }
        Ok(applied)
    }

    /// A row as it is now, before it is changed.
    pub(super) async fn touched(
        &mut self,
        entity: EntityId,
        key: Vec<Value>,
    ) -> Result<Touched, Failure> {
        let before = self.image(&self.model[entity], &key).await?;
        Ok(Touched {
            entity,
            key,
            before,
        })
    }

    /// Whether changes of rows of the entity, or of a specialisation, are recorded.
    pub(super) fn is_recorded(&self, entity: EntityId) -> bool {
        let entity = &self.model[entity];
        entity.audited
            || entity
                .specialisations
                .iter()
                .any(|id| self.model[*id].audited)
    }

    /// Rows that are there and that the operation may change, where that is recorded.
    async fn rows_touched(
        &mut self,
        action: &Action,
    ) -> Result<Vec<(EntityId, Vec<Value>)>, Failure> {
        let (entity, from, navigation, to, keep): (_, _, _, _, &[Vec<Value>]) = match action {
            Action::Insert { .. } => return Ok(Vec::new()),
            Action::Update { entity, target, .. }
            | Action::Upsert { entity, target, .. }
            | Action::Delete { entity, target, .. } => {
                let deletes = matches!(action, Action::Delete { .. });
                if !(self.is_recorded(*entity) || deletes && self.has_consequences(*entity)) {
                    return Ok(Vec::new());
                }
                let key = self.find(*entity, target).await?;
                return Ok(key.into_iter().map(|key| (*entity, key)).collect());
            }
            Action::Retain {
                entity,
                from,
                navigation,
                keep,
            } => (*entity, from, *navigation, None, keep),
            Action::Link {
                entity,
                from,
                navigation,
                to,
            } => (*entity, from, *navigation, Some(to), &[]),
            Action::Unlink {
                entity,
                from,
                navigation,
                to,
            } => (*entity, from, *navigation, to.as_ref(), &[]),
        };
        let end = &self.model[entity][navigation];
        let target = end.target;
        // A table of pairs has no rows of an entity; its pairs are recorded where they are made and ended.
        if !matches!(end.storage, Storage::Target(_)) {
            return Ok(Vec::new());
        }
        let deletes = matches!(action, Action::Retain { .. });
        if !(self.is_recorded(target) || deletes && self.has_consequences(target)) {
            return Ok(Vec::new());
        }
        if let Some(to) = to {
            let key = self.find(target, to).await?;
            return Ok(key.into_iter().map(|key| (target, key)).collect());
        }
        let Some(key) = self.find(entity, from).await? else {
            return Ok(Vec::new());
        };
        let which = Which::Targets {
            entity,
            navigation,
            key: &key,
            keep,
        };
        Ok(self
            .keys_which(target, which)
            .await?
            .into_iter()
            .map(|key| (target, key))
            .collect())
    }

    async fn record(&mut self, row: Touched) -> Result<(), Failure> {
        let model = self.model;
        let after = self.image(&model[row.entity], &row.key).await?;
        let kind = match (&row.before, &after) {
            (None, None) => return Ok(()),
            (None, Some(_)) => "create",
            (Some(_), None) => "delete",
            (Some(before), Some(after)) if before.json == after.json => return Ok(()),
            (Some(_), Some(_)) => "update",
        };
        let Some(entity) = after
            .as_ref()
            .or(row.before.as_ref())
            .map(|image| &model[image.entity])
            .filter(|entity| entity.audited)
        else {
            return Ok(());
        };
        let (before, after) = (
            row.before.map(|image| image.json),
            after.map(|image| image.json),
        );
        self.enter(kind, entity, &row.key, before, after).await
    }

    /// Records at each end whose changes are recorded that a pair was made or has ended.
    pub(super) async fn record_tie(&mut self, tied: Tied, tie: &Tie) -> Result<(), Failure> {
        let model = self.model;
        let navigation = &model[tie.entity][tie.navigation];
        let (target, partner) = (&model[navigation.target], navigation.partner);
        let ends = [
            (
                (tie.entity, &tie.key),
                navigation,
                (tie.other, &tie.other_key),
            ),
            (
                (tie.other, &tie.other_key),
                &target[partner],
                (tie.entity, &tie.key),
            ),
        ];
        for ((entity, key), navigation, (other, other_key)) in ends {
            let entity = &model[entity];
            if !entity.audited {
                continue;
            }
            let mut json = String::from("{");
            match &navigation.name {
                Some(name) => write_text(&mut json, name),
                // The model names the other end only.
                None => {
                    let back = &model[navigation.target][navigation.partner];
                    let name = back.name.as_deref().unwrap_or_default();
                    let owner = &model[navigation.target].name;
                    write_text(&mut json, &format!("{owner}.{name}"));
                }
            }
            json.push(':');
            let other = &model[other];
            let types = other.key.iter().map(|id| other[*id].scalar_type);
            let parts: Vec<(&Value, ScalarType)> = other_key.iter().zip(types).collect();
            write_parts(&mut json, &parts);
            json.push('}');
            match tied {
                Tied::Made => self.enter("link", entity, key, None, Some(json)).await?,
                Tied::Ended => self.enter("unlink", entity, key, Some(json), None).await?,
            }
        }
        Ok(())
    }

    /// Adds an entry to the trail.
    async fn enter(
        &mut self,
        kind: &str,
        entity: &Entity,
        key: &[Value],
        before: Option<String>,
        after: Option<String>,
    ) -> Result<(), Failure> {
        let model = self.model;
        let trail = model
            .entities_by_name
            .get(TRAIL)
            .map(|id| &model[*id])
            .ok_or_else(|| StoreError::internal("the model has no audit trail"))?;
        let optional = |value: Option<Value>| value.unwrap_or(Value::Null);
        let json = |image: Option<String>| optional(image.map(Value::Json));
        let actor = self.actor;
        let said = |text: Option<&String>| text.map(|text| Value::Text(text.clone()));
        let values = [
            ("id", Value::Uuid(Uuid::now_v7())),
            ("At", Value::DateTime(self.now)),
            ("Kind", Value::Text(kind.to_owned())),
            ("Actor", optional(said(actor.map(|actor| &actor.name)))),
            (
                "ActorId",
                optional(actor.and_then(|actor| actor.id).map(Value::Uuid)),
            ),
            ("Entity", Value::Text(entity.name.clone())),
            ("Key", Value::Text(key_text(entity, key))),
            ("Before", json(before)),
            ("After", json(after)),
            (
                "Address",
                optional(said(actor.and_then(|actor| actor.address.as_ref()))),
            ),
            (
                "Request",
                optional(said(actor.and_then(|actor| actor.request.as_ref()))),
            ),
        ];
        let mut given = Vec::with_capacity(values.len());
        for (name, value) in values {
            let position = trail
                .attributes
                .iter()
                .position(|attribute| attribute.name == name)
                .ok_or_else(|| {
                    StoreError::internal(format!("the audit trail has no attribute {name}"))
                })?;
            let id = AttributeId(u32::try_from(position).unwrap_or_default());
            given.push((id, fitting(&trail[id], value)));
        }
        let new = self.new_row(trail.id, &given, &[]).await?;
        let statement = insert_statement(self.connection.dialect(), &new);
        self.connection.query(statement).await?;
        Ok(())
    }

    /// A row with all its values and references; none if it is not there.
    async fn image(&mut self, entity: &'a Entity, key: &[Value]) -> Result<Option<Image>, Failure> {
        let Some(entity) = self.actual(entity, key).await? else {
            return Ok(None);
        };
        let positions = Positions::of(&[]);
        let builder = Builder::new(self.model, self.connection.dialect(), &positions);
        let mut writer = Writer::new(self.connection.dialect());
        let mut returns = Vec::new();
        let mut names: Vec<(&str, Vec<ScalarType>)> = Vec::new();
        writer.text("SELECT ");
        let shown = (0_u32..)
            .zip(&entity.attributes)
            .filter(|(_, attribute)| attribute.purpose != Purpose::Version);
        for (id, attribute) in shown {
            let term = builder.attribute_of("t0", entity.id, AttributeId(id));
            writer
                .text(if returns.is_empty() { "" } else { ", " })
                .text(&term.sql);
            returns.push(form_of(attribute, term.encoding));
            names.push((&attribute.name, vec![attribute.scalar_type]));
        }
        for navigation in &entity.navigations {
            let (Some(name), Storage::Own(columns)) = (&navigation.name, &navigation.storage)
            else {
                continue;
            };
            let target = &self.model[navigation.target];
            for (column, form) in columns.iter().zip(key_forms(target)) {
                writer.text(", t0.").name(&column.column);
                returns.push(form);
            }
            let types = target.key.iter().map(|id| target[*id].scalar_type);
            names.push((name, types.collect()));
        }
        writer
            .text(" FROM ")
            .name(&entity.table.name)
            .text(" AS t0 WHERE ");
        equal_columns(
            &mut writer,
            "t0.",
            key_columns(entity),
            key_forms(entity),
            key,
        );
        let rows = self.connection.query(writer.finish(returns)).await?;
        Ok(rows.first().map(|row| {
            let mut values = row.iter();
            let mut json = String::from("{");
            for (position, (name, types)) in names.iter().enumerate() {
                json.push_str(if position > 0 { "," } else { "" });
                write_text(&mut json, name);
                json.push(':');
                let parts: Vec<(&Value, ScalarType)> = values
                    .by_ref()
                    .take(types.len())
                    .zip(types.iter().copied())
                    .collect();
                write_parts(&mut json, &parts);
            }
            json.push('}');
            Image {
                entity: entity.id,
                json,
            }
        }))
    }

    /// The type that a row has.
    pub(super) async fn actual(
        &mut self,
        entity: &'a Entity,
        key: &[Value],
    ) -> Result<Option<&'a Entity>, Failure> {
        let Some(discriminator) = &entity.table.discriminator_column else {
            return Ok(Some(entity));
        };
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("SELECT ")
            .name(discriminator)
            .text(" FROM ")
            .name(&entity.table.name)
            .text(" WHERE ");
        equal_columns(&mut writer, "", key_columns(entity), key_forms(entity), key);
        let rows = self
            .connection
            .query(writer.finish(vec![Form::Text]))
            .await?;
        let name = rows.first().and_then(|row| text(row.first()));
        Ok(std::iter::once(entity)
            .chain(entity.specialisations.iter().map(|id| &self.model[*id]))
            .find(|entity| name.is_some() && entity.discriminator.as_deref() == name))
    }
}

/// How a column is read: floating-point numbers come as decimals.
fn form_of(attribute: &Attribute, encoding: Encoding) -> Form {
    match (attribute.column_type, attribute.scalar_type) {
        (
            Some(stoa_model::model::ColumnType::Real | stoa_model::model::ColumnType::Double),
            ScalarType::Decimal { scale, .. },
        ) => Form::Decimal(scale),
        _ if encoding == Encoding::Json => Form::Text,
        _ => Form::of(attribute),
    }
}

/// A text no longer than its attribute.
fn fitting(attribute: &Attribute, value: Value) -> Value {
    match (value, attribute.length) {
        (Value::Text(text), Some(length)) if text.chars().count() > length as usize => {
            Value::Text(text.chars().take(length as usize).collect())
        }
        (value, _) => value,
    }
}

/// A key as people write it: its value, or `name=value` for each part.
fn key_text(entity: &Entity, key: &[Value]) -> String {
    let mut parts = entity.key.iter().zip(key).map(|(id, value)| {
        let mut text = String::new();
        match value {
            Value::Text(value) => text.push_str(value),
            value => {
                write_json(&mut text, value, entity[*id].scalar_type);
                text = text.trim_matches('"').to_owned();
            }
        }
        (&entity[*id].name, text)
    });
    if let [_] = entity.key.as_slice() {
        return parts.next().map(|(_, text)| text).unwrap_or_default();
    }
    let parts: Vec<String> = parts.map(|(name, text)| format!("{name}={text}")).collect();
    parts.join(",")
}

/// A value, or the values of a key or reference of several parts.
fn write_parts(out: &mut String, parts: &[(&Value, ScalarType)]) {
    match parts {
        [(value, scalar_type)] => write_json(out, value, *scalar_type),
        several if several.iter().any(|(value, _)| value.is_null()) => out.push_str("null"),
        several => {
            out.push('[');
            for (position, (value, scalar_type)) in several.iter().enumerate() {
                out.push_str(if position > 0 { "," } else { "" });
                write_json(out, value, *scalar_type);
            }
            out.push(']');
        }
    }
}

/// A value as the service shows it.
fn write_json(out: &mut String, value: &Value, scalar_type: ScalarType) {
    let quoted = |out: &mut String, write: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        write(&mut bytes);
        write_text(out, &String::from_utf8_lossy(&bytes));
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => out.push_str(&value.to_string()),
        Value::Decimal(value) => out.push_str(&value.to_string()),
        Value::Text(text) if matches!(scalar_type, ScalarType::Json | ScalarType::File) => {
            out.push_str(text);
        }
        Value::Text(text) => write_text(out, text),
        Value::Json(text) => out.push_str(text),
        Value::DateTime(value) => quoted(out, &|bytes| write_date_time(bytes, *value)),
        Value::Date(value) => quoted(out, &|bytes| write_date(bytes, *value)),
        Value::Time(value) => quoted(out, &|bytes| write_time(bytes, *value)),
        Value::Duration(value) => quoted(out, &|bytes| write_duration(bytes, *value)),
        Value::Uuid(value) => write_text(out, &value.to_string()),
        Value::Binary(bytes) => write_text(out, &base64(bytes)),
    }
}

fn write_text(out: &mut String, text: &str) {
    use std::fmt::Write;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 3);
    for chunk in bytes.chunks(3) {
        let number = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        for place in 0..=chunk.len() {
            out.push(char::from(LETTERS[number >> (18 - 6 * place) & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_written_as_the_service_does() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg");
        assert_eq!(base64(b"fo"), "Zm8");
        assert_eq!(base64(b"foo"), "Zm9v");
        assert_eq!(base64(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn text_survives() {
        let mut out = String::new();
        write_text(&mut out, "a\"b\\c\nd\u{1}é");
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\u0001é\"");
    }
}
