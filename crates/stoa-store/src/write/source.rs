//! The one row that a path leads to: its key.

use stoa_model::model::{Entity, EntityId, Model, NavigationId, Storage};
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::statement::{Form, Statement, Writer};
use crate::error::StoreError;
use crate::store::Dialect;

/// Columns of an entity's key.
pub(super) fn key_columns(entity: &Entity) -> impl Iterator<Item = &str> {
    entity.key.iter().map(|id| entity[*id].column.as_str())
}

/// Forms of an entity's key.
pub(super) fn key_forms(entity: &Entity) -> impl Iterator<Item = Form> {
    entity.key.iter().map(|id| Form::of(&entity[*id]))
}

/// Writes `column = value AND …`, each column with a prefix (`t.` or nothing).
pub(super) fn equal_columns<'a>(
    writer: &mut Writer,
    prefix: &str,
    columns: impl Iterator<Item = &'a str>,
    forms: impl Iterator<Item = Form>,
    values: &[Value],
) {
    for (position, ((column, form), value)) in columns.zip(forms).zip(values).enumerate() {
        if position > 0 {
            writer.text(" AND ");
        }
        writer
            .text(prefix)
            .name(column)
            .text(" = ")
            .bind(value.clone(), form);
    }
}

/// Writes that a row is of `entity` or a specialisation, where its table has other rows too.
pub(super) fn of_type(writer: &mut Writer, model: &Model, prefix: &str, entity: &Entity) {
    let Some(discriminator) = &entity.table.discriminator_column else {
        return;
    };
    if entity.base.is_none() {
        return;
    }
    writer
        .text(" AND ")
        .text(prefix)
        .name(discriminator)
        .text(" IN (");
    let types = std::iter::once(entity).chain(entity.specialisations.iter().map(|id| &model[*id]));
    for (position, entity) in types.enumerate() {
        if position > 0 {
            writer.text(", ");
        }
        writer.constant(entity.discriminator.as_deref().unwrap_or(&entity.name));
    }
    writer.text(")");
}

/// A query for the key of the rows of `source`, which are of `entity`.
pub(super) fn key_query(
    dialect: Dialect,
    model: &Model,
    entity: EntityId,
    source: &Source,
) -> Result<Statement, StoreError> {
    let mut writer = Writer::new(dialect);
    let target = &model[entity];
    writer.text("SELECT ");
    for (position, column) in key_columns(target).enumerate() {
        if position > 0 {
            writer.text(", ");
        }
        writer.text("t0.").name(column);
    }
    writer
        .text(" FROM ")
        .name(&target.table.name)
        .text(" AS t0 WHERE ");
    condition(&mut writer, model, entity, source, 0)?;
    writer.text(" LIMIT 2");
    Ok(writer.finish(key_forms(target).collect()))
}

/// Writes the condition that row `t<level>` is of the source.
fn condition(
    writer: &mut Writer,
    model: &Model,
    entity: EntityId,
    source: &Source,
    level: usize,
) -> Result<(), StoreError> {
    let target = &model[entity];
    let alias = format!("t{level}.");
    match source {
        Source::Where { .. } => return Err(StoreError::internal("not there yet")),
        Source::All => {
            writer.text("1 = 1");
        }
        Source::Key(key) => {
            equal_columns(writer, &alias, key_columns(target), key_forms(target), key)
        }
        Source::Related {
            entity: start,
            from,
            navigation,
            key,
        } => {
            related(writer, model, (entity, level), (*start, *navigation), from)?;
            if let Some(key) = key {
                writer.text(" AND ");
                equal_columns(writer, &alias, key_columns(target), key_forms(target), key);
            }
        }
    }
    of_type(writer, model, &alias, target);
    Ok(())
}

fn related(
    writer: &mut Writer,
    model: &Model,
    (entity, level): (EntityId, usize),
    (start, navigation): (EntityId, NavigationId),
    from: &Source,
) -> Result<(), StoreError> {
    let (here, there) = (format!("t{level}."), format!("t{}.", level + 1));
    let start = &model[start];
    let target = &model[entity];
    let pairs = |writer: &mut Writer, left: (&str, Vec<&str>), right: (&str, Vec<&str>)| {
        for (position, (a, b)) in left.1.iter().zip(&right.1).enumerate() {
            if position > 0 {
                writer.text(" AND ");
            }
            writer
                .text(left.0)
                .name(a)
                .text(" = ")
                .text(right.0)
                .name(b);
        }
    };
    writer
        .text("EXISTS (SELECT 1 FROM ")
        .name(&start.table.name)
        .text(&format!(" AS t{}", level + 1));
    match &start[navigation].storage {
        Storage::Own(columns) => {
            writer.text(" WHERE ");
            let own = columns
                .iter()
                .map(|column| column.column.as_str())
                .collect();
            pairs(
                writer,
                (&here, key_columns(target).collect()),
                (&there, own),
            );
        }
        Storage::Target(columns) => {
            writer.text(" WHERE ");
            let own = columns
                .iter()
                .map(|column| column.column.as_str())
                .collect();
            pairs(writer, (&here, own), (&there, key_columns(start).collect()));
        }
        Storage::Join {
            table,
            own,
            target: others,
        } => {
            let join = format!("j{level}.");
            writer
                .text(", ")
                .name(table)
                .text(&format!(" AS j{level} WHERE "));
            pairs(
                writer,
                (&join, own.iter().map(String::as_str).collect()),
                (&there, key_columns(start).collect()),
            );
            writer.text(" AND ");
            pairs(
                writer,
                (&join, others.iter().map(String::as_str).collect()),
                (&here, key_columns(target).collect()),
            );
        }
    }
    writer.text(" AND ");
    condition(writer, model, start.id, from, level + 1)?;
    writer.text(")");
    Ok(())
}
