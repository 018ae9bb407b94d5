//! Names in the database: legal, and apart from each other even where letter case does not count.

use std::collections::HashMap;

use super::Resolver;
use crate::application::names::{check_database_name, check_reserved_column, check_reserved_table};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::document::{At, Faults};
use crate::model::{EntityId, Member, Storage};
use crate::physical::{index_name, primary_key_name, unique_name};
use crate::value::ScalarType;

/// A column that the model asks for.
pub(super) struct ColumnUse {
    owner: EntityId,
    name: At<String>,
    member: String,
}

impl ColumnUse {
    pub(super) fn new(owner: EntityId, name: &At<String>, member: &str) -> Self {
        Self {
            owner,
            name: name.clone(),
            member: member.to_owned(),
        }
    }
}

impl Resolver<'_, '_> {
    pub(super) fn database_names(&mut self) {
        self.check_columns();
        let tables = self.check_tables();
        self.check_constraint_names(tables);
    }

    fn check_columns(&mut self) {
        let mut seen: HashMap<(EntityId, String), usize> = HashMap::new();
        for (index, column) in self.columns.iter().enumerate() {
            let entity = &self.entities[column.owner.index()];
            if !check_database_name(&column.name, "column", self.faults) {
                continue;
            }
            if !entity.table.external {
                check_reserved_column(&column.name, self.faults);
            }
            let generated_key =
                entity.base.is_none() && !entity.table.external && entity.key.len() == 1;
            let is_id = generated_key
                && column.name.value.eq_ignore_ascii_case("id")
                && entity
                    .attributes
                    .first()
                    .is_some_and(|first| first.purpose == crate::model::Purpose::GeneratedKey);
            if is_id {
                self.faults.push(
                    Diagnostic::error(
                        Code::DatabaseNameClash,
                        column.name.span,
                        format!("the column `{}` of `{}` is the generated key's", column.name.value, column.member),
                    )
                    .help("give it another name with `column`, or make the attribute the key: `key = [\"…\"]`"),
                );
                continue;
            }
            let place = (entity.root, column.name.value.to_lowercase());
            let Some(first) = seen.get(&place) else {
                seen.insert(place, index);
                continue;
            };
            let first = &self.columns[*first];
            let owner = &self.entities[first.owner.index()].name;
            self.faults.push(
                Diagnostic::error(
                    Code::DatabaseNameClash,
                    column.name.span,
                    format!("the column `{}` of `{}` is already that of `{}` in {owner}", column.name.value, column.member, first.member),
                )
                .help("names that differ in letter case only are one name to a database, and a hierarchy shares one table: give another with `column`")
                .related(Some(first.name.span), "first used here"),
            );
        }
    }

    /// The tables by name in lower case.
    fn check_tables(&mut self) -> HashMap<String, (String, Span)> {
        let mut seen: HashMap<String, (String, Span)> = HashMap::new();
        let roots = self
            .entities
            .iter()
            .zip(&self.drafts)
            .filter(|(entity, _)| entity.base.is_none());
        let system_file = self.system_file;
        let mut tables: Vec<(At<String>, bool)> = roots
            .map(|(entity, draft)| {
                let span = draft.table.as_ref().unwrap_or(&draft.about.name).span;
                (
                    At {
                        value: entity.table.name.clone(),
                        span,
                    },
                    entity.table.external,
                )
            })
            .collect();
        let roots = tables.len();
        let of_others: std::collections::HashSet<String> = tables
            .iter()
            .filter(|(_, external)| *external)
            .map(|(table, _)| table.value.to_lowercase())
            .collect();
        tables.extend(self.join_tables.iter().cloned());
        for (index, (table, external)) in tables.into_iter().enumerate() {
            if !check_database_name(&table, "table", self.faults) {
                continue;
            }
            if !external && table.span.file() != system_file {
                check_reserved_table(&table, self.faults);
            }
            let name = table.value.to_lowercase();
            match seen.get(&name) {
                // An entity may show the rows of an external many-to-many table.
                Some(_) if index >= roots && external && of_others.contains(&name) => {}
                Some((_, first)) => self.faults.push(
                    Diagnostic::error(Code::DatabaseNameClash, table.span, format!("the table `{}` is used twice", table.value))
                        .help("names that differ in letter case only are one name to a database: give another with `table`")
                        .related(Some(*first), "first used here"),
                ),
                None => {
                    seen.insert(name, (format!("the table `{}`", table.value), table.span));
                }
            }
        }
        seen
    }

    /// Constraints and indexes share one space of names with tables.
    fn check_constraint_names(&mut self, mut seen: HashMap<String, (String, Span)>) {
        let mut names: Vec<(String, String, Span)> = Vec::new();
        for (entity, draft) in self
            .entities
            .iter()
            .zip(&self.drafts)
            .filter(|(entity, _)| !entity.table.external)
        {
            let table = entity.table.name.as_str();
            let span = draft.about.name.span;
            let place = draft.table.as_ref().map_or(span, |table| table.span);
            let holder = seen.get(&table.to_lowercase()).map(|(_, holder)| *holder);
            if entity.base.is_none() && holder != Some(place) {
                continue; // The clash of tables is reported.
            }
            if entity.base.is_none() {
                names.push((
                    primary_key_name(table),
                    format!("the primary key of {}", entity.name),
                    span,
                ));
            }
            let columns = |members: &mut dyn Iterator<Item = Member>| -> Vec<&str> {
                members
                    .flat_map(|member| match member {
                        Member::Attribute(id) => {
                            vec![entity.attributes[id.index()].column.as_str()]
                        }
                        Member::Navigation(id) => match &entity.navigations[id.index()].storage {
                            Storage::Own(columns) => columns
                                .iter()
                                .map(|column| column.column.as_str())
                                .collect(),
                            Storage::Target(_) | Storage::Join { .. } => Vec::new(),
                        },
                    })
                    .collect()
            };
            for unique in &entity.uniques {
                let columns = columns(&mut unique.members.iter().copied());
                let what = format!(
                    "the unique constraint on {} of {}",
                    columns.join(", "),
                    entity.name
                );
                names.push((unique_name(table, &columns), what, span));
            }
            for index in &entity.indexes {
                let columns = columns(&mut index.members.iter().map(|(member, _)| *member));
                let what = format!("the index on {} of {}", columns.join(", "), entity.name);
                names.push((index_name(table, &columns), what, span));
            }
        }
        for (name, what, span) in names {
            match seen.get(&name.to_lowercase()) {
                Some((other, first)) => self.faults.push(
                    Diagnostic::error(Code::DatabaseNameClash, span, format!("{what} and {other} would both be called `{name}`"))
                        .help("rename a table or a column with `table` or `column`; indexes need different columns")
                        .related(Some(*first), "the other"),
                ),
                None => {
                    seen.insert(name.to_lowercase(), (what, span));
                }
            }
        }
    }

    /// What a type is called in the model.
    pub(super) fn type_name(&self, scalar_type: ScalarType) -> String {
        match scalar_type {
            ScalarType::Decimal { precision, scale } => format!("Decimal({precision}, {scale})"),
            ScalarType::Enumeration(id) => self.enumerations[id.index()].name.clone(),
            other => format!("{other:?}"),
        }
    }
}

/// Reports columns of a many-to-many table that are not legal or not apart.
pub(super) fn check_join_columns(own: &[At<String>], target: &[At<String>], faults: &mut Faults) {
    let mut seen: HashMap<String, Span> = HashMap::new();
    for column in own.iter().chain(target) {
        if !check_database_name(column, "column", faults) {
            continue;
        }
        check_reserved_column(column, faults);
        if let Some(first) = seen.insert(column.value.to_lowercase(), column.span) {
            faults.push(
                Diagnostic::error(
                    Code::DatabaseNameClash,
                    column.span,
                    format!("the column `{}` is used twice", column.value),
                )
                .help("name the columns of the table with `columns`: this side first")
                .related(
                    Some(first).filter(|first| *first != column.span),
                    "first used here",
                ),
            );
        }
    }
}
