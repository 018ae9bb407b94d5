//! Where a query's rows come from: keys and navigation paths.

use stoa_model::model::{Attribute, EntityId, Storage};
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::builder::{Builder, column, key, table};
use super::{Encoding, quoted};
use crate::error::StoreError;

impl Builder<'_> {
    /// Conditions that the rows of `alias`, of `entity`, are those of the source.
    pub(crate) fn source(
        &mut self,
        source: &Source,
        entity: EntityId,
        alias: &str,
    ) -> Result<Vec<String>, StoreError> {
        let (from_entity, from, navigation, only) = match source {
            Source::All => return Ok(Vec::new()),
            Source::Key(values) => return self.has_key(entity, alias, values),
            Source::Related {
                entity,
                from,
                navigation,
                key,
            } => (*entity, from, *navigation, key),
            Source::Where { .. } => return Err(StoreError::internal("not there yet")),
        };
        let model = self.model;
        let navigation = &model[from_entity][navigation];
        let mut conditions = match &navigation.storage {
            Storage::Target(columns) => {
                let names: Vec<String> = columns
                    .iter()
                    .map(|theirs| column(alias, &theirs.column))
                    .collect();
                self.refer_to(&names, from_entity, from)?
            }
            Storage::Own(columns) => {
                let names: Vec<String> = key(&model[navigation.target])
                    .map(|part| column(alias, &part.column))
                    .collect();
                let inner = self.new_alias();
                let chosen: Vec<String> = columns
                    .iter()
                    .map(|own| column(&inner, &own.column))
                    .collect();
                vec![is_among(
                    &names,
                    &self.rows_of(from_entity, from, &inner, &chosen)?,
                )]
            }
            Storage::Join { table, own, target } => {
                let names: Vec<String> = key(&model[navigation.target])
                    .map(|part| column(alias, &part.column))
                    .collect();
                let join = self.new_alias();
                let chosen: Vec<String> = target.iter().map(|name| column(&join, name)).collect();
                let ours: Vec<String> = own.iter().map(|name| column(&join, name)).collect();
                let linked = self.refer_to(&ours, from_entity, from)?;
                let rows = format!(
                    "SELECT {} FROM {} AS {join} WHERE {}",
                    chosen.join(", "),
                    quoted(table),
                    linked.join(" AND ")
                );
                vec![is_among(&names, &rows)]
            }
        };
        if let Some(values) = only {
            conditions.extend(self.has_key(entity, alias, values)?);
        }
        Ok(conditions)
    }

    /// A statement that finds the row at which the last navigation of a source starts.
    pub(crate) fn source_row(&mut self, source: &Source) -> Result<Option<String>, StoreError> {
        let Source::Related { entity, from, .. } = source else {
            return Ok(None);
        };
        let alias = self.new_alias();
        self.rows_of(*entity, from, &alias, &["1".to_owned()])
            .map(Some)
    }

    fn has_key(
        &mut self,
        entity: EntityId,
        alias: &str,
        values: &[Value],
    ) -> Result<Vec<String>, StoreError> {
        let entity = &self.model[entity];
        let parts: Vec<&Attribute> = key(entity).collect();
        if parts.len() != values.len() {
            return Err(StoreError::internal(
                "a key has another number of parts than its entity's",
            ));
        }
        parts
            .iter()
            .zip(values)
            .map(|(part, value)| {
                let placeholder = self.bind_value(value, Encoding::of(part.scalar_type))?;
                Ok(format!("{} = {placeholder}", column(alias, &part.column)))
            })
            .collect()
    }

    /// Conditions that columns hold the key of the source's row.
    fn refer_to(
        &mut self,
        names: &[String],
        entity: EntityId,
        source: &Source,
    ) -> Result<Vec<String>, StoreError> {
        if let Source::Key(values) = source
            && self.type_condition(entity, "").is_none()
        {
            let parts: Vec<Encoding> = key(&self.model[entity])
                .map(|part| Encoding::of(part.scalar_type))
                .collect();
            return names
                .iter()
                .zip(values)
                .zip(parts)
                .map(|((name, value), encoding)| {
                    Ok(format!("{name} = {}", self.bind_value(value, encoding)?))
                })
                .collect();
        }
        let inner = self.new_alias();
        let chosen: Vec<String> = key(&self.model[entity])
            .map(|part| column(&inner, &part.column))
            .collect();
        let rows = self.rows_of(entity, source, &inner, &chosen)?;
        Ok(vec![is_among(names, &rows)])
    }

    fn rows_of(
        &mut self,
        entity: EntityId,
        source: &Source,
        alias: &str,
        chosen: &[String],
    ) -> Result<String, StoreError> {
        let mut conditions = self.source(source, entity, alias)?;
        conditions.extend(self.type_condition(entity, alias));
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        Ok(format!(
            "SELECT {} FROM {}{filter}",
            chosen.join(", "),
            table(self.model, entity, alias)
        ))
    }
}

fn is_among(names: &[String], rows: &str) -> String {
    match names {
        [one] => format!("{one} IN ({rows})"),
        several => format!("({}) IN ({rows})", several.join(", ")),
    }
}
