//! SQL over the tables of `SystemInstance` and `SystemRevision`, by the names that the model gives them.

use stoa_model::model::{Attribute, Entity, Model, Purpose};

use super::SECURITY_REVISION;
use crate::sql::{constant, quoted};
use crate::store::Dialect;

/// Channel on which PostgreSQL tells that there is a new revision.
pub(super) const CHANNEL: &str = "stoa_revision";

/// Key of the lease of whoever does what only one should do.
const LEADER: &str = "leader";

#[derive(Debug)]
pub(super) struct Statements {
    /// Makes the row of the revision where there is none.
    pub(super) begin: String,
    /// The revision.
    pub(super) revision: String,
    /// Writes an instance's row.
    /// PostgreSQL: id, name, confirmed, seconds of the lease, process, connections; gives the share of the
    /// process. SQLite: id, name, confirmed, now.
    pub(super) renew: String,
    /// Ids of living instances that have not confirmed. PostgreSQL: revision, ids that do not matter.
    /// SQLite: revision.
    pub(super) unconfirmed: String,
    /// What an instance has confirmed, if it has a row: id.
    pub(super) confirmed: String,
    /// Removes an instance: id.
    pub(super) leave: String,
    /// Removes a silent instance: id, revision (SQLite).
    pub(super) tidy: String,
    /// How many leases are over (PostgreSQL).
    pub(super) number_over: String,
    /// Id and process of instances whose leases are over, so that nobody renews them meanwhile (PostgreSQL).
    pub(super) lock_over: String,
    /// Ends the sessions of processes, unless they live: their ids; gives whether none is left (PostgreSQL).
    pub(super) end_sessions: String,
    /// Removes instances: ids (PostgreSQL).
    pub(super) remove: String,
    /// Holder and number of the leader's term, and whether the holder lives (PostgreSQL).
    pub(super) leader: String,
    /// Begins a term unless a living instance leads: id; gives its number (PostgreSQL).
    pub(super) lead: String,
    /// Ends one's own term: id (PostgreSQL).
    pub(super) resign: String,
    /// Process, share, connections, and whether the lease holds, of every instance (PostgreSQL).
    pub(super) processes: String,
    /// Gives processes their shares, if one's own term lasts: processes, shares, id, term (PostgreSQL).
    pub(super) grant: String,
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
        let (process, share, used) = (
            column(instance, "Process")?,
            column(instance, "Share")?,
            column(instance, "Used")?,
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
        let (more, more_values, returning) = if postgres {
            (
                format!(", {process}, {used}"),
                ", $5, $6",
                format!(" RETURNING {share}"),
            )
        } else {
            (String::new(), "", String::new())
        };
        let mut updates = vec![
            format!("{until} = excluded.{until}"),
            format!("{confirmed} = excluded.{confirmed}"),
        ];
        if postgres {
            updates.push(format!("{used} = excluded.{used}"));
        }
        updates.extend(own.iter().filter_map(|(column, purpose, _)| match purpose {
            Purpose::Version => Some(format!("{column} = {table}.{column} + 1")),
            Purpose::ChangedAt => Some(format!("{column} = excluded.{column}")),
            _ => None,
        }));
        let renew = format!(
            "INSERT INTO {table} ({id}, {name}, {until}, {confirmed}{more}{}) \
             VALUES ({first}, {second}, {end}, {third}{more_values}{}) ON CONFLICT ({id}) DO UPDATE SET {}{returning}",
            names(&own),
            values(&own),
            updates.join(", ")
        );
        let unconfirmed = if postgres {
            format!(
                "SELECT {id} FROM {table} WHERE {confirmed} < $1 AND {until} > clock_timestamp() AND {id} <> ALL ($2)"
            )
        } else {
            format!("SELECT {id} FROM {table} WHERE {confirmed} < ?1")
        };

        let lease = entity("SystemLease")?;
        let lease_table = quoted(&lease.table.name);
        let (lease_name, holder, term) = (
            column(lease, "Name")?,
            column(lease, "Holder")?,
            column(lease, "Term")?,
        );
        let leads = constant(LEADER);
        let lives = format!(
            "EXISTS (SELECT 1 FROM {table} i WHERE i.{id} = l.{holder} AND i.{until} > clock_timestamp())"
        );
        let lease_own = system_columns(lease, "clock_timestamp()");

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
            tidy: format!("DELETE FROM {table} WHERE {id} = ?1 AND {confirmed} < ?2"),
            number_over: format!("SELECT count(*) FROM {table} WHERE {until} <= clock_timestamp()"),
            lock_over: format!(
                "SELECT {id}, {process} FROM {table} WHERE {until} <= clock_timestamp() FOR UPDATE SKIP LOCKED"
            ),
            end_sessions: format!(
                "SELECT coalesce(bool_and(pg_terminate_backend(a.pid, 1000)), true) FROM pg_stat_activity a \
                 WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid() \
                 AND left(a.application_name, 41) IN (SELECT 'stoa/' || p::text FROM unnest($1) p \
                 WHERE NOT EXISTS (SELECT 1 FROM {table} i WHERE i.{process} = p AND i.{until} > clock_timestamp()))"
            ),
            remove: format!("DELETE FROM {table} WHERE {id} = ANY ($1)"),
            leader: format!(
                "SELECT l.{holder}, l.{term}, {lives} FROM {lease_table} l WHERE l.{lease_name} = {leads}"
            ),
            lead: format!(
                "INSERT INTO {lease_table} AS l ({lease_name}, {holder}, {term}{}) VALUES ({leads}, $1, 1{}) \
                 ON CONFLICT ({lease_name}) DO UPDATE SET {holder} = excluded.{holder}, {term} = l.{term} + 1 \
                 WHERE l.{holder} IS NULL OR NOT {lives} RETURNING {term}",
                names(&lease_own),
                values(&lease_own)
            ),
            resign: format!(
                "UPDATE {lease_table} SET {holder} = NULL WHERE {lease_name} = {leads} AND {holder} = $1"
            ),
            processes: format!(
                "SELECT {process}, {share}, {used}, {until} > clock_timestamp() FROM {table} \
                 WHERE {process} IS NOT NULL ORDER BY {id}"
            ),
            grant: format!(
                "UPDATE {table} i SET {share} = s.share FROM unnest($1, $2) AS s(process, share) \
                 WHERE i.{process} = s.process AND EXISTS (SELECT 1 FROM {lease_table} l \
                 WHERE l.{lease_name} = {leads} AND l.{holder} = $3 AND l.{term} = $4)"
            ),
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
