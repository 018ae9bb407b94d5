//! From a row of the database to the writer, whichever database it is.

use stoa_model::model::EntityId;
use stoa_model::query::{Row, RowWriter};
use stoa_model::value::{Value, ValueRef};

use crate::error::StoreError;
use crate::sql::plan::{Column, Expanded, Kind, Layout};

/// A row of the database.
pub(super) trait Cells {
    /// The value in a column.
    fn value(&self, column: Column) -> Result<ValueRef<'_>, StoreError>;
}

/// Most key parts that need no allocation.
const FEW: usize = 4;

/// Writes a row and everything under it. `many` writes the targets of an expand that has a statement of
/// its own, told by its position.
pub(super) fn write_row<C, W, F>(
    layout: &Layout,
    cells: &C,
    writer: &mut W,
    many: &mut F,
) -> Result<(), StoreError>
where
    C: Cells,
    W: RowWriter,
    F: FnMut(usize, &C, &mut W) -> Result<(), StoreError>,
{
    let entity = kind_of(&layout.kind, cells)?;
    let version = match layout.version {
        Some(column) => match cells.value(column)? {
            ValueRef::Integer(version) => Some(version),
            _ => None,
        },
        None => None,
    };
    let mut few = [ValueRef::Null; FEW];
    let more: Vec<ValueRef<'_>>;
    let key = if let Some(few) = few.get_mut(..layout.key.len()) {
        for (place, column) in few.iter_mut().zip(&layout.key) {
            *place = cells.value(*column)?;
        }
        &*few
    } else {
        more = layout
            .key
            .iter()
            .map(|column| cells.value(*column))
            .collect::<Result<_, _>>()?;
        more.as_slice()
    };
    writer.begin_row(
        layout.node,
        Row {
            entity,
            key,
            version,
        },
    );
    for (position, column) in layout.values.iter().enumerate() {
        writer.value(layout.node, position, cells.value(*column)?);
    }
    for (position, (types, column)) in layout.specialised.iter().enumerate() {
        if types.contains(&entity) {
            writer.value(
                layout.node,
                layout.values.len() + position,
                cells.value(*column)?,
            );
        }
    }
    for expanded in &layout.expands {
        match expanded {
            Expanded::One(target, shown) => {
                let mut exists = true;
                for column in shown.iter().chain(target.key.first()) {
                    exists = exists && !matches!(cells.value(*column)?, ValueRef::Null);
                }
                if exists {
                    write_row(target, cells, writer, many)?;
                } else {
                    writer.null_target(target.node);
                }
            }
            Expanded::Many(position) => many(*position, cells, writer)?,
            Expanded::Count(node, column) => writer.count_only(*node, number(cells, *column)?),
        }
    }
    writer.end_row(layout.node);
    Ok(())
}

/// Writes a collection's rows; `targets` gives them one by one.
pub(super) struct Collection {
    pub(super) node: usize,
    pub(super) limit: u64,
    pub(super) paged: bool,
    given: u64,
    next: Option<Vec<Value>>,
    more: bool,
}

impl Collection {
    pub(super) fn begin<W: RowWriter>(
        node: usize,
        limit: u64,
        paged: bool,
        count: Option<u64>,
        writer: &mut W,
    ) -> Self {
        writer.begin_collection(node, count);
        Self {
            node,
            limit,
            paged,
            given: 0,
            next: None,
            more: false,
        }
    }

    /// Whether the next row is to be written; false for the one that only says that there are more.
    pub(super) fn takes(&mut self) -> bool {
        if self.paged && self.given >= self.limit {
            self.more = true;
            return false;
        }
        true
    }

    /// Says that a row was written.
    pub(super) fn wrote<C: Cells>(&mut self, cells: &C, next: &[Column]) -> Result<(), StoreError> {
        self.given += 1;
        if self.paged && self.given == self.limit {
            self.next = Some(
                next.iter()
                    .map(|column| cells.value(*column).map(ValueRef::to_owned))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(())
    }

    /// Ends it; gives the number of rows.
    pub(super) fn end<W: RowWriter>(self, writer: &mut W) -> u64 {
        let next = if self.more {
            self.next.as_deref()
        } else {
            None
        };
        writer.end_collection(self.node, next);
        self.given
    }
}

/// A number of rows in a column.
pub(super) fn number<C: Cells>(cells: &C, column: Column) -> Result<u64, StoreError> {
    match cells.value(column)? {
        ValueRef::Integer(number) => Ok(u64::try_from(number).unwrap_or_default()),
        _ => Err(StoreError::internal("a count is no number")),
    }
}

/// Stops a read whose answer is too large.
pub(super) fn check_size<W: RowWriter>(writer: &W, limit: usize) -> Result<(), StoreError> {
    if writer.written() > limit {
        return Err(StoreError::ResponseTooLarge { limit });
    }
    Ok(())
}

fn kind_of<C: Cells>(kind: &Kind, cells: &C) -> Result<EntityId, StoreError> {
    match kind {
        Kind::Fixed(entity) => Ok(*entity),
        Kind::Named(column, names) => {
            let ValueRef::Text(name) = cells.value(*column)? else {
                return Err(StoreError::internal("a row has no type"));
            };
            names
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, entity)| *entity)
                .ok_or_else(|| {
                    StoreError::internal("a row is of a type that the model does not have")
                })
        }
    }
}
