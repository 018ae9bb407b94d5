//! Rows of an expand, found by those of its parents.

use stoa_model::model::{EntityId, NavigationId, Storage};
use stoa_model::query::{Expand, ROW};

use super::{Column, Columns, Planner, Rows, Wanted};
use crate::error::StoreError;
use crate::sql::builder::{Builder, column, key};
use crate::sql::shape::not_given;
use crate::sql::{Binding, Encoding};

/// How an expand's rows are found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attachment {
    /// For one parent (SQLite).
    Parent,
    /// For all parents, each with its own limit (PostgreSQL).
    Lateral,
    /// For all parents together (PostgreSQL).
    Together,
}

/// Whose rows an expand's statement finds.
pub(super) struct Attached<'a> {
    pub(super) attachment: Attachment,
    /// Entity of the parents.
    parent: EntityId,
    /// Parts of what the rows are found by, in the parent's row.
    pub(super) found_by: &'a [(String, Encoding)],
    /// And in the rows themselves.
    names: Vec<String>,
    /// Back to the parent, where the rows refer to it.
    back: Option<NavigationId>,
}

impl Planner<'_> {
    /// The statement of an expand's rows, and (PostgreSQL) the columns that say whose they are.
    pub(super) fn attached(
        &self,
        parent: EntityId,
        expand: &Expand,
        found_by: &[(String, Encoding)],
        attachment: Attachment,
    ) -> Result<(Rows, Vec<Column>), StoreError> {
        let navigation = &self.model[parent][expand.navigation];
        let target = &self.model[navigation.target];
        let mut builder = self.builder();
        builder.is_page = true;
        let alias = builder.open(ROW, navigation.target);
        let mut joined = String::new();
        let names: Vec<String> = match &navigation.storage {
            Storage::Own(_) => key(target)
                .map(|part| column(&alias, &part.column))
                .collect(),
            Storage::Target(theirs) => theirs
                .iter()
                .map(|theirs| column(&alias, &theirs.column))
                .collect(),
            Storage::Join {
                table,
                own,
                target: theirs,
            } => {
                let (join, clause) = builder.join_table(target, &alias, table, theirs);
                joined = clause;
                own.iter().map(|name| column(&join, name)).collect()
            }
        };
        let mut columns = Columns::default();
        let mut child = Vec::new();
        let mut conditions = Vec::new();
        if attachment != Attachment::Parent {
            child = names
                .iter()
                .zip(found_by)
                .map(|(name, (_, encoding))| columns.add(name.clone(), *encoding))
                .collect();
        }
        match attachment {
            Attachment::Parent => {
                for (part, name) in names.iter().enumerate() {
                    conditions.push(format!("{name} = {}", builder.bind(Binding::Parent(part))));
                }
            }
            Attachment::Lateral => {
                for (part, name) in names.iter().enumerate() {
                    conditions.push(format!("{name} = p.k{part}"));
                }
            }
            Attachment::Together => {}
        }
        conditions.extend(builder.type_condition(navigation.target, &alias));
        let wanted = Wanted {
            selection: &expand.selection,
            filter: expand.filter.as_ref(),
            beside: not_given(self.dialect, expand),
            order: &expand.order,
            after: None,
            skip: &expand.skip,
            limit: &expand.limit,
            paged: expand.paged,
            single: false,
        };
        let rows = self.finish(
            builder,
            &wanted,
            conditions,
            columns,
            &joined,
            Some(&Attached {
                attachment,
                parent,
                found_by,
                names,
                back: matches!(navigation.storage, Storage::Target(_))
                    .then_some(navigation.partner),
            }),
        )?;
        Ok((rows, child))
    }

    /// Condition that rows belong to one of the parents. Where conditions look at the parent anyway (rules often do),
    /// it is the parent that is found by its key: then PostgreSQL judges each parent once instead of each row.
    pub(super) fn of_parents(&self, builder: &mut Builder<'_>, attached: &Attached<'_>) -> String {
        let arrays = arrays(builder, attached.found_by);
        let parent = attached.back.and_then(|back| builder.reached(back));
        let keys: Option<Vec<String>> = parent.map(|alias| {
            key(&self.model[attached.parent])
                .map(|part| column(alias, &part.column))
                .collect()
        });
        match keys.as_ref().unwrap_or(&attached.names).as_slice() {
            [one] => format!("{one} = ANY({})", arrays.join("")),
            several => format!(
                "({}) IN (SELECT * FROM unnest({}))",
                several.join(", "),
                arrays.join(", ")
            ),
        }
    }
}

/// Placeholders for what all parents' rows are found by, an array for each part.
pub(super) fn arrays(builder: &mut Builder<'_>, found_by: &[(String, Encoding)]) -> Vec<String> {
    found_by
        .iter()
        .enumerate()
        .map(|(part, (_, encoding))| builder.bind(Binding::Parents(part, *encoding)))
        .collect()
}
