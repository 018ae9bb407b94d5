//! Whether tables that belong to others are as the model says.

use crate::Dialect;
use crate::error::SchemaError;
use crate::kind::Kind;
use crate::session::Session;
use crate::structure::{Structure, Table};

/// Looks at every external table; all faults in one go.
pub(crate) async fn verify(session: &Session, structure: &Structure) -> Result<(), SchemaError> {
    let mut faults = Vec::new();
    for table in structure.tables.iter().filter(|table| table.external) {
        let columns = session.columns(&table.name).await?;
        faults.extend(faults_of(table, &columns, session.dialect()));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SchemaError::External { faults })
    }
}

fn faults_of(table: &Table, columns: &[(String, String)], dialect: Dialect) -> Vec<String> {
    if columns.is_empty() {
        return vec![format!(
            "there is no table {} (for {})",
            table.name, table.subject
        )];
    }
    let mut faults = Vec::new();
    for column in &table.columns {
        match columns.iter().find(|(name, _)| *name == column.name) {
            None => {
                faults.push(format!(
                    "table {} has no column {} (for {})",
                    table.name,
                    column.name,
                    column.described()
                ));
            }
            Some((_, found)) if !fits(&column.kind, found, dialect) => {
                let hint = match (&column.kind, found.as_str()) {
                    (Kind::Integer, "smallint") => "; set column_type = \"smallint\"",
                    (Kind::Decimal { .. }, "real") => "; set column_type = \"real\"",
                    (Kind::Decimal { .. }, "double precision") => "; set column_type = \"double\"",
                    _ => "",
                };
                faults.push(format!(
                    "column {}.{} is {found}, which cannot hold {} ({}){hint}",
                    table.name,
                    column.name,
                    column.described(),
                    column.kind
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

fn fits(kind: &Kind, found: &str, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Postgres => {
            let legal: &[&str] = match kind {
                Kind::Text { .. } | Kind::File | Kind::Enumeration { .. } => {
                    &["text", "character varying", "character", "name"]
                }
                Kind::SmallInteger => &["smallint"],
                Kind::Integer => &["integer"],
                Kind::Long | Kind::AutoNumber | Kind::Duration => &["bigint"],
                Kind::Decimal { .. } => &["numeric"],
                Kind::Real => &["real"],
                Kind::Double => &["double precision"],
                Kind::Boolean => &["boolean"],
                Kind::DateTime => &["timestamp with time zone"],
                Kind::Date => &["date"],
                Kind::Time => &["time without time zone"],
                Kind::Uuid => &["uuid"],
                Kind::Binary { .. } => &["bytea"],
                Kind::Json => &["json"],
            };
            legal.contains(&found)
        }
        // Affinity as in https://www.sqlite.org/datatype3.html#determination_of_column_affinity
        Dialect::Sqlite => {
            let found = found.to_ascii_uppercase();
            let any = |parts: &[&str]| parts.iter().any(|part| found.contains(part));
            match kind.sql(dialect).as_str() {
                "INTEGER" => any(&["INT"]),
                "TEXT" => any(&["CHAR", "CLOB", "TEXT"]),
                "BLOB" => found.is_empty() || any(&["BLOB"]),
                _ => any(&["REAL", "FLOA", "DOUB"]),
            }
        }
    }
}
