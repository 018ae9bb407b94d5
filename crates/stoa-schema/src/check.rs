//! Rules that existing rows must fulfil before a change, and the report of those that do not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Dialect;
use crate::difference::{Difference, Origin, TableDifference};
use crate::kind::{Conversion, Kind, quote};
use crate::structure::{Column, Fill, Index, Table};

/// Rows named in a report.
pub const REPORTED_ROWS: usize = 20;

/// A rule for the rows of a table as it is before the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) rule: String,
    pub(crate) hint: &'static str,
    pub(crate) table: String,
    pub(crate) key: Vec<(String, Kind)>,
    pub(crate) values: Vec<(String, Kind)>,
    /// Rows that break the rule.
    pub(crate) condition: String,
}

/// Rows that break a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The rule, from the model.
    pub rule: String,
    /// What to do about it.
    pub hint: String,
    /// Table with the rows.
    pub table: String,
    /// How many rows break it.
    pub count: u64,
    /// Names of the key columns, then of the columns with offending values.
    pub columns: Vec<String>,
    /// How many of `columns` are the key.
    pub key_columns: usize,
    /// Values of the first rows ([`REPORTED_ROWS`]); none is null.
    pub rows: Vec<Vec<Option<String>>>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.count == 1 { "row" } else { "rows" };
        writeln!(
            formatter,
            "{}: {} {rows} of table {} break this.",
            self.rule, self.count, self.table
        )?;
        for row in &self.rows {
            formatter.write_str("    ")?;
            for (position, (name, value)) in self.columns.iter().zip(row).enumerate() {
                let separator = match position {
                    0 => "",
                    _ if position == self.key_columns => ": ",
                    _ => ", ",
                };
                match value {
                    Some(value) => write!(formatter, "{separator}{name} = {}", shortened(value))?,
                    None => write!(formatter, "{separator}{name} is null")?,
                }
            }
            writeln!(formatter)?;
        }
        let more = self.count.saturating_sub(self.rows.len() as u64);
        if more > 0 {
            writeln!(formatter, "    … and {more} more")?;
        }
        writeln!(formatter, "    {}", self.hint)
    }
}

fn shortened(value: &str) -> String {
    const LONGEST: usize = 60;
    let mut characters = value.chars();
    let start: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        format!("{start:?}…")
    } else {
        format!("{start:?}")
    }
}

impl Check {
    fn new(
        table: &Table,
        rule: String,
        hint: &'static str,
        values: &[&Column],
        condition: String,
    ) -> Self {
        let described = |column: &Column| (column.name.clone(), column.kind.clone());
        Self {
            rule,
            hint,
            table: table.name.clone(),
            key: table
                .primary_key
                .iter()
                .filter_map(|name| table.column(name).map(described))
                .collect(),
            values: values
                .iter()
                .filter(|column| !table.primary_key.contains(&column.name))
                .map(|column| described(column))
                .collect(),
            condition,
        }
    }

    /// Count and the first rows.
    pub(crate) fn query(&self, dialect: Dialect) -> String {
        let columns: Vec<String> = self
            .key
            .iter()
            .chain(&self.values)
            .map(|(name, _)| match dialect {
                Dialect::Postgres => format!("{}::text", quote(name)),
                Dialect::Sqlite => quote(name),
            })
            .collect();
        let order: Vec<String> = (2..2 + self.key.len())
            .map(|position| position.to_string())
            .collect();
        format!(
            "SELECT count(*) OVER (), {} FROM {} WHERE {} ORDER BY {} LIMIT {REPORTED_ROWS}",
            columns.join(", "),
            quote(&self.table),
            self.condition,
            order.join(", "),
        )
    }

    /// Makes the report of what [`Self::query`] gave; none if no row breaks the rule.
    pub(crate) fn report(
        &self,
        dialect: Dialect,
        rows: Vec<Vec<Option<String>>>,
    ) -> Option<Report> {
        let count = rows.first()?.first()?.as_deref()?.parse().ok()?;
        let columns: Vec<&(String, Kind)> = self.key.iter().chain(&self.values).collect();
        let rows = rows
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .skip(1)
                    .zip(&columns)
                    .map(|(value, (_, kind))| value.map(|text| kind.shown(&text, dialect)))
                    .collect()
            })
            .collect();
        Some(Report {
            rule: self.rule.clone(),
            hint: self.hint.to_owned(),
            table: self.table.clone(),
            count,
            columns: columns.iter().map(|(name, _)| name.clone()).collect(),
            key_columns: self.key.len(),
            rows,
        })
    }
}

/// All that the rows of `table` must fulfil.
pub(crate) fn checks(
    difference: &Difference<'_>,
    table: &TableDifference<'_>,
    dialect: Dialect,
) -> Vec<Check> {
    let mut checks = Vec::new();
    for column in &table.columns {
        match &column.origin {
            Origin::Kept(before, conversion) => {
                check_values(
                    difference,
                    table,
                    column.new,
                    before,
                    conversion,
                    dialect,
                    &mut checks,
                );
            }
            Origin::Added | Origin::Replaces(_)
                if !column.new.nullable && column.new.fill.is_none() =>
            {
                checks.push(Check::new(
                    table.old,
                    format!("{} is required, is new, and has no default", column.new.described()),
                    "Give it a default in the model, or make it optional, fill it in, and require it then.",
                    &[],
                    "1 = 1".to_owned(),
                ));
            }
            Origin::Added | Origin::Replaces(_) => {}
        }
    }
    for index in &table.new.indexes {
        check_unique(table, index, &mut checks);
    }
    if !difference.key_is_kept(table)
        && let Some(columns) = Difference::columns_before(table, &table.new.primary_key)
    {
        checks.push(duplicates(table, &columns, "the key"));
    }
    check_references(difference, table, &mut checks);
    checks
}

fn check_values(
    difference: &Difference<'_>,
    table: &TableDifference<'_>,
    now: &Column,
    before: &Column,
    conversion: &Conversion,
    dialect: Dialect,
    checks: &mut Vec<Check>,
) {
    const CORRECT: &str = "Correct these rows first.";
    let name = quote(&before.name);
    let mut add = |rule: String, condition: String| {
        checks.push(Check::new(table.old, rule, CORRECT, &[before], condition));
    };
    if before.nullable && !now.nullable && now.fill.is_none() {
        add(
            format!("{} is required", now.described()),
            format!("{name} IS NULL"),
        );
    }
    let legal = difference.legal_members(&before.kind, &now.kind);
    if *conversion == Conversion::Narrow || legal.is_some() {
        // An enumeration that takes every present member needs no look at the rows.
        let is_enumeration = matches!(now.kind, Kind::Enumeration { .. });
        if let Some(condition) = before
            .kind
            .misfit(
                &now.kind,
                &name,
                legal.as_deref().unwrap_or_default(),
                dialect,
            )
            .filter(|_| !is_enumeration || legal.is_some())
        {
            add(format!("{} is {}", now.described(), now.kind), condition);
        }
    }
    // PostgreSQL compares numbers of all kinds, and a cast would fail on values that do not fit.
    let value = match (dialect, &now.kind) {
        (Dialect::Postgres, kind) if *kind != Kind::DateTime => name.clone(),
        _ => before.kind.converted(&now.kind, &name, dialect),
    };
    if let Some(minimum) = &now.minimum
        && before
            .minimum
            .as_ref()
            .is_none_or(|former| is_less(former, minimum))
    {
        let literal = now.kind.literal(dialect, minimum);
        add(
            format!(
                "{} is at least {}",
                now.described(),
                now.kind.shown(&stored(&now.kind, minimum), Dialect::Sqlite)
            ),
            format!("{value} < {literal}"),
        );
    }
    if let Some(maximum) = &now.maximum
        && before
            .maximum
            .as_ref()
            .is_none_or(|former| is_less(maximum, former))
    {
        let literal = now.kind.literal(dialect, maximum);
        add(
            format!(
                "{} is at most {}",
                now.described(),
                now.kind.shown(&stored(&now.kind, maximum), Dialect::Sqlite)
            ),
            format!("{value} > {literal}"),
        );
    }
}

/// A limit in the form that [`Kind::shown`] takes on SQLite.
fn stored(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Decimal { .. } => kind.literal(Dialect::Sqlite, text),
        _ => text.to_owned(),
    }
}

/// Numbers by value, other texts (there are no other limits) as texts.
fn is_less(left: &str, right: &str) -> bool {
    match (
        left.parse::<rust_decimal::Decimal>(),
        right.parse::<rust_decimal::Decimal>(),
    ) {
        (Ok(left), Ok(right)) => left < right,
        _ => left < right,
    }
}

fn check_unique(table: &TableDifference<'_>, index: &Index, checks: &mut Vec<Check>) {
    if !index.unique {
        return;
    }
    let names: Vec<String> = index
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let Some(columns) = Difference::columns_before(table, &names) else {
        // Values of a new column: all null, or made by us.
        return;
    };
    let was_unique = table.old.indexes.iter().any(|former| {
        former.unique
            && former.columns.len() == columns.len()
            && former
                .columns
                .iter()
                .all(|column| columns.iter().any(|other| other.name == column.name))
    });
    let is_key = table.old.primary_key.len() == columns.len()
        && columns
            .iter()
            .all(|column| table.old.primary_key.contains(&column.name));
    if !was_unique && !is_key {
        let members: Vec<&str> = columns
            .iter()
            .map(|column| column.member.as_str())
            .collect();
        checks.push(duplicates(table, &columns, &members.join(" with ")));
    }
}

fn duplicates(table: &TableDifference<'_>, columns: &[&Column], what: &str) -> Check {
    let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    let list = names.join(", ");
    let present: Vec<String> = names
        .iter()
        .map(|name| format!("{name} IS NOT NULL"))
        .collect();
    let condition = format!(
        "({list}) IN (SELECT {list} FROM {} WHERE {} GROUP BY {list} HAVING count(*) > 1)",
        quote(&table.old.name),
        present.join(" AND "),
    );
    Check::new(
        table.old,
        format!("{what} of {} is unique", table.new.subject),
        "Make the values differ first.",
        columns,
        condition,
    )
}

fn check_references(
    difference: &Difference<'_>,
    table: &TableDifference<'_>,
    checks: &mut Vec<Check>,
) {
    for key in &table.new.foreign_keys {
        let existed = table.old.foreign_keys.iter().any(|former| {
            // Another `ON DELETE` leaves the reference itself as it was.
            let mut alike = former.clone();
            alike.on_delete = key.on_delete;
            difference
                .foreign_key_now(table, &alike)
                .is_some_and(|now| now.name == key.name)
        });
        if existed {
            continue;
        }
        let Some(columns) = Difference::columns_before(table, &key.columns) else {
            continue;
        };
        let target = difference
            .kept
            .iter()
            .find(|kept| kept.new.name == key.table);
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        let present: Vec<String> = names
            .iter()
            .map(|name| format!("{name} IS NOT NULL"))
            .collect();
        let present = present.join(" AND ");
        let condition = match target
            .and_then(|target| Some((target, Difference::columns_before(target, &key.target)?)))
        {
            Some((target, referred)) => {
                let same: Vec<String> = referred
                    .iter()
                    .zip(&names)
                    .map(|(to, from)| {
                        format!(
                            "target_.{} = {}.{from}",
                            quote(&to.name),
                            quote(&table.old.name)
                        )
                    })
                    .collect();
                format!(
                    "{present} AND NOT EXISTS (SELECT 1 FROM {} AS target_ WHERE {})",
                    quote(&target.old.name),
                    same.join(" AND ")
                )
            }
            // The table is new and has no rows yet.
            None => present,
        };
        checks.push(Check::new(
            table.old,
            format!(
                "{} refers to a row of {}",
                columns[0].described(),
                key.table
            ),
            "Correct or clear these references first.",
            &columns,
            condition,
        ));
    }
}

/// Whether rows that have no value get one.
pub(crate) fn fills(now: &Column, before: &Column) -> Option<Fill> {
    (before.nullable && !now.nullable)
        .then(|| now.fill.clone())
        .flatten()
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text {
                length: Some(length),
            } => write!(formatter, "a text of at most {length} characters"),
            Self::Text { length: None } => formatter.write_str("a text"),
            Self::Binary {
                length: Some(length),
            } => write!(formatter, "binary data of at most {length} bytes"),
            Self::Decimal { precision, scale } => {
                write!(
                    formatter,
                    "a decimal of {precision} digits, {scale} of them after the point"
                )
            }
            Self::Enumeration { name } => write!(formatter, "a member of {name}"),
            Self::Integer => formatter.write_str("a 32-bit integer"),
            Self::Long => formatter.write_str("a 64-bit integer"),
            Self::AutoNumber => formatter.write_str("numbered automatically"),
            other => write!(formatter, "of type {other:?}"),
        }
    }
}
