//! Keys and types of rows in statements.

use stoa_model::model::{Entity, Model};
use stoa_model::value::Value;

use super::statement::{Form, Writer};

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
