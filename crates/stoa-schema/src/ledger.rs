//! The ledger: which structure the database has, and how it came to it.

use stoa_model::physical::{DATA_LOADED_COLUMN, LEDGER_TABLE, SEQUENCE_TABLE};

use crate::error::SchemaError;
use crate::kind::{quote, quote_text};
use crate::plan::Step;
use crate::session::Session;
use crate::structure::{FORMAT, Structure};
use crate::{Dialect, kind::Kind};

/// The newest entry, without the structure.
pub(crate) struct Head {
    pub(crate) application: String,
    pub(crate) digest: String,
}

/// The newest entry; none if Stoa has never been here.
pub(crate) async fn head(session: &Session) -> Result<Option<Head>, SchemaError> {
    if !session.has_ledger().await? {
        return Ok(None);
    }
    let query = format!("SELECT application, digest FROM {LEDGER_TABLE} ORDER BY id DESC LIMIT 1");
    let mut rows = session.rows(&query, "reading the ledger").await?;
    let Some(row) = rows.pop() else {
        return Ok(None);
    };
    let mut values = row.into_iter().flatten();
    match (values.next(), values.next()) {
        (Some(application), Some(digest)) => Ok(Some(Head {
            application,
            digest,
        })),
        _ => Err(SchemaError::Ledger {
            reason: "its newest entry has no digest".to_owned(),
        }),
    }
}

/// The structure of the newest entry.
pub(crate) async fn structure(session: &Session) -> Result<Structure, SchemaError> {
    let query = format!("SELECT structure FROM {LEDGER_TABLE} ORDER BY id DESC LIMIT 1");
    let rows = session.rows(&query, "reading the ledger").await?;
    let text = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next().flatten())
        .unwrap_or_default();
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| SchemaError::Ledger {
            reason: error.to_string(),
        })?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format.is_some_and(|format| format > u64::from(FORMAT)) {
        return Err(SchemaError::Ledger {
            reason: "a newer Stoa has written it; use that one".to_owned(),
        });
    }
    serde_json::from_value(value).map_err(|error| SchemaError::Ledger {
        reason: error.to_string(),
    })
}

/// Statements that make the ledger where there is none.
pub(crate) fn creation(dialect: Dialect) -> Vec<String> {
    match dialect {
        Dialect::Postgres => vec![format!(
            "CREATE TABLE IF NOT EXISTS {LEDGER_TABLE} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now(), stoa text NOT NULL, application text NOT NULL, digest text NOT NULL, structure text NOT NULL, steps text NOT NULL, {DATA_LOADED_COLUMN} integer NOT NULL DEFAULT 0)"
        )],
        Dialect::Sqlite => vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {LEDGER_TABLE} (id INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL, stoa TEXT NOT NULL, application TEXT NOT NULL, digest TEXT NOT NULL, structure TEXT NOT NULL, steps TEXT NOT NULL, {DATA_LOADED_COLUMN} INTEGER NOT NULL DEFAULT 0) STRICT"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
                quote(SEQUENCE_TABLE)
            ),
        ],
    }
}

/// The statement that notes a change.
pub(crate) fn entry(
    dialect: Dialect,
    application: &str,
    structure: &Structure,
    steps: &[Step],
) -> Result<String, SchemaError> {
    let steps = serde_json::to_string(steps).map_err(|error| SchemaError::Ledger {
        reason: error.to_string(),
    })?;
    Ok(format!(
        "INSERT INTO {LEDGER_TABLE} (applied_at, stoa, application, digest, structure, steps) VALUES ({}, {}, {}, {}, {}, {})",
        Kind::DateTime.now(dialect),
        quote_text(env!("CARGO_PKG_VERSION")),
        quote_text(application),
        quote_text(&structure.digest()),
        quote_text(&structure.to_json()),
        quote_text(&steps),
    ))
}
