//! What the database user who serves requests may do: rows, and nothing else (PostgreSQL).
//!
//! Two roles share a database that `stoa db init` has made. The *owner* owns the tables and changes their
//! structure. The *runtime* reads and writes rows; of the ledger it only reads, and of the audit trail it
//! reads and adds. Which roles are runtimes the database itself remembers: those whom the owner's default
//! privileges let write future tables.

use stoa_model::physical::{AUDIT_TABLE, LEDGER_TABLE};
use stoa_store::{Store, StoreError};

use crate::Dialect;
use crate::error::SchemaError;
use crate::kind::{quote, quote_text};
use crate::ledger;
use crate::session::Session;
use crate::structure::Structure;

/// Privileges on tables of data.
pub(crate) const ROWS: &[&str] = &["DELETE", "INSERT", "SELECT", "UPDATE"];
/// Where rows are only added, as to the audit trail: nobody who serves requests changes the past.
const APPEND: &[&str] = &["INSERT", "SELECT"];
/// On the ledger.
const LOOK: &[&str] = &["SELECT"];
/// On sequences behind auto numbers.
const NUMBERS: &[&str] = &["USAGE"];

/// Tables of Stoa, each with what a runtime may do there.
fn wanted(structure: &Structure) -> Vec<(&str, &'static [&'static str])> {
    let tables = structure.tables.iter().filter(|table| !table.external);
    let mut wanted: Vec<_> = tables
        .map(|table| {
            let allowed = if table.append_only { APPEND } else { ROWS };
            (table.name.as_str(), allowed)
        })
        .collect();
    wanted.push((LEDGER_TABLE, LOOK));
    wanted
}

/// Roles that the present role lets write its future tables.
pub(crate) async fn runtime_roles(session: &Session) -> Result<Vec<String>, SchemaError> {
    if session.dialect() != Dialect::Postgres {
        return Ok(Vec::new());
    }
    let rows = session
        .rows(
            "SELECT DISTINCT pg_get_userbyid(acl.grantee) FROM pg_default_acl AS defaults, LATERAL aclexplode(defaults.defaclacl) AS acl \
             WHERE pg_get_userbyid(defaults.defaclrole) = current_user AND defaults.defaclnamespace = current_schema()::regnamespace \
             AND defaults.defaclobjtype = 'r' AND acl.privilege_type = 'INSERT' AND acl.grantee NOT IN (0, defaults.defaclrole)",
            "looking for the roles that serve requests",
        )
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect())
}

/// Gives every runtime role what it needs on the tables of a structure and takes what is too much; says
/// what was done.
pub(crate) async fn grant_to_runtimes(
    session: &Session,
    structure: &Structure,
) -> Result<Vec<String>, SchemaError> {
    let mut done = Vec::new();
    for role in runtime_roles(session).await? {
        done.extend(grant(session, structure, &role).await?);
    }
    Ok(done)
}

/// The same for one role.
pub(crate) async fn grant(
    session: &Session,
    structure: &Structure,
    role: &str,
) -> Result<Vec<String>, SchemaError> {
    const ACTION: &str = "granting rights on tables";
    let wanted = wanted(structure);
    let names: Vec<String> = wanted.iter().map(|(name, _)| quote_text(name)).collect();
    let names = names.join(", ");
    let oid = format!(
        "(SELECT oid FROM pg_roles WHERE rolname = {})",
        quote_text(role)
    );
    let tables = session
        .rows(
            &format!(
                "SELECT relname, coalesce(string_agg(acl.privilege_type, ','), '') FROM pg_class \
                 LEFT JOIN LATERAL aclexplode(relacl) AS acl ON acl.grantee = {oid} \
                 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname IN ({names}) \
                 AND pg_has_role(relowner, 'USAGE') AND relowner <> {oid} GROUP BY relname ORDER BY relname"
            ),
            ACTION,
        )
        .await?;
    let sequences = session
        .rows(
            &format!(
                "SELECT sequence.relname, coalesce(string_agg(acl.privilege_type, ','), '') FROM pg_class AS sequence \
                 JOIN pg_depend ON objid = sequence.oid AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') \
                 JOIN pg_class AS numbered ON numbered.oid = refobjid \
                 LEFT JOIN LATERAL aclexplode(sequence.relacl) AS acl ON acl.grantee = {oid} \
                 WHERE sequence.relkind = 'S' AND numbered.relnamespace = current_schema()::regnamespace AND numbered.relname IN ({names}) \
                 AND pg_has_role(sequence.relowner, 'USAGE') AND sequence.relowner <> {oid} GROUP BY sequence.relname ORDER BY sequence.relname"
            ),
            ACTION,
        )
        .await?;
    let mut done = Vec::new();
    let kinds = [
        ("TABLE", "table", tables),
        ("SEQUENCE", "sequence", sequences),
    ];
    for (keyword, kind, rows) in kinds {
        for row in rows {
            let mut values = row.into_iter().flatten();
            let (Some(name), Some(present)) = (values.next(), values.next()) else {
                continue;
            };
            let allowed = match keyword {
                "TABLE" => wanted
                    .iter()
                    .find(|(table, _)| *table == name)
                    .map_or(LOOK, |(_, allowed)| allowed),
                _ => NUMBERS,
            };
            let present: Vec<&str> = present.split(',').filter(|text| !text.is_empty()).collect();
            let missing = difference(allowed, &present);
            let excess = difference(&present, allowed);
            let object = format!("{keyword} {}", quote(&name));
            if !missing.is_empty() {
                let sql = format!("GRANT {missing} ON {object} TO {}", quote(role));
                session.execute(&sql, ACTION).await?;
                done.push(format!("{role} gets {missing} on {kind} {name}"));
            }
            if !excess.is_empty() {
                let sql = format!("REVOKE {excess} ON {object} FROM {}", quote(role));
                session.execute(&sql, ACTION).await?;
                done.push(format!("{role} loses {excess} on {kind} {name}"));
            }
        }
    }
    Ok(done)
}

/// Members of the first list that the other lacks, as SQL names them.
fn difference(these: &[&str], those: &[&str]) -> String {
    let missing: Vec<&str> = these
        .iter()
        .filter(|one| !those.contains(one))
        .copied()
        .collect();
    missing.join(", ")
}

/// Becomes the role that owns the structure, for the rest of the transaction, if somebody else is at work who
/// may: tables that a superuser makes would not be the owner's, and the runtime could not use them.
pub(crate) async fn become_owner(session: &Session) -> Result<(), SchemaError> {
    const ACTION: &str = "acting for the owner of the tables";
    if session.dialect() != Dialect::Postgres {
        return Ok(());
    }
    let query = format!(
        "SELECT quote_ident(pg_get_userbyid(owner)) FROM (SELECT coalesce(\
         (SELECT relowner FROM pg_class WHERE relname = '{LEDGER_TABLE}' AND relnamespace = current_schema()::regnamespace), \
         (SELECT min(defaclrole) FROM pg_default_acl JOIN pg_database ON datname = current_database() AND datdba = defaclrole \
         WHERE defaclnamespace = current_schema()::regnamespace AND defaclobjtype = 'r')) AS owner) AS found \
         WHERE pg_get_userbyid(owner) <> current_user AND pg_has_role(owner, 'MEMBER')"
    );
    let rows = session.rows(&query, ACTION).await?;
    if let Some(owner) = rows.first().and_then(|row| row.first()?.as_deref()) {
        session
            .execute(&format!("SET LOCAL ROLE {owner}"), ACTION)
            .await?;
    }
    Ok(())
}

/// What a role may do beyond serving requests, in words; `role` is an SQL expression for its name. Who may
/// become the owner of tables (`SET ROLE`) counts as one, inheriting or not.
pub(crate) fn excess_query(role: &str) -> String {
    format!(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, \
         pg_has_role(rolname, 'pg_execute_server_program', 'MEMBER') OR pg_has_role(rolname, 'pg_write_server_files', 'MEMBER') \
         OR pg_has_role(rolname, 'pg_read_server_files', 'MEMBER'), \
         EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND pg_has_role(rolname, relowner, 'MEMBER')), \
         has_schema_privilege(rolname, current_schema()::text, 'CREATE'), \
         has_database_privilege(rolname, current_database(), 'CREATE'), \
         coalesce((SELECT has_table_privilege(rolname, oid, 'UPDATE, DELETE, TRUNCATE') FROM pg_class \
         WHERE relname = '{audit}' AND relnamespace = current_schema()::regnamespace), false) \
         FROM pg_roles WHERE rolname = {role}",
        audit = AUDIT_TABLE
    )
}

/// The words for the columns of [`excess_query`].
const EXCESS: [&str; 10] = [
    "is a superuser",
    "may make and change roles",
    "may make databases",
    "sees rows that row security hides",
    "may copy the whole server (replication)",
    "may use files or programs of the database server",
    "owns tables and may change or drop them",
    "may make tables",
    "may make schemas",
    "may change the audit trail",
];

pub(crate) fn excess_in_words(flags: impl IntoIterator<Item = bool>) -> Vec<String> {
    let mut found: Vec<String> = flags
        .into_iter()
        .zip(EXCESS)
        .filter(|(is, _)| *is)
        .map(|(_, words)| words.to_owned())
        .collect();
    // Everything else follows from that.
    if found.first().is_some_and(|first| first == EXCESS[0]) {
        found.truncate(1);
    }
    found
}

/// What the database user of a store may do beyond serving requests, in words that follow its name; empty
/// for a user made by [`initialise`](fn@crate::initialise), and for SQLite, where files have permissions.
///
/// # Errors
/// The store's.
pub async fn excess(store: &Store) -> Result<Vec<String>, StoreError> {
    let Some(postgres) = store.postgres() else {
        return Ok(Vec::new());
    };
    let connection = postgres.connection().await?;
    let row = connection
        .query_one(&excess_query("current_user"), &[])
        .await?;
    connection.release();
    let mut flags = Vec::with_capacity(EXCESS.len());
    for position in 0..EXCESS.len() {
        flags.push(row.try_get(position)?);
    }
    Ok(excess_in_words(flags))
}

/// Gives the roles that serve requests what they need on the tables that are there, and takes what is too
/// much; says what was done. Nothing where nobody was ever made by [`initialise`](fn@crate::initialise).
pub(crate) async fn repair(session: &Session) -> Result<Vec<String>, SchemaError> {
    if session.dialect() != Dialect::Postgres || !session.has_ledger().await? {
        return Ok(Vec::new());
    }
    let structure = ledger::structure(session).await?;
    grant_to_runtimes(session, &structure).await
}
