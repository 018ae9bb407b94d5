//! What can stand in the way of a change of the structure.

use crate::check::Report;

/// Why a database could not be brought up to date. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database's address cannot be understood or used.
    #[error("{0}")]
    Address(String),
    /// No connection.
    #[error("the database {address} cannot be reached: {reason}")]
    Unreachable {
        /// Without credentials.
        address: String,
        /// From the driver.
        reason: String,
    },
    /// The database user may not do what is necessary.
    #[error("the database user may not do what the change needs: {reason} ({action})")]
    PermissionDenied {
        /// What was tried.
        action: String,
        /// From the database.
        reason: String,
    },
    /// Rows or values would be gone, and nobody allowed that.
    #[error("data would be lost: {}; allow it with --allow-data-loss, or keep the model as it was", losses.join("; "))]
    DataWouldBeLost {
        /// What is lost, each with its amount.
        losses: Vec<String>,
    },
    /// Rows would have to move from one table to another, which nothing does yet; they would be lost.
    #[error(
        "{entity} has rows in the table {from}, and the model keeps them in {to} now (see `extends`): rows are not moved; leave `extends` as it was, or make an entity of another name, and delete the rows of {entity} before it goes"
    )]
    EntityMoves {
        /// The entity.
        entity: String,
        /// Its table.
        from: String,
        /// The table of the model.
        to: String,
    },
    /// Rows do not fulfil what the model demands now.
    #[error("{}", obstacles(reports))]
    RowsBreakRules {
        /// Which rows break which rule.
        reports: Vec<Report>,
    },
    /// Tables of these names are there, and Stoa did not make them.
    #[error(
        "the database has tables that Stoa did not make: {}; use another database, give these entities another `table`, or mark them `external = true`",
        tables.join(", ")
    )]
    TableInTheWay {
        /// Their names.
        tables: Vec<String>,
    },
    /// External tables are not as the model says.
    #[error("external tables are not as the model says: {}", faults.join("; "))]
    External {
        /// Each of them.
        faults: Vec<String>,
    },
    /// The database was made for another application.
    #[error("the database belongs to the application {there}, not to {here}; use another database")]
    OtherApplication {
        /// Name in the ledger.
        there: String,
        /// Name of the application at hand.
        here: String,
    },
    /// The ledger cannot be understood.
    #[error("the ledger of the database (table _stoa_ledger) cannot be read: {reason}")]
    Ledger {
        /// Why.
        reason: String,
    },
    /// Others hold locks that the change needs.
    #[error(
        "{action} had to wait too long for others who use the database; try again when fewer do, or end long transactions"
    )]
    Locked {
        /// What was tried.
        action: String,
    },
    /// The disk of the database is full.
    #[error("the disk of the database is full ({action})")]
    DiskFull {
        /// What was tried.
        action: String,
    },
    /// The database refused a statement.
    #[error("the database refused a statement ({action}): {reason}")]
    Statement {
        /// What was tried.
        action: String,
        /// From the database.
        reason: String,
    },
}

fn obstacles(reports: &[Report]) -> String {
    let mut text = String::from("existing rows do not fulfil what the model demands now");
    for report in reports {
        text.push('\n');
        text.push_str(report.to_string().trim_end());
    }
    text
}
