//! SQL over the tables of `SystemInstance` and `SystemRevision`, by the names that the model gives them.

use stoa_model::model::{Attribute, Entity, Model, Purpose};

use super::SECURITY_REVISION;
use crate::sql::{constant, quoted};
use crate::store::Dialect;

/// Channel on which PostgreSQL tells that there is a new revision.
pub(super) const CHANNEL: &str = "stoa_revision";

#[derive(Debug)]
pub(super) struct Statements {
    /// Makes the row of the revision where there is none.
    pub(super) begin: String,
    /// The revision.
    pub(super) revision: String,
    /// Writes an instance's row.
    /// PostgreSQL: id, name, confirmed, seconds of the lease. SQLite: id, name, confirmed, now.
    pub(super) renew: String,
    /// Ids of living instances that have not confirmed. PostgreSQL: revision, ids that do not matter.
    /// SQLite: revision.
    pub(super) unconfirmed: String,
    /// What an instance has confirmed, if it has a row: id.
    pub(super) confirmed: String,
    /// Removes an instance: id.
    pub(super) leave: String,
    /// Removes silent instances. PostgreSQL: seconds since the end of the lease. SQLite: id, revision.
    pub(super) tidy: String,
}

/// End of a lease that has none (SQLite): the end of the year 9999.
const ENDLESS: i64 = 253_402_300_799_000_000;

impl Statements {
    /// None if the model does not have the entities.
    pub(super) fn of(model: &Model, dialect: Dialect) -> Option<Self> {
        let entity = |name| Some(&model[*model.entities_by_name.get(name)?]);
        let column = |entity: &Entity, name: &str| {
            let id = *entity.attributes_by_name.get(name)?;
            Some(quoted(&entity[id].column))
        };
        let instance = entity("SystemInstance")?;
        let (id, name) = (column(instance, "id")?, column(instance, "Name")?);
        let (until, confirmed) = (
            column(instance, "LeaseUntil")?,
            column(instance, "Confirmed")?,
        );
        let table = quoted(&instance.table.name);
        let postgres = dialect == Dialect::Postgres;
        let now = if postgres { "clock_timestamp()" } else { "?4" };
        let (first, second, third, end) = if postgres {
            (
                "$1",
                "$2",
                "$3",
                "clock_timestamp() + make_interval(secs => $4)".to_owned(),
            )
        } else {
            ("?1", "?2", "?3", ENDLESS.to_string())
        };
        let own = system_columns(instance, now);
        let mut updates = vec![
            format!("{until} = excluded.{until}"),
            format!("{confirmed} = excluded.{confirmed}"),
        ];
        updates.extend(own.iter().filter_map(|(column, purpose, _)| match purpose {
            Purpose::Version => Some(format!("{column} = {table}.{column} + 1")),
            Purpose::ChangedAt => Some(format!("{column} = excluded.{column}")),
            _ => None,
        }));
        let renew = format!(
            "INSERT INTO {table} ({id}, {name}, {until}, {confirmed}{}) VALUES ({first}, {second}, {end}, {third}{}) \
             ON CONFLICT ({id}) DO UPDATE SET {}",
            names(&own),
            values(&own),
            updates.join(", ")
        );
        let (unconfirmed, tidy) = if postgres {
            (
                format!(
                    "SELECT {id} FROM {table} WHERE {confirmed} < $1 AND {until} > clock_timestamp() AND {id} <> ALL ($2)"
                ),
                format!(
                    "DELETE FROM {table} WHERE {until} <= clock_timestamp() - make_interval(secs => $1)"
                ),
            )
        } else {
            (
                format!("SELECT {id} FROM {table} WHERE {confirmed} < ?1"),
                format!("DELETE FROM {table} WHERE {id} = ?1 AND {confirmed} < ?2"),
            )
        };

        let revision = entity("SystemRevision")?;
        let revision_table = quoted(&revision.table.name);
        let key = column(revision, "Name")?;
        let version = quoted(&revision[revision.version?].column);
        let security = constant(SECURITY_REVISION);
        let revision_now = if postgres { "clock_timestamp()" } else { "?1" };
        let own = system_columns(revision, revision_now);
        Some(Self {
            begin: format!(
                "INSERT INTO {revision_table} ({key}{}) VALUES ({security}{}) ON CONFLICT ({key}) DO NOTHING",
                names(&own),
                values(&own)
            ),
            revision: format!("SELECT {version} FROM {revision_table} WHERE {key} = {security}"),
            renew,
            unconfirmed,
            confirmed: format!("SELECT {confirmed} FROM {table} WHERE {id} = {first}"),
            leave: format!("DELETE FROM {table} WHERE {id} = {first}"),
            tidy,
        })
    }
}

/// Version and instants: column, what it is for, value in a new row.
fn system_columns<'a>(entity: &Entity, now: &'a str) -> Vec<(String, Purpose, &'a str)> {
    let of = |attribute: &Attribute| {
        let value = match attribute.purpose {
            Purpose::Version => "1",
            Purpose::CreatedAt | Purpose::ChangedAt => now,
            Purpose::Data | Purpose::GeneratedKey | Purpose::AutoNumber => return None,
        };
        Some((quoted(&attribute.column), attribute.purpose, value))
    };
    entity.attributes.iter().filter_map(of).collect()
}

fn names(columns: &[(String, Purpose, &str)]) -> String {
    columns
        .iter()
        .map(|(column, _, _)| format!(", {column}"))
        .collect()
}

fn values(columns: &[(String, Purpose, &str)]) -> String {
    columns
        .iter()
        .map(|(_, _, value)| format!(", {value}"))
        .collect()
}
