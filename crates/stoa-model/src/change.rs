//! What a write changes, with all names bound and all values validated against the model: the contract
//! between the wire and the store.

use crate::model::{AttributeId, EntityId, NavigationId};
use crate::value::Value;

/// Operations that take effect together or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// In order: a row is inserted before rows that refer to it.
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Where in the request's body this comes from, as the prefix of an error's `target`: empty for the
    /// root, else like `Lines/0`.
    pub location: String,
    /// What to do.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Inserts a row. The wire has applied defaults and made the generated key; the store gives version,
    /// instants and auto numbers.
    Insert {
        /// Type of the new row.
        entity: EntityId,
        /// Values of writable attributes; absent ones are null.
        values: Vec<(AttributeId, Value)>,
        /// To-one references kept in the row's table.
        references: Vec<Reference>,
    },
    /// Changes a row, named by its key.
    Update {
        /// Entity named by the request; the row may be of a specialisation.
        entity: EntityId,
        /// Which row.
        target: Target,
        /// Version that the row must have.
        expected: Expected,
        /// New values.
        values: Vec<(AttributeId, Value)>,
        /// New to-one references kept in the row's table; `None` clears one.
        references: Vec<Reference>,
    },
    /// Changes a row if it is there, else inserts it. The outcome counts as the one or the other.
    Upsert {
        /// Entity named by the request: type of a new row; a row that is there may be of a specialisation.
        entity: EntityId,
        /// Which row. A row that has the key of the new one without being this one is a violation of
        /// [`Rule::Unique`], as in an insert.
        target: Target,
        /// Values of a new row, as in `Insert`: its key and defaults included.
        insert: Vec<(AttributeId, Value)>,
        /// New values of a row that is there, as in `Update`.
        update: Vec<(AttributeId, Value)>,
        /// To-one references in either case; those of a new row that only tell where it belongs too.
        references: Vec<Reference>,
    },
    /// Deletes the targets of a contained navigation, except those with these keys.
    Retain {
        /// Entity that has the navigation.
        entity: EntityId,
        /// Its row.
        from: Target,
        /// Contained to-many navigation.
        navigation: NavigationId,
        /// Keys of the targets that stay.
        keep: Vec<Vec<Value>>,
    },
    /// Deletes a row.
    Delete {
        /// Entity named by the request.
        entity: EntityId,
        /// Which row.
        target: Target,
        /// Version that the row must have.
        expected: Expected,
    },
    /// Connects two rows by a navigation that is not kept in the row's own table (to-many or
    /// many-to-many). Connecting what is connected changes nothing.
    Link {
        /// Entity that has the navigation.
        entity: EntityId,
        /// Its row.
        from: Target,
        /// The navigation.
        navigation: NavigationId,
        /// The row to connect.
        to: Target,
    },
    /// Disconnects rows. Fails with a violation if the reference is required.
    Unlink {
        /// Entity that has the navigation.
        entity: EntityId,
        /// Its row.
        from: Target,
        /// The navigation.
        navigation: NavigationId,
        /// The row to disconnect; all when none.
        to: Option<Target>,
    },
}

/// A to-one reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Navigation with [`crate::model::Storage::Own`].
    pub navigation: NavigationId,
    /// Referred row; none clears the reference.
    pub to: Option<Target>,
}

/// A row that an operation is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The row with this key.
    Key(Vec<Value>),
    /// The row that the operation with this position inserted.
    Inserted(usize),
    /// The one row of a source (a request to `Orders(1)/Customer`).
    Source(crate::query::Source),
}

/// What version a row must have for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any (`If-Match: *`, or an entity without version).
    Any,
    /// One of these.
    OneOf(Vec<i64>),
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Key of the row inserted, changed or deleted.
    pub key: Vec<Value>,
    /// Actual type of the row.
    pub entity: EntityId,
    /// Its version now; none without one, or after a delete.
    pub version: Option<i64>,
}

/// A rule of the data that a change would break; found by the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Position of the operation.
    pub operation: usize,
    /// Which rule.
    pub rule: Rule,
}

/// Rules of the data.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// A row with these values exists: names of the members, in order. The key counts too.
    Unique {
        /// Property names.
        members: Vec<String>,
    },
    /// The referred row does not exist.
    ReferenceMissing {
        /// Navigation property.
        navigation: String,
    },
    /// Other rows refer to the row to be deleted.
    ReferencedBy {
        /// Name of the entity of those rows.
        entity: String,
        /// Their navigation property, or the entity's name if the navigation has none.
        navigation: String,
    },
    /// A value is required (a reference cannot be cleared, an attribute may not be null).
    Required {
        /// Property name.
        member: String,
    },
    /// A check of the table failed.
    Check {
        /// Property name.
        member: String,
    },
}
