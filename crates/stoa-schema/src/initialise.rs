//! A PostgreSQL database with two roles: one that owns the structure, one that serves requests.
//!
//! Everything is looked at before it is changed, so that a second time changes nothing. Passwords go to the
//! server as SCRAM verifiers: its log never sees them.

use std::fmt;
use std::time::Duration;

use stoa_model::model::Model;
use stoa_model::physical::{LEDGER_TABLE, MAXIMUM_IDENTIFIER};
use stoa_store::tokio_postgres;
use stoa_store::tokio_postgres::error::SqlState;
use stoa_store::{PostgresUrl, StoreError};

use crate::error::SchemaError;
use crate::kind::{quote, quote_text};
use crate::ledger;
use crate::privileges::{self, ROWS};
use crate::session::Session;
use crate::structure::Structure;

/// Longest wait for a lock on a table.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A role that is wanted.
#[derive(Clone)]
pub struct WantedRole {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: WantedPassword,
}

/// The password of a role that is wanted.
#[derive(Clone)]
pub enum WantedPassword {
    /// This one, also if the role exists.
    Given(String),
    /// This one if the role is new; an existing one keeps its own.
    IfNew(String),
}

/// Does not show the password.
impl fmt::Debug for WantedRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WantedRole")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// A line for each change; none when everything was there.
    pub done: Vec<String>,
    /// The owner's password was set.
    pub owner_password_set: bool,
    /// The runtime's password was set.
    pub runtime_password_set: bool,
    /// What the runtime may still do that it should not, in words that follow its name.
    pub excess: Vec<String>,
    /// Tables of others that the model uses and that are not there yet: the runtime has no rights on them.
    pub missing: Vec<String>,
}

/// Makes the database that `url` names, `owner` for its structure and `runtime` for its rows, where they are
/// not there; existing tables of Stoa get that owner. `url` is the address of somebody who may do that: a
/// superuser, or a role with CREATEROLE and CREATEDB. With a model, the runtime gets its rights on tables of
/// others that the model uses, too.
///
/// # Errors
/// See [`SchemaError`]. Roles and the database are made one by one; the rights within the database are
/// changed as a whole or not at all.
pub async fn initialise(
    url: &PostgresUrl,
    owner: &WantedRole,
    runtime: &WantedRole,
    model: Option<&Model>,
) -> Result<Initialised, SchemaError> {
    let database = url.database().ok_or_else(|| {
        SchemaError::Address(
            "the address names no database: add one, as in postgres://USER@HOST/DATABASE"
                .to_owned(),
        )
    })?;
    for (what, name) in [
        ("owner", &owner.name),
        ("runtime role", &runtime.name),
        ("database", &database.to_owned()),
    ] {
        check_name(what, name)?;
    }
    if owner.name == runtime.name {
        return Err(refused(
            "the owner and the runtime role must be two: what serves requests must not change the structure",
        ));
    }
    let server = Server::connect(url, database).await?;
    let mut work = Work {
        session: &server.session,
        done: Vec::new(),
        missing: Vec::new(),
    };
    let administrator = Administrator::look(work.session).await?;
    let owner_password_set = work
        .make_role(&administrator, owner, "owns the tables")
        .await?;
    let runtime_password_set = work
        .make_role(&administrator, runtime, "reads and writes rows")
        .await?;
    let borrowed = work.borrow(&administrator, &owner.name).await?;
    let made = async {
        work.make_database(&administrator, database, &owner.name, &runtime.name)
            .await?;
        let inside = match &server.inside {
            true => None,
            false => Some(connect(&url.with_database(database)).await?),
        };
        let mut inner = Work {
            session: inside.as_ref().unwrap_or(work.session),
            done: Vec::new(),
            missing: Vec::new(),
        };
        inner.session.begin_changing(LOCK_TIMEOUT).await?;
        match inner.share(&owner.name, &runtime.name, model).await {
            Ok(()) => inner.session.commit().await?,
            Err(error) => {
                inner.session.roll_back().await;
                return Err(error);
            }
        }
        let excess = excess(inner.session, &runtime.name).await?;
        let (done, missing) = (inner.done, inner.missing);
        work.done.extend(done);
        Ok((excess, missing))
    }
    .await;
    if borrowed {
        let sql = format!("REVOKE {} FROM CURRENT_USER", quote(&owner.name));
        work.session
            .execute(&sql, "giving back the owner's rights")
            .await?;
    }
    let (excess, missing) = made?;
    Ok(Initialised {
        excess,
        missing,
        done: work.done,
        owner_password_set,
        runtime_password_set,
    })
}

fn refused(reason: impl Into<String>) -> SchemaError {
    SchemaError::Address(reason.into())
}

fn check_name(what: &str, name: &str) -> Result<(), SchemaError> {
    if name.is_empty() || name.len() > MAXIMUM_IDENTIFIER || name.contains('\0') {
        return Err(refused(format!(
            "the name of the {what} must have 1 to {MAXIMUM_IDENTIFIER} bytes"
        )));
    }
    if name.starts_with("pg_") {
        return Err(refused(format!(
            "`{name}` cannot be the name of the {what}: PostgreSQL keeps names that start with pg_ for itself"
        )));
    }
    Ok(())
}

/// A connection to the server, in the wanted database if that is there.
struct Server {
    session: Session,
    inside: bool,
}

impl Server {
    async fn connect(url: &PostgresUrl, database: &str) -> Result<Self, SchemaError> {
        match stoa_store::connect(url).await {
            Ok(client) => Ok(Self {
                session: Session::Postgres(client),
                inside: true,
            }),
            Err(error) if is_shut(&error) => {
                // Every server has at least one of these.
                let mut last = None;
                for other in ["postgres", "template1"]
                    .into_iter()
                    .filter(|name| *name != database)
                {
                    match connect(&url.with_database(other)).await {
                        Ok(session) => {
                            return Ok(Self {
                                session,
                                inside: false,
                            });
                        }
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.unwrap_or_else(|| unreachable(url, &error)))
            }
            Err(error) => Err(unreachable(url, &error)),
        }
    }
}

async fn connect(url: &PostgresUrl) -> Result<Session, SchemaError> {
    stoa_store::connect(url)
        .await
        .map(Session::Postgres)
        .map_err(|error| unreachable(url, &error))
}

/// The database is not there, or open to others only (as this leaves it): the server is another matter.
fn is_shut(error: &StoreError) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>())
        .and_then(tokio_postgres::Error::code)
        .is_some_and(|code| {
            [
                SqlState::INVALID_CATALOG_NAME,
                SqlState::INSUFFICIENT_PRIVILEGE,
            ]
            .contains(code)
        })
}

fn unreachable(url: &PostgresUrl, error: &StoreError) -> SchemaError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    SchemaError::Unreachable {
        address: url.to_string(),
        reason: cause.to_string(),
    }
}

/// Who does it.
struct Administrator {
    name: String,
    superuser: bool,
    makes_roles: bool,
    makes_databases: bool,
}

impl Administrator {
    async fn look(session: &Session) -> Result<Self, SchemaError> {
        let rows = session
            .rows(
                "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user",
                "looking at the own rights",
            )
            .await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let is = |position: usize| row.get(position).cloned().flatten().as_deref() == Some("t");
        let (superuser, makes_roles, makes_databases) = (is(1), is(2), is(3));
        Ok(Self {
            name: row.first().cloned().flatten().unwrap_or_default(),
            superuser,
            makes_roles: superuser || makes_roles,
            makes_databases: superuser || makes_databases,
        })
    }
}

/// A connection, and what was done over it.
struct Work<'a> {
    session: &'a Session,
    done: Vec<String>,
    /// Tables of others that are not there.
    missing: Vec<String>,
}

impl Work<'_> {
    /// Whether a condition holds.
    async fn holds(&self, condition: &str) -> Result<bool, SchemaError> {
        let rows = self
            .session
            .rows(&format!("SELECT {condition}"), "looking at the database")
            .await?;
        Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
    }

    /// Runs statements unless a condition holds already, and says so.
    async fn ensure(
        &mut self,
        condition: &str,
        statement: &str,
        done: String,
    ) -> Result<(), SchemaError> {
        if !self.holds(condition).await? {
            self.session.execute(statement, &done).await?;
            self.done.push(done);
        }
        Ok(())
    }

    /// True when the password was set.
    async fn make_role(
        &mut self,
        administrator: &Administrator,
        role: &WantedRole,
        purpose: &str,
    ) -> Result<bool, SchemaError> {
        let (name, text) = (quote(&role.name), quote_text(&role.name));
        let exists = self
            .holds(&format!(
                "EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {text})"
            ))
            .await?;
        if !exists {
            if !administrator.makes_roles {
                return Err(refused(format!(
                    "there is no role {}, and {} may not make one: use the address of a superuser or of a role with CREATEROLE and CREATEDB",
                    role.name, administrator.name
                )));
            }
            let (WantedPassword::Given(password) | WantedPassword::IfNew(password)) =
                &role.password;
            let sql = format!("CREATE ROLE {name} LOGIN PASSWORD {}", verifier(password));
            self.session
                .execute(&sql, &format!("making the role {}", role.name))
                .await?;
            self.done
                .push(format!("made the role {}, which {purpose}", role.name));
            return Ok(true);
        }
        let too_much = self
            .holds(&format!(
                "EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {text} AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls))"
            ))
            .await?;
        if too_much {
            return Err(refused(format!(
                "the role {} exists and may do more than it should (superuser, CREATEROLE, CREATEDB, REPLICATION or BYPASSRLS): choose another name, or take that from it",
                role.name
            )));
        }
        self.ensure(
            &format!("EXISTS (SELECT 1 FROM pg_roles WHERE rolname = {text} AND rolcanlogin)"),
            &format!("ALTER ROLE {name} LOGIN"),
            format!("{} may log in", role.name),
        )
        .await?;
        if let WantedPassword::Given(password) = &role.password {
            let sql = format!("ALTER ROLE {name} PASSWORD {}", verifier(password));
            self.session
                .execute(&sql, &format!("setting the password of {}", role.name))
                .await?;
            self.done.push(format!("set the password of {}", role.name));
            return Ok(true);
        }
        Ok(false)
    }

    /// Only who has the owner's rights can make a database for it. True when they must be given back.
    async fn borrow(
        &mut self,
        administrator: &Administrator,
        owner: &str,
    ) -> Result<bool, SchemaError> {
        if administrator.superuser
            || self
                .holds(&format!("pg_has_role({}, 'USAGE')", quote_text(owner)))
                .await?
        {
            return Ok(false);
        }
        let sql = format!("GRANT {} TO CURRENT_USER", quote(owner));
        self.session
            .execute(&sql, "getting the owner's rights for a moment")
            .await?;
        Ok(true)
    }

    async fn make_database(
        &mut self,
        administrator: &Administrator,
        database: &str,
        owner: &str,
        runtime: &str,
    ) -> Result<(), SchemaError> {
        let (name, text) = (quote(database), quote_text(database));
        let exists = self
            .holds(&format!(
                "EXISTS (SELECT 1 FROM pg_database WHERE datname = {text})"
            ))
            .await?;
        if !exists {
            if !administrator.makes_databases {
                return Err(refused(format!(
                    "there is no database {database}, and {} may not make one: use the address of a superuser or of a role with CREATEROLE and CREATEDB",
                    administrator.name
                )));
            }
            let sql = format!(
                "CREATE DATABASE {name} OWNER {} ENCODING 'UTF8' TEMPLATE template0",
                quote(owner)
            );
            self.session
                .execute(&sql, &format!("making the database {database}"))
                .await?;
            self.done.push(format!("made the database {database}"));
        } else if !self
            .holds(&format!(
                "EXISTS (SELECT 1 FROM pg_database WHERE datname = {text} AND pg_encoding_to_char(encoding) = 'UTF8')"
            ))
            .await?
        {
            return Err(refused(format!(
                "the database {database} is not encoded in UTF8: use another one"
            )));
        }
        self.ensure(
            &format!(
                "EXISTS (SELECT 1 FROM pg_database WHERE datname = {text} AND pg_get_userbyid(datdba) = {})",
                quote_text(owner)
            ),
            &format!("ALTER DATABASE {name} OWNER TO {}", quote(owner)),
            format!("the database {database} belongs to {owner}"),
        )
        .await?;
        // No list of rights means the usual ones: everybody may connect and make temporary tables.
        self.ensure(
            &format!(
                "NOT EXISTS (SELECT 1 FROM pg_database, LATERAL aclexplode(coalesce(datacl, acldefault('d', datdba))) AS acl WHERE datname = {text} AND acl.grantee = 0)"
            ),
            &format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            format!("only who is named may connect to {database}"),
        )
        .await?;
        self.ensure(
            &format!(
                "EXISTS (SELECT 1 FROM pg_database, LATERAL aclexplode(datacl) AS acl WHERE datname = {text} AND pg_get_userbyid(acl.grantee) = {} AND acl.privilege_type = 'CONNECT')",
                quote_text(runtime)
            ),
            &format!("GRANT CONNECT ON DATABASE {name} TO {}", quote(runtime)),
            format!("{runtime} may connect to {database}"),
        )
        .await
    }

    /// Rights within the database.
    async fn share(
        &mut self,
        owner: &str,
        runtime: &str,
        model: Option<&Model>,
    ) -> Result<(), SchemaError> {
        let rows = self
            .session
            .rows("SELECT current_schema()", "looking for the schema")
            .await?;
        let schema = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .unwrap_or_else(|| "public".to_owned());
        let (owner_name, runtime_name, schema_name) =
            (quote(owner), quote(runtime), quote(&schema));
        let (owner_text, runtime_text, schema_text) =
            (quote_text(owner), quote_text(runtime), quote_text(&schema));
        self.ensure(
            &format!(
                "has_schema_privilege({owner_text}, {schema_text}, 'CREATE') AND has_schema_privilege({owner_text}, {schema_text}, 'USAGE')"
            ),
            &format!("GRANT USAGE, CREATE ON SCHEMA {schema_name} TO {owner_name}"),
            format!("{owner} may make tables in the schema {schema}"),
        )
        .await?;
        self.ensure(
            &format!(
                "NOT EXISTS (SELECT 1 FROM pg_namespace, LATERAL aclexplode(nspacl) AS acl WHERE nspname = {schema_text} AND acl.privilege_type = 'CREATE' AND (acl.grantee = 0 OR pg_get_userbyid(acl.grantee) = {runtime_text}))"
            ),
            &format!("REVOKE CREATE ON SCHEMA {schema_name} FROM PUBLIC, {runtime_name}"),
            format!("only {owner} may make tables in the schema {schema}"),
        )
        .await?;
        self.ensure(
            &format!(
                "EXISTS (SELECT 1 FROM pg_namespace, LATERAL aclexplode(nspacl) AS acl WHERE nspname = {schema_text} AND acl.privilege_type = 'USAGE' AND pg_get_userbyid(acl.grantee) = {runtime_text})"
            ),
            &format!("GRANT USAGE ON SCHEMA {schema_name} TO {runtime_name}"),
            format!("{runtime} may use the schema {schema}"),
        )
        .await?;
        let structure = if self.session.has_ledger().await? {
            self.take_over(owner).await?
        } else {
            Structure::empty()
        };
        for (kind, letter, privileges) in
            [("TABLES", 'r', ROWS), ("SEQUENCES", 'S', &["USAGE"][..])]
        {
            let granted = privileges.join(", ");
            self.ensure(
                &format!(
                    "{} = (SELECT count(DISTINCT acl.privilege_type) FROM pg_default_acl, LATERAL aclexplode(defaclacl) AS acl WHERE pg_get_userbyid(defaclrole) = {owner_text} AND defaclnamespace = {schema_text}::regnamespace AND defaclobjtype = '{letter}' AND pg_get_userbyid(acl.grantee) = {runtime_text})",
                    privileges.len()
                ),
                &format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner_name} IN SCHEMA {schema_name} GRANT {granted} ON {kind} TO {runtime_name}"
                ),
                format!(
                    "{runtime} gets {granted} on future {} of {owner}",
                    kind.to_lowercase()
                ),
            )
            .await?;
        }
        let granted = privileges::grant(self.session, &structure, runtime).await?;
        self.done.extend(granted);
        let used = model.map_or_else(Structure::empty, Structure::of);
        for table in used.tables.iter().filter(|table| table.external) {
            let name = quote(&table.name);
            if !self
                .holds(&format!("to_regclass({}) IS NOT NULL", quote_text(&name)))
                .await?
            {
                self.missing.push(table.name.clone());
                continue;
            }
            self.ensure(
                &format!(
                    "has_table_privilege({runtime_text}, {table_text}, 'SELECT') AND has_table_privilege({runtime_text}, {table_text}, 'INSERT') AND has_table_privilege({runtime_text}, {table_text}, 'UPDATE') AND has_table_privilege({runtime_text}, {table_text}, 'DELETE')",
                    table_text = quote_text(&name)
                ),
                &format!("GRANT {} ON TABLE {name} TO {runtime_name}", ROWS.join(", ")),
                format!(
                    "{runtime} may read and write rows of {}, a table of others",
                    table.name
                ),
            )
            .await?;
        }
        Ok(())
    }

    /// Tables that Stoa made for somebody else become the owner's.
    async fn take_over(&mut self, owner: &str) -> Result<Structure, SchemaError> {
        let structure = ledger::structure(self.session).await?;
        let ours = structure.tables.iter().filter(|table| !table.external);
        let names: Vec<String> = ours
            .map(|table| quote_text(&table.name))
            .chain([quote_text(LEDGER_TABLE)])
            .collect();
        let rows = self
            .session
            .rows(
                &format!(
                    "SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname IN ({}) AND pg_get_userbyid(relowner) <> {} ORDER BY relname",
                    names.join(", "),
                    quote_text(owner)
                ),
                "looking whose the tables are",
            )
            .await?;
        for row in rows {
            let mut values = row.into_iter().flatten();
            if let (Some(table), Some(former)) = (values.next(), values.next()) {
                let sql = format!("ALTER TABLE {} OWNER TO {}", quote(&table), quote(owner));
                self.session
                    .execute(&sql, &format!("giving the table {table} to {owner}"))
                    .await?;
                self.done.push(format!(
                    "the table {table} belongs to {owner}, no longer to {former}"
                ));
            }
        }
        Ok(structure)
    }
}

/// What the server keeps of a password, as a literal.
fn verifier(password: &str) -> String {
    quote_text(&postgres_protocol::password::scram_sha_256(
        password.as_bytes(),
    ))
}

async fn excess(session: &Session, role: &str) -> Result<Vec<String>, SchemaError> {
    let rows = session
        .rows(
            &privileges::excess_query(&quote_text(role)),
            "looking at the runtime's rights",
        )
        .await?;
    let row = rows.into_iter().next().unwrap_or_default();
    Ok(privileges::excess_in_words(
        row.iter().map(|value| value.as_deref() == Some("t")),
    ))
}
