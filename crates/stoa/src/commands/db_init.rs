//! `stoa db init`: a PostgreSQL database with an owner for its structure and a runtime user for its rows.

use std::fmt::Write as _;
use std::path::Path;

use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::json;
use stoa_schema::{Initialised, SchemaError, WantedPassword, WantedRole};
use stoa_store::{DatabaseUrl, PostgresUrl};

use super::{load, print};
use crate::Result;
use crate::command_line::{DbInit, Format};
use crate::database;
use crate::failure::{Exit, Failure};

/// Letters and digits of a generated password: 190 bits.
const PASSWORD_LENGTH: usize = 32;
/// Shortest password that is taken from outside: whoever reaches the server's port can try them.
const SHORTEST_PASSWORD: usize = 12;
/// Stands in an address for a password that is not shown.
const HIDDEN: &str = "PASSWORD";

pub(crate) async fn init(arguments: &DbInit) -> Result<()> {
    let url = administration(arguments.database.as_deref())?;
    let name = url.database().unwrap_or_default().to_owned();
    let owner = role(
        arguments.owner.as_deref(),
        &name,
        "owner",
        arguments.owner_password_file.as_deref(),
        "STOA_OWNER_PASSWORD",
        arguments.new_passwords,
    )?;
    let runtime = role(
        arguments.runtime.as_deref(),
        &name,
        "runtime",
        arguments.runtime_password_file.as_deref(),
        "STOA_RUNTIME_PASSWORD",
        arguments.new_passwords,
    )?;
    let application = arguments.app.as_deref().map(load).transpose()?;
    let model = application.as_ref().map(|application| &application.model);
    let done = stoa_schema::initialise(&url, &owner.wanted, &runtime.wanted, model)
        .await
        .map_err(|error| failure(&error))?;
    let outcome = Outcome {
        owner: owner.address(&url, done.owner_password_set),
        runtime: runtime.address(&url, done.runtime_password_set),
        shown: owner.is_shown(done.owner_password_set)
            || runtime.is_shown(done.runtime_password_set),
        hidden: !(owner.is_shown(done.owner_password_set)
            && runtime.is_shown(done.runtime_password_set)),
        database: &name,
        owner_name: &owner.wanted.name,
        runtime_name: &runtime.wanted.name,
        app: arguments
            .app
            .as_ref()
            .map_or_else(|| "APP".to_owned(), |app| app.display().to_string()),
        done: &done,
    };
    match arguments.format {
        Format::Text => print(&outcome.text()),
        Format::Json => print(&outcome.json()),
    }
    for table in &done.missing {
        eprintln!(
            "warning: there is no table {table} yet, which the application uses; do this again when it is there"
        );
    }
    for excess in &done.excess {
        eprintln!(
            "warning: {} still {excess}; take that from it, or choose another role",
            runtime.wanted.name
        );
    }
    Ok(())
}

fn failure(error: &SchemaError) -> Failure {
    let failure = database::schema_failure(error);
    match error {
        SchemaError::Address(_) | SchemaError::Unreachable { .. } => failure,
        _ => failure.hint(
            "put that right, with the address of a superuser if rights are missing, and do it again with \
             --new-passwords: roles that were made before this have passwords that nobody has seen",
        ),
    }
}

/// The address of who makes everything.
fn administration(text: Option<&str>) -> Result<Box<PostgresUrl>> {
    let fault = |reason: String| Failure::new(Exit::Configuration, reason);
    let text = text.ok_or_else(|| {
        fault("--database (STOA_DATABASE) is needed: the address of a superuser, with the name of the new database".to_owned())
            .hint("stoa db init --database postgres://postgres@localhost/shop")
    })?;
    match text.parse::<DatabaseUrl>() {
        Ok(DatabaseUrl::Postgres(url)) if url.database().is_some_and(|name| !name.is_empty()) => {
            Ok(url)
        }
        Ok(DatabaseUrl::Postgres(url)) => Err(fault(format!(
            "--database (STOA_DATABASE): {url} names no database"
        ))
        .hint("add the name of the new database, as in postgres://postgres@localhost/shop")),
        Ok(DatabaseUrl::Sqlite(_)) => Err(fault(
            "--database (STOA_DATABASE): an embedded database has no users to make".to_owned(),
        )
        .hint("who may use the file is decided by its permissions; `stoa run` makes it")),
        Err(error) => Err(fault(format!("--database (STOA_DATABASE): {error}"))),
    }
}

struct Role {
    wanted: WantedRole,
    generated: bool,
}

fn role(
    name: Option<&str>,
    database: &str,
    kind: &str,
    file: Option<&Path>,
    variable: &str,
    renew: bool,
) -> Result<Role> {
    let given = match file {
        Some(file) => Some(read(file)?),
        None => std::env::var(variable).ok().filter(|text| !text.is_empty()),
    };
    if given
        .as_ref()
        .is_some_and(|password| password.chars().count() < SHORTEST_PASSWORD)
    {
        return Err(Failure::new(
            Exit::Configuration,
            format!(
                "the password for the {kind} role is shorter than {SHORTEST_PASSWORD} characters"
            ),
        )
        .hint("give none, and a strong one is made"));
    }
    let generated = given.is_none();
    let password = match given {
        Some(password) => WantedPassword::Given(password),
        None => {
            let password = Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH);
            if renew {
                WantedPassword::Given(password)
            } else {
                WantedPassword::IfNew(password)
            }
        }
    };
    Ok(Role {
        wanted: WantedRole {
            name: name.map_or_else(|| format!("{database}_{kind}"), str::to_owned),
            password,
        },
        generated,
    })
}

/// The first line of a file.
fn read(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Exit::Configuration,
            format!("cannot read the password in {}: {error}", file.display()),
        )
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl Role {
    /// Whether the password is to be shown: it was made here, and nobody else knows it.
    fn is_shown(&self, set: bool) -> bool {
        self.generated && set
    }

    fn address(&self, url: &PostgresUrl, set: bool) -> String {
        let (WantedPassword::Given(password) | WantedPassword::IfNew(password)) =
            &self.wanted.password;
        let password = if self.is_shown(set) { password } else { HIDDEN };
        url.text_for(&self.wanted.name, Some(password))
    }
}

struct Outcome<'a> {
    database: &'a str,
    owner_name: &'a str,
    runtime_name: &'a str,
    owner: String,
    runtime: String,
    shown: bool,
    hidden: bool,
    app: String,
    done: &'a Initialised,
}

impl Outcome<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for line in &self.done.done {
            let _ = writeln!(text, "done: {line}");
        }
        if self.done.done.is_empty() {
            let _ = writeln!(
                text,
                "Nothing to do: the database {} and its roles are as they should be.",
                self.database
            );
        }
        let Self {
            owner_name,
            runtime_name,
            owner,
            runtime,
            app,
            ..
        } = self;
        let _ = write!(
            text,
            "\n{owner_name} changes the structure, at each new version of the application:\n  \
             STOA_DATABASE='{owner}' stoa db apply {app}\n\n\
             {runtime_name} serves requests, and has no right to change the structure or the audit trail:\n  \
             STOA_DATABASE='{runtime}' stoa run {app}\n"
        );
        if self.shown {
            text.push_str(
                "\nThe passwords are not shown again. Keep both: the owner's where you deploy from, the other one where the server runs.\n",
            );
        }
        if self.hidden {
            let _ = writeln!(
                text,
                "\n{HIDDEN} stands for a password that is known already; --new-passwords makes new ones."
            );
        }
        text
    }

    fn json(&self) -> String {
        let value = json!({
            "database": self.database,
            "done": self.done.done,
            "owner": { "role": self.owner_name, "url": self.owner, "password_set": self.done.owner_password_set },
            "runtime": { "role": self.runtime_name, "url": self.runtime, "password_set": self.done.runtime_password_set,
                "excess": self.done.excess },
        });
        format!("{value:#}")
    }
}
