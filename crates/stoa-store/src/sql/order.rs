//! Order, and continuing after a row.

use stoa_model::query::OrderTerm;
use stoa_model::value::Value;

use super::builder::{Builder, lost};
use super::term::{Term, enumeration_of};
use crate::error::StoreError;

/// A term of an order as SQL.
pub(crate) struct SortTerm {
    /// What is sorted by.
    sort: Term,
    /// What a continuation remembers.
    pub(crate) shown: Term,
    descending: bool,
}

impl Builder<'_> {
    pub(crate) fn sort_terms(&mut self, order: &[OrderTerm]) -> Result<Vec<SortTerm>, StoreError> {
        order
            .iter()
            .map(|term| {
                let shown = self.term(&term.expression)?;
                let sort = match enumeration_of(&term.expression) {
                    Some(enumeration) => self.ordinal(&term.expression, enumeration)?,
                    None => self.by_code_point(shown.clone()),
                };
                Ok(SortTerm {
                    sort,
                    shown,
                    descending: term.descending,
                })
            })
            .collect()
    }

    /// ORDER BY, empty for no terms. Null is first ascending and last descending: what SQLite does.
    pub(crate) fn order_by(&self, terms: &[SortTerm]) -> String {
        let texts: Vec<String> = terms
            .iter()
            .map(|term| {
                let nulls = match (self.is_postgres() && term.sort.nullable, term.descending) {
                    (false, _) => "",
                    (true, false) => " NULLS FIRST",
                    (true, true) => " NULLS LAST",
                };
                let direction = if term.descending { " DESC" } else { "" };
                format!("{}{direction}{nulls}", term.sort.sql)
            })
            .collect();
        if texts.is_empty() {
            return String::new();
        }
        format!(" ORDER BY {}", texts.join(", "))
    }

    /// Condition that a row comes after the one with these values.
    pub(crate) fn after(
        &mut self,
        terms: &[SortTerm],
        values: &[Value],
    ) -> Result<String, StoreError> {
        if terms.len() != values.len() || terms.is_empty() {
            return Err(lost());
        }
        let placeholders = terms
            .iter()
            .zip(values)
            .map(|(term, value)| match value {
                Value::Null => Ok(String::new()),
                value => self.bind_value(value, term.sort.encoding),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let same_direction = terms.windows(2).all(|pair| match pair {
            [first, second] => first.descending == second.descending,
            _ => true,
        });
        let plain = terms.iter().all(|term| !term.sort.nullable)
            && values.iter().all(|value| !value.is_null());
        if plain && same_direction {
            let descending = terms.first().is_some_and(|term| term.descending);
            let sign = if descending { "<" } else { ">" };
            let names: Vec<&str> = terms.iter().map(|term| term.sort.sql.as_str()).collect();
            return Ok(match names.as_slice() {
                [one] => format!("{one} {sign} {}", placeholders.join("")),
                several => format!(
                    "({}) {sign} ({})",
                    several.join(", "),
                    placeholders.join(", ")
                ),
            });
        }
        let mut condition: Option<String> = None;
        for ((term, value), placeholder) in terms.iter().zip(values).zip(&placeholders).rev() {
            let name = &term.sort.sql;
            let rest = condition.take();
            let (beyond, same) = match (value.is_null(), term.descending) {
                // Everything that is not null comes after null ascending, nothing does descending.
                (true, false) => (
                    Some(format!("{name} IS NOT NULL")),
                    format!("{name} IS NULL"),
                ),
                (true, true) => (None, format!("{name} IS NULL")),
                (false, false) => (
                    Some(format!("{name} > {placeholder}")),
                    format!("{name} = {placeholder}"),
                ),
                (false, true) if term.sort.nullable => (
                    Some(format!("({name} < {placeholder} OR {name} IS NULL)")),
                    format!("{name} = {placeholder}"),
                ),
                (false, true) => (
                    Some(format!("{name} < {placeholder}")),
                    format!("{name} = {placeholder}"),
                ),
            };
            let tied = rest.map(|rest| format!("({same} AND {rest})"));
            condition = Some(match (beyond, tied) {
                (Some(beyond), Some(tied)) => format!("({beyond} OR {tied})"),
                (Some(beyond), None) => beyond,
                (None, Some(tied)) => tied,
                (None, None) => super::condition::truth(false),
            });
        }
        let condition = condition.ok_or_else(lost)?;
        // Says again what the first term allows, in a form that finds where to begin in an index.
        let start = match (terms, values) {
            ([first, _, ..], [value, ..])
                if !(value.is_null() || first.sort.nullable && first.descending) =>
            {
                let sign = if first.descending { "<=" } else { ">=" };
                placeholders
                    .first()
                    .map(|placeholder| format!("{} {sign} {placeholder} AND ", first.sort.sql))
            }
            _ => None,
        };
        Ok(format!("{}{condition}", start.unwrap_or_default()))
    }
}
