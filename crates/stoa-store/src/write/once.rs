//! A request that takes effect once, however often it arrives.
//!
//! The first statement of its transaction writes its identity under a unique key. Of two copies at once, the
//! second waits there for the first one's transaction: if that commits, it finds what came of it, and if not,
//! it goes on. What came of it is written along, or completed at the end where nobody can know it before.

use rust_decimal::Decimal;
use stoa_model::change::{Action, Applied, Change, Expected, Target};
use stoa_model::model::{Attribute, Entity, Model, Purpose};
use stoa_model::value::Value;
use uuid::Uuid;

use super::engine::{Cell, NewRow, now};
use super::insert::insert_statement;
use super::source::key_columns;
use super::statement::{Failure, Form, Refusal, Row, Statement, Writer};
use crate::error::StoreError;
use crate::store::Dialect;

/// What a request is known by when it arrives again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestIdentity {
    /// Made by whoever sent it first.
    pub id: Uuid,
    /// Stands for whoever makes it: nobody else's request is the same.
    pub owner: Uuid,
    /// Of all that was asked for: a request with another one is another request.
    pub fingerprint: [u8; 32],
    /// Position of the operation whose row is what came of the request.
    pub root: usize,
}

/// The identity of a request, and where it is kept.
#[derive(Clone, Copy)]
pub(super) struct Once<'a> {
    identity: RequestIdentity,
    model: &'a Model,
    entity: &'a Entity,
    dialect: Dialect,
}

impl<'a> Once<'a> {
    pub(super) fn new(
        model: &'a Model,
        dialect: Dialect,
        identity: RequestIdentity,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            identity,
            model,
            entity: entity_of(model)?,
            dialect,
        })
    }

    fn attribute(&self, name: &str) -> Result<&'a Attribute, StoreError> {
        attribute_of(self.entity, name)
    }

    fn key(&self) -> Vec<Value> {
        vec![
            Value::Uuid(self.identity.id),
            Value::Uuid(self.identity.owner),
        ]
    }

    /// Writes the identity, with what will have come of the request if that is known.
    pub(super) fn begin(&self, expected: Option<&Applied>) -> Result<Statement, StoreError> {
        Ok(insert_statement(self.dialect, &self.row(expected)?))
    }

    /// The row that does.
    pub(super) fn row(&self, expected: Option<&Applied>) -> Result<NewRow<'a>, StoreError> {
        let at = now();
        let outcome = expected.map_or(Value::Null, |applied| self.encode(applied));
        let mut row = NewRow {
            entity: self.entity,
            cells: Vec::with_capacity(8),
        };
        for (name, value) in [
            ("Id", Value::Uuid(self.identity.id)),
            ("Owner", Value::Uuid(self.identity.owner)),
            (
                "Fingerprint",
                Value::Binary(self.identity.fingerprint.to_vec()),
            ),
            ("At", Value::DateTime(at)),
            ("Outcome", outcome),
        ] {
            let attribute = self.attribute(name)?;
            row.put(cell(attribute, value));
        }
        for attribute in &self.entity.attributes {
            let value = match attribute.purpose {
                Purpose::Version => Value::Integer(1),
                Purpose::CreatedAt | Purpose::ChangedAt => Value::DateTime(at),
                Purpose::Data | Purpose::GeneratedKey | Purpose::AutoNumber => continue,
            };
            row.put(cell(attribute, value));
        }
        Ok(row)
    }

    /// Writes what has come of the request; none if that was known before.
    pub(super) fn complete(
        &self,
        expected: Option<&Applied>,
        applied: &[Option<Applied>],
    ) -> Result<Option<Statement>, StoreError> {
        let Some(Some(applied)) = applied.get(self.identity.root) else {
            return Err(StoreError::internal("a request is about no operation"));
        };
        if expected == Some(applied) {
            return Ok(None);
        }
        let mut writer = Writer::new(self.dialect);
        writer
            .text("UPDATE ")
            .name(&self.entity.table.name)
            .text(" SET ")
            .name(&self.attribute("Outcome")?.column)
            .text(" = ")
            .bind(self.encode(applied), Form::Binary);
        self.write_key(&mut writer);
        Ok(Some(writer.finish(Vec::new())))
    }

    /// Reads what is known of the request.
    pub(super) fn find(&self) -> Result<Statement, StoreError> {
        let mut writer = Writer::new(self.dialect);
        writer
            .text("SELECT ")
            .name(&self.attribute("Fingerprint")?.column)
            .text(", ")
            .name(&self.attribute("Outcome")?.column)
            .text(" FROM ")
            .name(&self.entity.table.name);
        self.write_key(&mut writer);
        Ok(writer.finish(vec![Form::Binary, Form::Binary]))
    }

    fn write_key(&self, writer: &mut Writer) {
        for (position, (column, value)) in key_columns(self.entity).zip(self.key()).enumerate() {
            writer
                .text(if position > 0 { " AND " } else { " WHERE " })
                .name(column)
                .text(" = ")
                .bind(value, Form::Uuid);
        }
    }

    /// Whether the database says that this identity is there already.
    pub(super) fn is_there(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Refused(Refusal::Unique { table, .. }) if *table == self.entity.table.name)
    }

    /// What is to be said to a request whose identity is there already, by what [`Self::find`] has found.
    pub(super) fn repeated(&self, rows: &[Row]) -> StoreError {
        let Some([fingerprint, outcome]) = rows.first().map(Vec::as_slice) else {
            // It has gone meanwhile.
            return StoreError::Busy { source: None };
        };
        if *fingerprint != Value::Binary(self.identity.fingerprint.to_vec()) {
            return StoreError::IdentityReused;
        }
        let applied = match outcome {
            Value::Binary(outcome) => self.decode(outcome),
            _ => None,
        };
        match applied {
            Some(applied) => StoreError::Repeated(applied),
            None => StoreError::internal("what came of a request cannot be read"),
        }
    }

    /// What the operation has done that the request is about.
    pub(super) fn of<'b>(&self, applied: &'b [Applied]) -> Option<&'b Applied> {
        applied.get(self.identity.root)
    }

    /// What the operation will have done, if that can be known before.
    pub(super) fn expected(&self, change: &Change) -> Option<Applied> {
        match &change.operations.get(self.identity.root)?.action {
            Action::Insert { entity, values, .. } => {
                let described = &self.model[*entity];
                let value = |id| {
                    let given = values.iter().find(|(given, _)| given == id)?;
                    Some(given.1.clone())
                };
                Some(Applied {
                    key: described.key.iter().map(value).collect::<Option<_>>()?,
                    entity: *entity,
                    version: described.version.map(|_| 1),
                })
            }
            Action::Update {
                entity,
                target: Target::Key(key),
                expected: Expected::OneOf(versions),
                ..
            } => {
                let described = &self.model[*entity];
                let [version] = versions.as_slice() else {
                    return None;
                };
                (described.version.is_some() && described.specialisations.is_empty()).then(|| {
                    Applied {
                        key: key.clone(),
                        entity: *entity,
                        version: version.checked_add(1),
                    }
                })
            }
            Action::Delete {
                entity,
                target: Target::Key(key),
                ..
            } => self.model[*entity]
                .specialisations
                .is_empty()
                .then(|| Applied {
                    key: key.clone(),
                    entity: *entity,
                    version: None,
                }),
            _ => None,
        }
    }

    /// Name of the entity, version and key in a form of our own.
    fn encode(&self, applied: &Applied) -> Value {
        let mut out = vec![FORMAT];
        out.push(u8::from(applied.version.is_some()));
        out.extend_from_slice(&applied.version.unwrap_or_default().to_be_bytes());
        write_bytes(&mut out, self.model[applied.entity].name.as_bytes());
        for value in &applied.key {
            write_value(&mut out, value);
        }
        Value::Binary(out)
    }

    fn decode(&self, bytes: &[u8]) -> Option<Applied> {
        let mut input = Input(bytes);
        if input.byte()? != FORMAT {
            return None;
        }
        let has_version = input.byte()? == 1;
        let version = i64::from_be_bytes(input.array()?);
        let name = std::str::from_utf8(input.bytes()?).ok()?;
        let entity = *self.model.entities_by_name.get(name)?;
        let mut key = Vec::new();
        while !input.0.is_empty() {
            key.push(input.value()?);
        }
        Some(Applied {
            key,
            entity,
            version: has_version.then_some(version),
        })
    }
}

/// Deletes what came of requests before an instant; a row comes back for each.
pub(super) fn forget(
    model: &Model,
    dialect: Dialect,
    before: i64,
    most: u32,
) -> Result<Statement, StoreError> {
    let entity = entity_of(model)?;
    let at = &attribute_of(entity, "At")?.column;
    let mut writer = Writer::new(dialect);
    writer
        .text("DELETE FROM ")
        .name(&entity.table.name)
        .text(" WHERE (")
        .names(key_columns(entity))
        .text(") IN (SELECT ")
        .names(key_columns(entity))
        .text(" FROM ")
        .name(&entity.table.name)
        .text(" WHERE ")
        .name(at)
        .text(" < ")
        .bind(Value::DateTime(before), Form::DateTime)
        .text(" ORDER BY ")
        .name(at)
        .text(" LIMIT ")
        .bind(Value::Integer(most.into()), Form::Long)
        .text(") RETURNING 1");
    Ok(writer.finish(Vec::new()))
}

fn entity_of(model: &Model) -> Result<&Entity, StoreError> {
    let id = model.entities_by_name.get("SystemRequest");
    id.map(|id| &model[*id])
        .ok_or_else(|| StoreError::internal("the model has no entity SystemRequest"))
}

fn attribute_of<'a>(entity: &'a Entity, name: &str) -> Result<&'a Attribute, StoreError> {
    let id = entity.attributes_by_name.get(name);
    id.map(|id| &entity[*id])
        .ok_or_else(|| StoreError::internal(format!("SystemRequest has no attribute {name}")))
}

/// First byte of what came of a request.
const FORMAT: u8 = 1;

fn cell(attribute: &Attribute, value: Value) -> Cell<'_> {
    Cell {
        column: &attribute.column,
        value,
        form: Form::of(attribute),
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Names and keys are far from 4 GiB: both databases refuse keys of some kilobytes.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    let mut long = |tag, value: i64| {
        out.push(tag);
        out.extend_from_slice(&value.to_be_bytes());
    };
    match value {
        Value::Integer(value) => long(b'i', *value),
        Value::DateTime(value) => long(b'm', *value),
        Value::Time(value) => long(b't', *value),
        Value::Duration(value) => long(b'p', *value),
        Value::Date(value) => long(b'd', i64::from(*value)),
        Value::Boolean(value) => out.extend_from_slice(&[b'b', u8::from(*value)]),
        Value::Null => out.push(b'0'),
        Value::Decimal(value) => {
            out.push(b'n');
            out.extend_from_slice(&value.serialize());
        }
        Value::Uuid(value) => {
            out.push(b'u');
            out.extend_from_slice(value.as_bytes());
        }
        Value::Text(value) => {
            out.push(b's');
            write_bytes(out, value.as_bytes());
        }
        Value::Json(value) => {
            out.push(b'j');
            write_bytes(out, value.as_bytes());
        }
        Value::Binary(value) => {
            out.push(b'x');
            write_bytes(out, value);
        }
    }
}

/// What is left to read.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(u32::from_be_bytes(self.array()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn value(&mut self) -> Option<Value> {
        let tag = self.byte()?;
        let mut long = || self.array().map(i64::from_be_bytes);
        Some(match tag {
            b'i' => Value::Integer(long()?),
            b'm' => Value::DateTime(long()?),
            b't' => Value::Time(long()?),
            b'p' => Value::Duration(long()?),
            b'd' => Value::Date(i32::try_from(long()?).ok()?),
            b'b' => Value::Boolean(self.byte()? == 1),
            b'0' => Value::Null,
            b'n' => Value::Decimal(Decimal::deserialize(self.array()?)),
            b'u' => Value::Uuid(Uuid::from_bytes(self.array()?)),
            b's' => Value::Text(self.text()?),
            b'j' => Value::Json(self.text()?),
            b'x' => Value::Binary(self.bytes()?.to_vec()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn check(values: Vec<Value>, version: Option<i64>) {
        let model = Model::from_text("once", "[entity.Thing]").unwrap();
        let identity = RequestIdentity {
            id: Uuid::nil(),
            owner: Uuid::nil(),
            fingerprint: [0; 32],
            root: 0,
        };
        let once = Once::new(&model, Dialect::Sqlite, identity).unwrap();
        let applied = Applied {
            key: values,
            entity: model.entities_by_name["Thing"],
            version,
        };
        let Value::Binary(bytes) = once.encode(&applied) else {
            panic!("not binary");
        };
        assert_eq!(once.decode(&bytes), Some(applied));
        for cut in 0..bytes.len() {
            // Half of it is nothing, or a shorter key: never a panic.
            let _ = once.decode(&bytes[..cut]);
        }
        let row = |fingerprint: [u8; 32]| {
            vec![vec![
                Value::Binary(fingerprint.to_vec()),
                Value::Binary(bytes.clone()),
            ]]
        };
        assert!(matches!(
            once.repeated(&row([0; 32])),
            StoreError::Repeated(_)
        ));
        assert!(matches!(
            once.repeated(&row([1; 32])),
            StoreError::IdentityReused
        ));
        assert!(matches!(once.repeated(&[]), StoreError::Busy { .. }));
    }

    #[test]
    fn what_came_of_a_request_survives() {
        check(vec![Value::Uuid(Uuid::max())], Some(7));
        check(Vec::new(), None);
        check(
            vec![
                Value::Null,
                Value::Boolean(true),
                Value::Integer(i64::MIN),
                Value::Decimal(Decimal::from_str("-12.340").unwrap()),
                Value::Text("Ärger\u{1F600}".to_owned()),
                Value::DateTime(-1),
                Value::Date(-5),
                Value::Time(3),
                Value::Duration(-9),
                Value::Binary(vec![0, 255]),
                Value::Json("{}".to_owned()),
            ],
            Some(i64::MAX),
        );
    }

    #[test]
    fn the_statements_are_as_written() {
        let model = Model::from_text("once", "[entity.Thing]").unwrap();
        let identity = RequestIdentity {
            id: Uuid::nil(),
            owner: Uuid::nil(),
            fingerprint: [0; 32],
            root: 0,
        };
        let once = Once::new(&model, Dialect::Postgres, identity).unwrap();
        insta::assert_snapshot!(once.begin(None).unwrap().sql, @r#"INSERT INTO "_stoa_request" AS t0 ("id", "owner", "fingerprint", "at", "outcome", "_version", "_created_at", "_changed_at") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#);
        insta::assert_snapshot!(once.find().unwrap().sql, @r#"SELECT "fingerprint", "outcome" FROM "_stoa_request" WHERE "id" = $1 AND "owner" = $2"#);
        let forget = forget(&model, Dialect::Postgres, 0, 1).unwrap();
        insta::assert_snapshot!(forget.sql, @r#"DELETE FROM "_stoa_request" WHERE ("id", "owner") IN (SELECT "id", "owner" FROM "_stoa_request" WHERE "at" < $1 ORDER BY "at" LIMIT $2) RETURNING 1"#);
    }
}
