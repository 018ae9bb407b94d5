//! Steps as SQLite statements.
//!
//! `ALTER TABLE` can rename, and add a column that may be null. All else makes the table anew, as
//! <https://www.sqlite.org/lang_altertable.html#otheralter> describes it: foreign keys are off meanwhile
//! and checked at the end.

use stoa_model::physical::{self, SEQUENCE_TABLE};

use crate::Dialect;
use crate::check::{checks, fills};
use crate::difference::{Difference, Origin, TableDifference};
use crate::kind::{Kind, quote, quote_text};
use crate::plan::{Class, Draft, Step};
use crate::steps::{
    drop_rows, drop_table, index_reason, list, loss_of_column, members, new_indexes,
    numbering_order, rename_columns, rename_tables, rename_values,
};
use crate::structure::{Column, DeleteRule, Fill, ForeignKey, Index, Structure, Table};

const DIALECT: Dialect = Dialect::Sqlite;

/// Checks and steps from `old` to `new`.
pub(crate) fn draft(old: &Structure, new: &Structure) -> Draft {
    let difference = Difference::between(old, new);
    let mut draft = Draft::default();
    let steps = &mut draft.steps;
    for table in &difference.kept {
        draft.checks.extend(checks(&difference, table, DIALECT));
    }
    for table in &difference.kept {
        for index in &table.old.indexes {
            if difference
                .index_now(table, index)
                .is_none_or(|now| now.name != index.name)
            {
                steps.push(Step::new(
                    Class::Safe,
                    format!(
                        "the {} of {} on {} is no longer in the model as it was",
                        if index.unique {
                            "unique constraint"
                        } else {
                            "index"
                        },
                        table.old.subject,
                        members(table.old, index)
                    ),
                    vec![format!("DROP INDEX {}", quote(&index.name))],
                ));
            }
        }
    }
    for table in &difference.dropped {
        let mut step = drop_table(table);
        step.statements = vec![format!("DROP TABLE {}", quote(&table.name))];
        step.statements.extend(numbered(table).map(|column| {
            format!(
                "DELETE FROM {} WHERE name = {}",
                quote(SEQUENCE_TABLE),
                sequence(table, column)
            )
        }));
        steps.push(step);
    }
    rename_tables(&difference, steps);
    for table in &difference.kept {
        rename_columns(table, steps);
        rename_sequences(table, steps);
    }
    for table in &difference.created {
        let mut statements = vec![create_table(table, &table.name)];
        statements.extend(table.indexes.iter().map(|index| create_index(table, index)));
        statements.extend(numbered(table).map(|column| start_sequence(table, column)));
        statements.extend(guards(table));
        steps.push(Step::new(
            Class::Safe,
            format!("{} is new in the model", table.subject),
            statements,
        ));
    }
    for table in &difference.kept {
        drop_rows(table, steps);
        rename_values(&difference, table, steps);
        let rebuilt = must_rebuild(&difference, table);
        if rebuilt {
            rebuild(&difference, table, steps);
        } else {
            add_columns(table, steps);
            start_sequences(table, steps);
            if !table.old.append_only && table.new.append_only {
                steps.push(Step::new(
                    Class::Safe,
                    format!("rows of {} are only added now", table.new.subject),
                    guards(table.new),
                ));
            }
        }
        for index in &table.new.indexes {
            let kept = table.old.indexes.iter().any(|former| {
                former.name == index.name
                    && difference
                        .index_now(table, former)
                        .is_some_and(|now| now == index)
            });
            // Making the table anew took its indexes with it.
            if !kept || rebuilt {
                let is_new = new_indexes(&difference, table).contains(&index);
                let reason = if is_new {
                    index_reason(table.new, index)
                } else {
                    format!(
                        "the index of {} on {} is made again",
                        table.new.subject,
                        members(table.new, index)
                    )
                };
                steps.push(
                    Step::new(Class::Locks, reason, vec![create_index(table.new, index)])
                        .on(&table.old.name),
                );
            }
        }
    }
    draft
}

/// Triggers of a table whose rows are only added. (On PostgreSQL the runtime's database user has no right to
/// change them.)
fn guards(table: &Table) -> Vec<String> {
    if !table.append_only {
        return Vec::new();
    }
    ["UPDATE", "DELETE"]
        .iter()
        .map(|event| {
            let name = format!("{}_{}", table.name, event.to_lowercase());
            format!(
                "CREATE TRIGGER {} BEFORE {event} ON {} BEGIN SELECT RAISE(ABORT, 'rows of {} are only added'); END",
                quote(&name),
                quote(&table.name),
                table.name.replace('\'', "''")
            )
        })
        .collect()
}

fn numbered(table: &Table) -> impl Iterator<Item = &Column> {
    table
        .columns
        .iter()
        .filter(|column| column.kind == Kind::AutoNumber)
}

/// Name of a sequence, as a literal.
fn sequence(table: &Table, column: &Column) -> String {
    quote_text(&format!("{}.{}", table.name, column.name))
}

/// Lets numbering go on after the highest number that there is.
fn start_sequence(table: &Table, column: &Column) -> String {
    format!(
        "INSERT INTO {} (name, value) SELECT {}, coalesce(max({}), 0) FROM {} WHERE true ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        quote(SEQUENCE_TABLE),
        sequence(table, column),
        quote(&column.name),
        quote(&table.name)
    )
}

/// Numbering of columns that were there and become numbered, without a change of the table itself.
fn start_sequences(table: &TableDifference<'_>, steps: &mut Vec<Step>) {
    for column in &table.columns {
        if let Origin::Kept(before, _) = &column.origin
            && before.kind != Kind::AutoNumber
            && column.new.kind == Kind::AutoNumber
        {
            steps.push(
                Step::new(
                    Class::Locks,
                    format!(
                        "{} is numbered automatically now in the model",
                        column.new.described()
                    ),
                    vec![start_sequence(table.new, column.new)],
                )
                .on(&table.old.name),
            );
        }
    }
}

/// Sequences follow their columns, and go with them.
fn rename_sequences(table: &TableDifference<'_>, steps: &mut Vec<Step>) {
    let replaced = table
        .columns
        .iter()
        .filter_map(|column| match column.origin {
            Origin::Replaces(before) => Some(before),
            Origin::Kept(before, _) if column.new.kind != Kind::AutoNumber => Some(before),
            _ => None,
        });
    for column in table.dropped.iter().copied().chain(replaced) {
        if column.kind == Kind::AutoNumber {
            steps.push(Step::new(
                Class::Safe,
                format!(
                    "{} is no longer numbered automatically in the model",
                    column.described()
                ),
                vec![format!(
                    "DELETE FROM {} WHERE name = {}",
                    quote(SEQUENCE_TABLE),
                    sequence(table.old, column)
                )],
            ));
        }
    }
    for column in &table.columns {
        let Origin::Kept(before, _) = &column.origin else {
            continue;
        };
        let (former, now) = (sequence(table.old, before), sequence(table.new, column.new));
        if before.kind == Kind::AutoNumber && column.new.kind == Kind::AutoNumber && former != now {
            steps.push(Step::new(
                Class::Safe,
                format!(
                    "the numbering of {} follows the new names",
                    column.new.described()
                ),
                vec![format!(
                    "UPDATE {} SET name = {now} WHERE name = {former}",
                    quote(SEQUENCE_TABLE)
                )],
            ));
        }
    }
}

fn definition(column: &Column) -> String {
    format!(
        "{} {}{}",
        quote(&column.name),
        column.kind.sql(DIALECT),
        if column.nullable { "" } else { " NOT NULL" }
    )
}

fn references(key: &ForeignKey) -> String {
    format!(
        "REFERENCES {} ({}){}",
        quote(&key.table),
        list(&key.target),
        match key.on_delete {
            DeleteRule::NoAction => "",
            DeleteRule::Cascade => " ON DELETE CASCADE",
            DeleteRule::SetNull => " ON DELETE SET NULL",
        }
    )
}

fn create_table(table: &Table, name: &str) -> String {
    let mut lines: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("    {}", definition(column)))
        .collect();
    lines.push(format!("    PRIMARY KEY ({})", list(&table.primary_key)));
    for key in &table.foreign_keys {
        lines.push(format!(
            "    FOREIGN KEY ({}) {}",
            list(&key.columns),
            references(key)
        ));
    }
    format!(
        "CREATE TABLE {} (\n{}\n) STRICT, WITHOUT ROWID",
        quote(name),
        lines.join(",\n")
    )
}

fn create_index(table: &Table, index: &Index) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|column| {
            format!(
                "{}{}",
                quote(&column.name),
                if column.descending { " DESC" } else { "" }
            )
        })
        .collect();
    format!(
        "CREATE {}INDEX {} ON {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote(&index.name),
        quote(&table.name),
        columns.join(", ")
    )
}

/// Whether a change of the table is beyond `ALTER TABLE`.
fn must_rebuild(difference: &Difference<'_>, table: &TableDifference<'_>) -> bool {
    let added = |name: &String| {
        table
            .columns
            .iter()
            .any(|column| column.new.name == *name && matches!(column.origin, Origin::Added))
    };
    !table.dropped.is_empty()
        || !difference.key_is_kept(table)
        || table.columns.iter().any(|column| match &column.origin {
            Origin::Kept(before, _) => {
                before.nullable != column.new.nullable
                    || before.kind.sql(DIALECT) != column.new.kind.sql(DIALECT)
                    || before.kind.converted(&column.new.kind, "c", DIALECT) != "c"
            }
            Origin::Added => !column.new.nullable || column.new.fill == Some(Fill::Number),
            Origin::Replaces(_) => true,
        })
        || table
            .old
            .foreign_keys
            .iter()
            .any(|key| difference.foreign_key_now(table, key).is_none())
        || table.new.foreign_keys.iter().any(|key| {
            let existed = table.old.foreign_keys.iter().any(|former| {
                difference
                    .foreign_key_now(table, former)
                    .is_some_and(|now| now == key)
            });
            !(existed || key.columns.len() == 1 && added(&key.columns[0]))
        })
}

fn add_columns(table: &TableDifference<'_>, steps: &mut Vec<Step>) {
    for column in &table.columns {
        if !matches!(column.origin, Origin::Added) {
            continue;
        }
        let (name, column) = (quote(&table.new.name), column.new);
        let key = table
            .new
            .foreign_keys
            .iter()
            .find(|key| key.columns.len() == 1 && key.columns[0] == column.name)
            .map(|key| format!(" {}", references(key)))
            .unwrap_or_default();
        let mut statements = vec![format!(
            "ALTER TABLE {name} ADD COLUMN {}{key}",
            definition(column)
        )];
        let mut class = Class::Safe;
        if let Some(fill) = &column.fill {
            class = Class::Rewrites;
            statements.push(format!(
                "UPDATE {name} SET {} = {}",
                quote(&column.name),
                value(table.new, column, fill)
            ));
        }
        steps.push(
            Step::new(
                class,
                format!("{} was added in the model", column.described()),
                statements,
            )
            .on(&table.old.name),
        );
    }
}

/// What a row without a value gets.
fn value(table: &Table, column: &Column, fill: &Fill) -> String {
    match fill {
        Fill::Value(text) => column.kind.literal(DIALECT, text),
        Fill::Now => column.kind.now(DIALECT),
        Fill::Uuid => "randomblob(16)".to_owned(),
        Fill::Number => format!(
            "row_number() OVER (ORDER BY {})",
            numbering_order(table, column)
        ),
        Fill::One => "1".to_owned(),
    }
}

/// Makes the table anew with the rows that it has. Its columns have their new names already.
fn rebuild(difference: &Difference<'_>, table: &TableDifference<'_>, steps: &mut Vec<Step>) {
    let mut sources = Vec::new();
    let mut reasons = Vec::new();
    let mut sequences = Vec::new();
    for column in &table.columns {
        let now = column.new;
        let quoted = quote(&now.name);
        match &column.origin {
            Origin::Kept(before, _) => {
                let mut source = before.kind.converted(&now.kind, &quoted, DIALECT);
                if let Some(fill) = fills(now, before) {
                    source = match fill {
                        Fill::Number => value(table.new, now, &fill),
                        _ => format!("coalesce({source}, {})", value(table.new, now, &fill)),
                    };
                }
                if source != quoted || before.kind.sql(DIALECT) != now.kind.sql(DIALECT) {
                    reasons.push(format!(
                        "{} is now {} in the model",
                        now.described(),
                        now.kind
                    ));
                }
                if before.nullable && !now.nullable {
                    reasons.push(format!("{} is required now in the model", now.described()));
                } else if now.nullable && !before.nullable {
                    reasons.push(format!(
                        "{} is no longer required in the model",
                        now.described()
                    ));
                }
                if now.kind == Kind::AutoNumber && before.kind != Kind::AutoNumber {
                    sequences.push(start_sequence(table.new, now));
                }
                sources.push(source);
            }
            Origin::Added | Origin::Replaces(_) => {
                reasons.push(format!("{} was added in the model", now.described()));
                if now.kind == Kind::AutoNumber {
                    sequences.push(start_sequence(table.new, now));
                }
                sources.push(
                    now.fill
                        .as_ref()
                        .map_or_else(|| "NULL".to_owned(), |fill| value(table.new, now, fill)),
                );
            }
        }
    }
    let replaced = table
        .columns
        .iter()
        .filter_map(|column| match column.origin {
            Origin::Replaces(before) => Some((before, Some(column.new))),
            _ => None,
        });
    for (column, now) in table
        .dropped
        .iter()
        .map(|column| (*column, None))
        .chain(replaced)
    {
        // The statements that do it follow, in the step that makes the table anew.
        steps.push(loss_of_column(
            table,
            column,
            now,
            Vec::new(),
            Class::Rewrites,
        ));
    }
    if !difference.key_is_kept(table) {
        reasons.push(format!(
            "the key of {} changed in the model",
            table.new.subject
        ));
    }
    if reasons.is_empty() {
        reasons.push(format!(
            "the references or columns of {} changed in the model",
            table.new.subject
        ));
    }
    let temporary = temporary_name(&table.new.name);
    let columns: Vec<&str> = table
        .new
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let name = quote(&table.new.name);
    let mut statements = vec![
        create_table(table.new, &temporary),
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {name}",
            quote(&temporary),
            list(&columns),
            sources.join(", "),
        ),
        format!("DROP TABLE {name}"),
        format!("ALTER TABLE {} RENAME TO {name}", quote(&temporary)),
    ];
    statements.append(&mut sequences);
    // They went with the table.
    statements.extend(guards(table.new));
    steps.push(Step::new(Class::Rewrites, reasons.join("; "), statements).on(&table.old.name));
}

fn temporary_name(table: &str) -> String {
    let mut end = table.len().min(physical::MAXIMUM_IDENTIFIER - 10);
    while !table.is_char_boundary(end) {
        end -= 1;
    }
    format!("_stoa_new_{}", &table[..end])
}
