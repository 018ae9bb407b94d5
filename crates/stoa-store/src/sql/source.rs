//! Where a query's rows come from: keys and navigation paths.

use stoa_model::model::{Attribute, EntityId, Storage};
use stoa_model::query::{ROW, Source};
use stoa_model::value::Value;

use super::builder::{Builder, column, key};
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
            Source::Where {
                from, condition, ..
            } => {
                let mut conditions = self.source(from, entity, alias)?;
                // The rows are those of the innermost scope.
                conditions.push(self.row_condition(condition)?);
                return Ok(conditions);
            }
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
                let rows = self.rows_of(from_entity, from, |alias| {
                    columns
                        .iter()
                        .map(|own| column(alias, &own.column))
                        .collect()
                })?;
                vec![is_among(&names, &rows)]
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
        match source {
            Source::All | Source::Key(_) => Ok(None),
            Source::Where { from, .. } => self.source_row(from),
            Source::Related { entity, from, .. } => self
                .rows_of(*entity, from, |_| vec!["1".to_owned()])
                .map(Some),
        }
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
        if let Some(values) = known_key(source) {
            let parts: Vec<Encoding> = key(&self.model[entity])
                .map(|part| Encoding::of(part.scalar_type))
                .collect();
            let mut conditions = names
                .iter()
                .zip(values)
                .zip(parts)
                .map(|((name, value), encoding)| {
                    Ok(format!("{name} = {}", self.bind_value(value, encoding)?))
                })
                .collect::<Result<Vec<_>, StoreError>>()?;
            if matches!(source, Source::Where { .. }) || self.type_condition(entity, "").is_some() {
                // Does not depend on the rows: found out once.
                let rows = self.rows_of(entity, source, |_| vec!["1".to_owned()])?;
                conditions.push(format!("EXISTS ({rows})"));
            }
            return Ok(conditions);
        }
        let described = &self.model[entity];
        let rows = self.rows_of(entity, source, |alias| {
            key(described)
                .map(|part| column(alias, &part.column))
                .collect()
        })?;
        Ok(vec![is_among(names, &rows)])
    }

    fn rows_of(
        &mut self,
        entity: EntityId,
        source: &Source,
        chosen: impl FnOnce(&str) -> Vec<String>,
    ) -> Result<String, StoreError> {
        let is_page = std::mem::replace(&mut self.is_page, false);
        let alias = self.open(ROW, entity);
        let mut conditions = self.source(source, entity, &alias)?;
        conditions.extend(self.type_condition(entity, &alias));
        let from = self.close()?;
        self.is_page = is_page;
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        Ok(format!(
            "SELECT {} FROM {from}{filter}",
            chosen(&alias).join(", ")
        ))
    }
}

/// The key of the one row that a source can have, where it names it.
pub(crate) fn known_key(source: &Source) -> Option<&[Value]> {
    match source {
        Source::Key(values) => Some(values),
        Source::Where { from, .. } => known_key(from),
        Source::All | Source::Related { .. } => None,
    }
}

fn is_among(names: &[String], rows: &str) -> String {
    match names {
        [one] => format!("{one} IN ({rows})"),
        several => format!("({}) IN ({rows})", several.join(", ")),
    }
}
