//! Steps whose statements are the same on both databases.

use stoa_model::physical;

use crate::difference::{Difference, Origin, TableDifference, ordered_renames};
use crate::kind::{quote, quote_text};
use crate::plan::{Class, Step};
use crate::structure::{Column, Index, Table};

pub(crate) fn drop_table(table: &Table) -> Step {
    let name = quote(&table.name);
    Step::new(
        Class::LosesData,
        format!(
            "{} is no longer in the model: its table {} is dropped",
            table.subject, table.name
        ),
        vec![format!("DROP TABLE {name}")],
    )
    .losing(
        format!("SELECT count(*) FROM {name}"),
        ("row", "rows"),
        Class::Safe,
    )
}

pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quote(name.as_ref())).collect();
    quoted.join(", ")
}

pub(crate) fn members(table: &Table, index: &Index) -> String {
    let members: Vec<&str> = index
        .columns
        .iter()
        .map(|column| {
            table
                .column(&column.name)
                .map_or(column.name.as_str(), |column| column.member.as_str())
        })
        .collect();
    members.join(", ")
}

pub(crate) fn rename_tables(difference: &Difference<'_>, steps: &mut Vec<Step>) {
    let renames = difference
        .kept
        .iter()
        .filter(|table| table.old.name != table.new.name)
        .map(|table| (table.old.name.as_str(), table.new.name.as_str()))
        .collect();
    for (from, to) in ordered_renames(renames) {
        steps.push(Step::new(
            Class::Safe,
            format!("table {from} is now called {to} in the model"),
            vec![format!(
                "ALTER TABLE {} RENAME TO {}",
                quote(&from),
                quote(&to)
            )],
        ));
    }
}

pub(crate) fn rename_columns(table: &TableDifference<'_>, steps: &mut Vec<Step>) {
    let renames = table
        .columns
        .iter()
        .filter_map(|column| match column.origin {
            Origin::Kept(before, _) if before.name != column.new.name => {
                Some((before.name.as_str(), column.new.name.as_str()))
            }
            _ => None,
        })
        .collect();
    for (from, to) in ordered_renames(renames) {
        steps.push(Step::new(
            Class::Safe,
            format!(
                "column {from} of {} is now called {to} in the model",
                table.new.subject
            ),
            vec![format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                quote(&table.new.name),
                quote(&from),
                quote(&to)
            )],
        ));
    }
}

/// Rows of entities that are no longer in the table.
pub(crate) fn drop_rows(table: &TableDifference<'_>, steps: &mut Vec<Step>) {
    let Some(discriminator) = &table.old.discriminator else {
        return;
    };
    let name = |table: &TableDifference<'_>| quote(&table.new.name);
    for removed in table.removed_types() {
        let condition = format!("{} = {}", quote(discriminator), quote_text(removed));
        steps.push(
            Step::new(
                Class::LosesData,
                format!("{removed} is no longer in the model: its rows are deleted"),
                vec![format!("DELETE FROM {} WHERE {condition}", name(table))],
            )
            .losing(
                format!(
                    "SELECT count(*) FROM {} WHERE {condition}",
                    quote(&table.old.name)
                ),
                ("row", "rows"),
                Class::Safe,
            ),
        );
    }
}

pub(crate) fn loss_of_column(
    table: &TableDifference<'_>,
    column: &Column,
    now: Option<&Column>,
    statements: Vec<String>,
    otherwise: Class,
) -> Step {
    let reason = match now {
        None => format!("{} is no longer in the model", column.described()),
        Some(now) => format!(
            "{} is now {}: its values cannot be kept",
            column.described(),
            now.kind
        ),
    };
    // The discriminator of a hierarchy that is none any more says nothing about the rows that stay.
    if column.member.is_empty() {
        return Step::new(otherwise, reason, statements).on(&table.old.name);
    }
    Step::new(Class::LosesData, reason, statements).losing(
        format!(
            "SELECT count({}) FROM {}",
            quote(&column.name),
            quote(&table.old.name)
        ),
        ("value", "values"),
        otherwise,
    )
}

/// In the order in which rows were made, as far as that is known.
pub(crate) fn numbering_order(table: &Table, column: &Column) -> String {
    let mut order: Vec<String> = Vec::new();
    if table.column(physical::CREATED_AT_COLUMN).is_some() {
        order.push(quote(physical::CREATED_AT_COLUMN));
    }
    order.extend(
        table
            .primary_key
            .iter()
            .filter(|name| **name != column.name)
            .map(|name| quote(name)),
    );
    if order.is_empty() {
        "1".to_owned()
    } else {
        order.join(", ")
    }
}

fn enumeration_updates(
    difference: &Difference<'_>,
    table: &TableDifference<'_>,
    before: &Column,
    now: &Column,
) -> Vec<String> {
    let column = quote(&now.name);
    let renamed = difference.renamed_members(&before.kind, &now.kind);
    if renamed.is_empty() {
        return Vec::new();
    }
    let cases: Vec<String> = renamed
        .iter()
        .map(|(from, to)| format!("WHEN {} THEN {}", quote_text(from), quote_text(to)))
        .collect();
    let former: Vec<String> = renamed.iter().map(|(from, _)| quote_text(from)).collect();
    vec![format!(
        "UPDATE {} SET {column} = CASE {column} {} END WHERE {column} IN ({})",
        quote(&table.new.name),
        cases.join(" "),
        former.join(", ")
    )]
}

/// Names in rows follow the model: members of enumerations, entities of a hierarchy.
pub(crate) fn rename_values(
    difference: &Difference<'_>,
    table: &TableDifference<'_>,
    steps: &mut Vec<Step>,
) {
    for column in &table.columns {
        if let Origin::Kept(before, _) = &column.origin {
            for statement in enumeration_updates(difference, table, before, column.new) {
                steps.push(
                    Step::new(
                        Class::Rewrites,
                        format!(
                            "members of {} have new names in the model",
                            column.new.described()
                        ),
                        vec![statement],
                    )
                    .on(&table.old.name),
                );
            }
        }
    }
    let (Some(_), Some(discriminator)) = (&table.old.discriminator, &table.new.discriminator)
    else {
        return;
    };
    for (from, to) in table.renamed_types() {
        let column = quote(discriminator);
        steps.push(
            Step::new(
                Class::Rewrites,
                format!("{from} is now called {to} in the model"),
                vec![format!(
                    "UPDATE {} SET {column} = {} WHERE {column} = {}",
                    quote(&table.new.name),
                    quote_text(to),
                    quote_text(from)
                )],
            )
            .on(&table.old.name),
        );
    }
}

pub(crate) fn index_reason(table: &Table, index: &Index) -> String {
    format!(
        "{} of {} {} in the model",
        members(table, index),
        table.subject,
        if index.unique {
            "is unique"
        } else {
            "is indexed"
        }
    )
}

/// Indexes that no former one has become.
pub(crate) fn new_indexes<'a>(
    difference: &Difference<'a>,
    table: &TableDifference<'a>,
) -> Vec<&'a Index> {
    table
        .new
        .indexes
        .iter()
        .filter(|index| {
            !table.old.indexes.iter().any(|former| {
                difference
                    .index_now(table, former)
                    .is_some_and(|now| now == *index)
            })
        })
        .collect()
}
