//! The database structure that a model needs, the same for both databases.
//!
//! It is what the ledger keeps: names, kinds of columns, keys, constraints, indexes, and for each table
//! and column the member of the model that it is for, so that a rename in the model is recognised.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stoa_model::value::Value;

use crate::kind::Kind;

/// Version of the form in which structures are kept.
pub const FORMAT: u32 = 1;

/// Tables and enumerations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    /// [`FORMAT`] of the Stoa that made it.
    pub format: u32,
    /// Tables, in the order of the model; join tables last.
    pub tables: Vec<Table>,
    /// Enumerations that columns use.
    pub enumerations: Vec<Enumeration>,
}

/// Members of an enumeration, whose names are in rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enumeration {
    /// Name in the model.
    pub name: String,
    /// Members.
    pub members: Vec<Named>,
}

/// A name that rows hold: of an enumeration's member or of an entity in a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// As stored.
    pub name: String,
    /// Former name.
    #[serde(skip)]
    pub renamed_from: Option<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Unquoted name.
    pub name: String,
    /// What of the model it is for: an entity's name, or `Entity.Navigation` for a join table.
    pub subject: String,
    /// Former subject.
    #[serde(skip)]
    pub renamed_from: Option<String>,
    /// Somebody else's: only checked.
    pub external: bool,
    /// Rows are added, and never changed or deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append_only: bool,
    /// Column that tells the entities of a hierarchy apart.
    pub discriminator: Option<String>,
    /// Entities whose rows it holds, the root first; empty for a join table.
    pub types: Vec<Named>,
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Columns of the key in order.
    pub primary_key: Vec<String>,
    /// References to other tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// Indexes, unique ones too.
    pub indexes: Vec<Index>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Unquoted name.
    pub name: String,
    /// Entity that declares its member.
    pub entity: String,
    /// Attribute, navigation, or navigation and key attribute (`Country/Code`).
    pub member: String,
    /// Former name of the member.
    #[serde(skip)]
    pub renamed_from: Option<String>,
    /// What it holds.
    pub kind: Kind,
    /// May be null.
    pub nullable: bool,
    /// What rows get that have no value yet.
    #[serde(skip)]
    pub fill: Option<Fill>,
    /// Least legal value, as [`value_text`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minimum: Option<String>,
    /// Greatest legal value, as [`value_text`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub maximum: Option<String>,
}

/// What existing rows get in a new column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// This value, as [`value_text`].
    Value(String),
    /// The instant of the change.
    Now,
    /// Another new key for each row.
    Uuid,
    /// 1, 2, 3 …
    Number,
    /// The first version.
    One,
}

/// A reference to another table's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Name of the constraint (PostgreSQL).
    pub name: String,
    /// Own columns.
    pub columns: Vec<String>,
    /// Table referred to.
    pub table: String,
    /// Its key columns.
    pub target: Vec<String>,
    /// What a delete there does here.
    pub on_delete: DeleteRule,
}

/// `ON DELETE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteRule {
    /// `NO ACTION`
    NoAction,
    /// `CASCADE`
    Cascade,
    /// `SET NULL`
    SetNull,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Unquoted name.
    pub name: String,
    /// Holds every combination of values once.
    pub unique: bool,
    /// Columns in order.
    pub columns: Vec<IndexColumn>,
}

/// A column of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// Unquoted name.
    pub name: String,
    /// Greatest first.
    pub descending: bool,
    /// The column may be null, so PostgreSQL must be told where nulls stand.
    pub nullable: bool,
}

impl Structure {
    /// A database without anything of Stoa's.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            format: FORMAT,
            tables: Vec::new(),
            enumerations: Vec::new(),
        }
    }

    /// Name of this very structure: SHA-256 of its JSON, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(self.to_json().as_bytes()).iter().fold(
            String::with_capacity(64),
            |mut text, byte| {
                use std::fmt::Write;
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            },
        )
    }

    /// The form in which the ledger keeps it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "plain data always has a JSON form")]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a structure has a JSON form")
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The enumeration of this name.
    #[must_use]
    pub fn enumeration(&self, name: &str) -> Option<&Enumeration> {
        self.enumerations.iter().find(|other| other.name == name)
    }

    /// Whether any table is Stoa's own.
    #[must_use]
    pub fn owns_tables(&self) -> bool {
        self.tables.iter().any(|table| !table.external)
    }
}

impl Table {
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Column {
    /// For messages: `Email of Customer`.
    #[must_use]
    pub fn described(&self) -> String {
        if self.member.is_empty() {
            format!("the type of {}", self.entity)
        } else {
            format!("{} of {}", self.member, self.entity)
        }
    }
}

/// A value as text without loss; [`Kind::literal`] makes SQL of it.
#[must_use]
pub fn value_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value)
        | Value::DateTime(value)
        | Value::Time(value)
        | Value::Duration(value) => value.to_string(),
        Value::Date(value) => value.to_string(),
        Value::Decimal(value) => value.to_string(),
        Value::Text(value) | Value::Json(value) => value.clone(),
        Value::Uuid(value) => value.to_string(),
        Value::Binary(value) => crate::kind::hexadecimal(value),
    }
}
