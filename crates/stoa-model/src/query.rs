//! What a read asks for, with all names bound: the contract between the wire and the store.

use crate::expression::{Expression, Variable};
use crate::model::{AttributeId, EntityId, NavigationId};
use crate::value::Value;

/// A read of one collection or one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Type of the rows.
    pub entity: EntityId,
    /// Which rows there are to start with.
    pub source: Source,
    /// One row is meant: its absence is "not found", and no paging applies.
    pub single: bool,
    /// Condition on the rows; they are [`Variable`] 0.
    pub filter: Option<Expression>,
    /// Order, total: it ends with the key (unless `single`).
    pub order: Vec<OrderTerm>,
    /// Only rows after the one with these values of `order` (keyset paging). As many as `order` has.
    pub after: Option<Vec<Value>>,
    /// Rows left out.
    pub skip: u64,
    /// Most rows to give.
    pub limit: u64,
    /// Whether rows beyond `limit` are reported as a continuation (server paging) or are just not
    /// wanted (`$top`).
    pub paged: bool,
    /// Number of all rows is wanted too (before `after`, `skip` and `limit`).
    pub count: bool,
    /// What of each row.
    pub selection: Selection,
}

impl Query {
    /// The one row of a source, with these attributes and nothing else.
    #[must_use]
    pub fn row(entity: EntityId, source: Source, attributes: Vec<AttributeId>) -> Self {
        Self {
            entity,
            source,
            single: true,
            filter: None,
            order: Vec::new(),
            after: None,
            skip: 0,
            limit: 1,
            paged: false,
            count: false,
            selection: Selection {
                node: 0,
                entity,
                attributes,
                specialised: Vec::new(),
                expands: Vec::new(),
                masks: Vec::new(),
            },
        }
    }
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The whole collection (rows of the entity and of its specialisations).
    All,
    /// The row with this key, in key order.
    Key(Vec<Value>),
    /// The targets of a navigation of the rows of another source, limited to a key if given.
    Related {
        /// Entity of the rows where the navigation starts.
        entity: EntityId,
        /// Those rows: one row.
        from: Box<Source>,
        /// Navigation of `entity`.
        navigation: NavigationId,
        /// Key of the one target meant.
        key: Option<Vec<Value>>,
    },
    /// Those rows of another source that fulfil a condition. Made by the access layer: what the user may
    /// not see is not there.
    Where {
        /// Entity of the rows.
        entity: EntityId,
        /// The rows.
        from: Box<Source>,
        /// Condition, in which they are [`ROW`].
        condition: Expression,
    },
}

/// A term of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderTerm {
    /// What to order by.
    pub expression: Expression,
    /// Descending. Null comes first in ascending order and last in descending order.
    pub descending: bool,
}

/// What of each row is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Number of this selection in the query, in preorder: 0 is the root's, then each expand's as it
    /// comes. The writer of rows is told this number.
    pub node: usize,
    /// Entity of the rows.
    pub entity: EntityId,
    /// Attributes in output order.
    pub attributes: Vec<AttributeId>,
    /// Attributes that only some specialisations have, to be given for rows of those types. In output
    /// order, after `attributes`.
    pub specialised: Vec<(EntityId, AttributeId)>,
    /// Navigations in output order.
    pub expands: Vec<Expand>,
    /// Values that are given for some rows only, else null. Made by the access layer; ascending positions.
    pub masks: Vec<Mask>,
}

/// A value that the user may see in some rows only.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Position as in [`RowWriter::value`]: of `attributes`, then of `specialised`.
    pub position: usize,
    /// Condition on the row, which is [`ROW`]: true where the value may be seen.
    pub condition: Expression,
}

/// A navigation whose targets are wanted with each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Expand {
    /// Navigation of the selection's entity.
    pub navigation: NavigationId,
    /// Condition on the row with the navigation, which is [`ROW`]: where it is not true there are no
    /// targets. Made by the access layer.
    pub condition: Option<Expression>,
    /// Condition on the targets, which are [`Variable`] 0. Of a to-one navigation too: a target that does
    /// not fulfil it is no target.
    pub filter: Option<Expression>,
    /// A condition on the targets like `filter`, that holds of all of them where the row with the
    /// navigation and its targets are read in one state of the database: need not be looked at then. Made by
    /// the access layer.
    pub given: Option<Expression>,
    /// Total order of the targets; empty for to-one.
    pub order: Vec<OrderTerm>,
    /// Rows left out, for each parent.
    pub skip: u64,
    /// Most rows for each parent.
    pub limit: u64,
    /// As in [`Query::paged`], for each parent.
    pub paged: bool,
    /// Number of all targets is wanted too.
    pub count: bool,
    /// Only the number of targets is wanted (`$expand=Lines/$count`).
    pub count_only: bool,
    /// What of each target.
    pub selection: Selection,
}

/// The row that a query is about.
pub const ROW: Variable = Variable(0);

/// Identity of a row as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Actual type: the selection's entity or one of its specialisations.
    pub entity: EntityId,
    /// Key values in key order.
    pub key: &'a [crate::value::ValueRef<'a>],
    /// Version, if the entity has one.
    pub version: Option<i64>,
}

/// Receives what a query reads, in document order. `node` is [`Selection::node`].
///
/// A collection: `begin_collection(0)`, rows, `end_collection(0)`. A single row: just the row. A row:
/// `begin_row`, `value` for each attribute in order, then for each expand in order either
/// `null_target`, or a row, or `begin_collection`, rows, `end_collection`, or `count_only`; `end_row`.
pub trait RowWriter: Send {
    /// Starts a collection; `count` when it was asked for.
    fn begin_collection(&mut self, node: usize, count: Option<u64>);
    /// Ends a collection; `next` holds the order values of the last row given when there are more rows
    /// and the collection is paged.
    fn end_collection(&mut self, node: usize, next: Option<&[Value]>);
    /// Starts a row.
    fn begin_row(&mut self, node: usize, row: Row<'_>);
    /// The value of `attributes[position]`, or of `specialised[position - attributes.len()]` (only called
    /// for those that the row's type has).
    fn value(&mut self, node: usize, position: usize, value: crate::value::ValueRef<'_>);
    /// A to-one navigation that leads nowhere.
    fn null_target(&mut self, node: usize);
    /// Number of targets, where only that was asked for.
    fn count_only(&mut self, node: usize, count: u64);
    /// Ends a row.
    fn end_row(&mut self, node: usize);
    /// Bytes written so far: the store stops a read whose answer outgrows its limit.
    fn written(&self) -> usize;
}
