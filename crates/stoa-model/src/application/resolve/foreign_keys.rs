//! Columns of associations: foreign keys, and tables of many-to-many associations.

use heck::ToSnakeCase;

use super::Resolver;
use super::database::{ColumnUse, check_join_columns};
use super::members::unknown_member;
use crate::application::draft::AssociationDraft;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::document::At;
use crate::model::{AttributeId, EntityId, ForeignColumn, Purpose, Storage};

impl Resolver<'_, '_> {
    /// Whether a column belongs to a required attribute, so that the reference cannot be cleared.
    pub(super) fn is_unclearable(&self, holder: EntityId, columns: &[ForeignColumn]) -> bool {
        let is_required = |id: AttributeId| self.entity(holder).attributes[id.index()].required;
        columns
            .iter()
            .any(|column| column.attribute.is_some_and(is_required))
    }

    /// Whether all columns belong to required attributes, so that the reference is never null.
    pub(super) fn always_filled(&self, holder: EntityId, columns: &[ForeignColumn]) -> bool {
        !columns.is_empty()
            && columns.iter().all(|column| {
                column.attribute.is_some_and(|attribute| {
                    self.entity(holder).attributes[attribute.index()].required
                })
            })
    }

    /// The columns in the holder's table that refer to a key.
    pub(super) fn foreign_columns(
        &mut self,
        holder: EntityId,
        referred: EntityId,
        name: &str,
        draft: &AssociationDraft,
    ) -> Vec<ForeignColumn> {
        if let Some(attributes) = &draft.foreign_key {
            return self.shown_columns(holder, referred, draft, attributes);
        }
        let key = self.entity(referred).key.clone();
        let given: Option<(Vec<&At<String>>, Span)> = match (&draft.column, &draft.columns) {
            (Some(column), _) => Some((vec![column], column.span)),
            (None, Some(columns)) => Some((columns.value.iter().collect(), columns.span)),
            (None, None) => None,
        };
        let columns: Vec<At<String>> = match given {
            Some((given, _)) if given.len() == key.len() => given.into_iter().cloned().collect(),
            Some((given, span)) => {
                self.report_arity(span, given.len(), referred, key.len());
                return Vec::new();
            }
            None => key
                .iter()
                .map(|key| {
                    let column = &self.entity(referred).attributes[key.index()].column;
                    At {
                        value: format!("{}_{column}", name.to_snake_case()),
                        span: draft.about.name.span,
                    }
                })
                .collect(),
        };
        for column in &columns {
            self.columns.push(ColumnUse::new(holder, column, name));
        }
        columns
            .into_iter()
            .map(|column| ForeignColumn {
                column: column.value,
                attribute: None,
            })
            .collect()
    }

    fn report_arity(&mut self, span: Span, given: usize, referred: EntityId, wanted: usize) {
        if wanted == 0 {
            return; // The key itself is at fault, and reported.
        }
        let entity = self.entity(referred);
        let key: Vec<&str> = entity
            .key
            .iter()
            .map(|key| entity.attributes[key.index()].name.as_str())
            .collect();
        let message = format!(
            "the key of {} has {wanted} part{}, not {given}",
            entity.name,
            if wanted == 1 { "" } else { "s" }
        );
        let help = format!("one for each of: {}", key.join(", "));
        self.faults
            .push(Diagnostic::error(Code::ForeignKeyMismatch, span, message).help(help));
    }

    fn shown_columns(
        &mut self,
        holder: EntityId,
        referred: EntityId,
        draft: &AssociationDraft,
        names: &At<Vec<At<String>>>,
    ) -> Vec<ForeignColumn> {
        let key = self.entity(referred).key.clone();
        if names.value.len() != key.len() {
            self.report_arity(names.span, names.value.len(), referred, key.len());
            return Vec::new();
        }
        let mut columns = Vec::with_capacity(key.len());
        for (name, key) in names.value.iter().zip(&key) {
            let Some(id) = self
                .entity(holder)
                .attributes_by_name
                .get(&name.value)
                .copied()
            else {
                if !self.is_broken(holder, &name.value) {
                    let entity = self.entity(holder);
                    let diagnostic =
                        unknown_member(name, &entity.name).nearest(self.faults.nearest(
                            &name.value,
                            entity.attributes_by_name.keys().map(String::as_str),
                        ));
                    self.faults.push(diagnostic);
                }
                continue;
            };
            self.check_shown_column(holder, referred, draft, name, (id, *key));
            let attribute = &self.entity(holder).attributes[id.index()];
            columns.push(ForeignColumn {
                column: attribute.column.clone(),
                attribute: Some(id),
            });
        }
        columns
    }

    fn check_shown_column(
        &mut self,
        holder: EntityId,
        referred: EntityId,
        draft: &AssociationDraft,
        name: &At<String>,
        (attribute, key): (AttributeId, AttributeId),
    ) {
        let attribute = &self.entity(holder).attributes[attribute.index()];
        let key = &self.entity(referred).attributes[key.index()];
        if attribute.purpose != Purpose::Data {
            self.faults.push(
                Diagnostic::error(
                    Code::ForeignKeyMismatch,
                    name.span,
                    format!("`{}` cannot hold a foreign key", name.value),
                )
                .help("its value is made by the system: name another attribute"),
            );
        } else if attribute.scalar_type != key.scalar_type {
            let (has, wants) = (
                self.type_name(attribute.scalar_type),
                self.type_name(key.scalar_type),
            );
            let message = format!(
                "`{}` is of type {has}, but `{}` of {} is {wants}",
                name.value,
                key.name,
                self.entity(referred).name
            );
            self.faults.push(
                Diagnostic::error(Code::ForeignKeyMismatch, name.span, message)
                    .help(format!("make the attribute `{}` a {wants}", name.value)),
            );
        } else if let (Some((what, span)), false) = (demand(draft), attribute.required) {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    span,
                    format!(
                        "the association is {what}, but its attribute `{}` is not required",
                        name.value
                    ),
                )
                .help(format!("make `{}` required too", name.value))
                .related(Some(name.span), "its column"),
            );
        }
    }

    pub(super) fn join_table(
        &mut self,
        from: EntityId,
        to: EntityId,
        draft: &AssociationDraft,
    ) -> (Storage, Storage) {
        let place = draft.about.name.span;
        let name = &draft.about.name.value;
        let table = match &draft.table {
            Some(table) => table.clone(),
            None => {
                let default = format!(
                    "{}_{}",
                    self.entity(from).name.to_snake_case(),
                    name.to_snake_case()
                );
                At {
                    value: default,
                    span: place,
                }
            }
        };
        let (own_key, target_key) = (self.entity(from).key.len(), self.entity(to).key.len());
        let (own, target): (Vec<At<String>>, Vec<At<String>>) = match &draft.columns {
            Some(columns) if columns.value.len() == own_key + target_key => {
                let (own, target) = columns.value.split_at(own_key);
                (own.to_vec(), target.to_vec())
            }
            Some(columns) => {
                if own_key > 0 && target_key > 0 {
                    self.faults.push(
                        Diagnostic::error(
                            Code::ForeignKeyMismatch,
                            columns.span,
                            format!("the table has {} columns, not {}", own_key + target_key, columns.value.len()),
                        )
                        .help(format!(
                            "first {own_key} for the key of {}, then {target_key} for the key of {}",
                            self.entity(from).name,
                            self.entity(to).name
                        )),
                    );
                }
                (Vec::new(), Vec::new())
            }
            None => {
                let own_prefix = self.entity(from).name.to_snake_case();
                let target_prefix = self.entity(to).name.to_snake_case();
                let target_prefix = if own_prefix == target_prefix {
                    name.to_snake_case()
                } else {
                    target_prefix
                };
                (
                    self.key_columns(from, &own_prefix, place),
                    self.key_columns(to, &target_prefix, place),
                )
            }
        };
        check_join_columns(&own, &target, self.faults);
        let own: Vec<String> = own.into_iter().map(|column| column.value).collect();
        let target: Vec<String> = target.into_iter().map(|column| column.value).collect();
        let external = self.entity(from).table.external && self.entity(to).table.external;
        self.join_tables.push((table.clone(), external));
        let here = Storage::Join {
            table: table.value.clone(),
            own: own.clone(),
            target: target.clone(),
        };
        (
            here,
            Storage::Join {
                table: table.value,
                own: target,
                target: own,
            },
        )
    }

    fn key_columns(&self, entity: EntityId, prefix: &str, span: Span) -> Vec<At<String>> {
        let entity = self.entity(entity);
        let column =
            |key: &AttributeId| format!("{prefix}_{}", entity.attributes[key.index()].column);
        entity
            .key
            .iter()
            .map(|key| At {
                value: column(key),
                span,
            })
            .collect()
    }
}

/// Why the reference is never null, and where that is said.
fn demand(draft: &AssociationDraft) -> Option<(&'static str, Span)> {
    let is_on = |flag: &Option<At<bool>>| {
        flag.as_ref()
            .filter(|flag| flag.value)
            .map(|flag| flag.span)
    };
    let required = is_on(&draft.required).map(|span| ("required", span));
    required.or_else(|| is_on(&draft.contained).map(|span| ("contained", span)))
}
