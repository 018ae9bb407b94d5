//! What would be done to a database, for people and for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Check;

/// What a step does to those who use the database meanwhile, and to what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Quick, whatever the number of rows.
    Safe,
    /// Reads a table's rows while writers of that table wait.
    Locks,
    /// Writes every row of a table anew while its users wait.
    Rewrites,
    /// Values or rows are gone afterwards.
    LosesData,
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Safe => "safe",
            Self::Locks => "locks",
            Self::Rewrites => "rewrites",
            Self::LosesData => "loses data",
        })
    }
}

/// A change of the database structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Why: what changed in the model.
    pub reason: String,
    /// What it means for users and data.
    pub class: Class,
    /// SQL, in order.
    pub statements: Vec<String>,
    /// What would be lost: `412 rows`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss: Option<String>,
    /// Table that exists already and that the step works on, by its present name: the step is safe if that
    /// table is empty.
    #[serde(skip)]
    pub(crate) table: Option<String>,
    /// Query for the number of rows or values that are lost.
    #[serde(skip)]
    pub(crate) loss_query: Option<Loss>,
}

/// How to find out what is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Counts.
    pub(crate) query: String,
    /// What is counted, for one and for several.
    pub(crate) unit: (&'static str, &'static str),
    /// The class if nothing is lost.
    pub(crate) otherwise: Class,
}

impl Step {
    pub(crate) fn new(class: Class, reason: impl Into<String>, statements: Vec<String>) -> Self {
        Self {
            reason: reason.into(),
            class,
            statements,
            loss: None,
            table: None,
            loss_query: None,
        }
    }

    pub(crate) fn on(mut self, table: &str) -> Self {
        self.table = Some(table.to_owned());
        self
    }

    pub(crate) fn losing(
        mut self,
        query: String,
        unit: (&'static str, &'static str),
        otherwise: Class,
    ) -> Self {
        self.loss_query = Some(Loss {
            query,
            unit,
            otherwise,
        });
        self
    }
}

/// Checks and steps that lead from one structure to another.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// To be done before anything is changed, on the old structure.
    pub(crate) checks: Vec<Check>,
    /// In order.
    pub(crate) steps: Vec<Step>,
}

/// What would be done to a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the structure that is there; none for a database that Stoa does not know.
    pub from: Option<String>,
    /// Name of the structure that the model needs.
    pub to: String,
    /// In order; empty when nothing is to do.
    pub steps: Vec<Step>,
    /// Rows that must be corrected first.
    pub obstacles: Vec<crate::check::Report>,
}

impl Plan {
    /// The gravest class of all steps.
    #[must_use]
    pub fn class(&self) -> Class {
        self.steps
            .iter()
            .map(|step| step.class)
            .max()
            .unwrap_or(Class::Safe)
    }

    /// Whether the database is as the model needs it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is lost, a line for each step.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        self.steps
            .iter()
            .filter(|step| step.class == Class::LosesData)
            .map(|step| match &step.loss {
                Some(loss) => format!("{} ({loss})", step.reason),
                None => step.reason.clone(),
            })
            .collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return match self.obstacles.as_slice() {
                [] => writeln!(
                    formatter,
                    "Nothing to do: the database is as the model needs it."
                ),
                obstacles => {
                    writeln!(
                        formatter,
                        "The tables can stay as they are, but rows in them must be corrected first."
                    )?;
                    obstacles
                        .iter()
                        .try_for_each(|report| write!(formatter, "\n{report}"))
                }
            };
        }
        for (position, step) in self.steps.iter().enumerate() {
            write!(
                formatter,
                "{:>3}. {} [{}",
                position + 1,
                step.reason,
                step.class
            )?;
            if let Some(loss) = &step.loss {
                write!(formatter, ": {loss}")?;
            }
            writeln!(formatter, "]")?;
            for statement in &step.statements {
                for line in statement.lines() {
                    writeln!(formatter, "     {line}")?;
                }
            }
        }
        for report in &self.obstacles {
            write!(formatter, "\n{report}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Report;

    #[test]
    fn rows_in_the_way_are_shown_even_if_no_table_changes() {
        let report = Report {
            rule: "Title of Task is a text of at most 10 characters".to_owned(),
            hint: "Correct these rows first.".to_owned(),
            table: "task".to_owned(),
            count: 1,
            columns: Vec::new(),
            key_columns: 0,
            rows: Vec::new(),
        };
        let plan = Plan {
            from: Some("a".to_owned()),
            to: "b".to_owned(),
            steps: Vec::new(),
            obstacles: vec![report],
        };
        assert!(plan.to_string().contains("at most 10 characters"), "{plan}");
    }
}
