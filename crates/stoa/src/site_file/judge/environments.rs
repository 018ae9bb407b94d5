//! Rules about environments.

use std::collections::HashMap;

use stoa_model::diagnostic::{Code, Diagnostic, Span};
use stoa_store::DatabaseUrl;

use super::super::draft::{DatabaseDraft, EnvironmentDraft};
use super::super::{keys, resolve};
use super::Judge;

/// Connections that one app server needs: one to serve, one for its lease.
const CONNECTIONS_PER_SERVER: u32 = 2;

pub(super) fn judge(judge: &mut Judge<'_>) {
    hosts(judge);
    for environment in &judge.draft.environments {
        source(judge, environment);
        served(judge, environment);
        database(judge, environment);
    }
}

/// A host name belongs to one environment.
fn hosts(judge: &mut Judge<'_>) {
    let draft = judge.draft;
    let mut owners = HashMap::new();
    for environment in &draft.environments {
        let name = &environment.name.value;
        let Some(hosts) = &environment.hosts else {
            continue;
        };
        for host in &hosts.value {
            let Some((owner, span)) = owners.insert(&host.value, (name, host.span)) else {
                continue;
            };
            let message = if owner == name {
                format!("`{}` is given twice", host.value)
            } else {
                format!(
                    "`{}` belongs to the environments `{owner}` and `{name}`",
                    host.value
                )
            };
            judge.push(
                Diagnostic::error(Code::DuplicateName, host.span, message)
                    .label("a host name leads to one environment")
                    .related(Some(span), "first here"),
            );
        }
    }
}

fn source(judge: &mut Judge<'_>, environment: &EnvironmentDraft) {
    let name = &environment.name.value;
    match (&environment.application, &environment.upstream) {
        (Some(application), Some(upstream)) => judge.push(
            Diagnostic::error(
                Code::Contradiction,
                upstream.span,
                format!("the environment `{name}` has an application and an upstream"),
            )
            .related(Some(application.span), "the application")
            .help("keep one: two environments can stand side by side, each with its own host names"),
        ),
        (None, None) if judge.draft.extracted_for.is_none() => judge.push(
            Diagnostic::error(
                Code::MissingKey,
                environment.name.span,
                format!("the environment `{name}` serves nothing"),
            )
            .help("add `application`, the folder of an application; or `upstream`, the address of any HTTP application"),
        ),
        _ => {}
    }
    let place = |text: &Option<stoa_model::document::At<String>>| text.as_ref().map(|at| at.span);
    let of_application = [
        ("database", environment.database.as_ref().map(|at| at.span)),
        (
            "database_connections",
            environment.database_connections.as_ref().map(|at| at.span),
        ),
        ("sign_in", place(&environment.sign_in)),
        ("data", place(&environment.data)),
    ];
    let of_upstream = [
        ("sticky_cookie", place(&environment.sticky_cookie)),
        ("static", place(&environment.static_content)),
        ("health", place(&environment.health)),
    ];
    if environment.upstream.is_some() && environment.application.is_none() {
        not_applicable(judge, &of_application, "an `upstream`");
    }
    if environment.application.is_some() && environment.upstream.is_none() {
        not_applicable(judge, &of_upstream, "an `application`");
    }
}

fn not_applicable(judge: &mut Judge<'_>, keys: &[(&str, Option<Span>)], with: &str) {
    for (key, span) in keys {
        if let Some(span) = span {
            judge.push(Diagnostic::error(
                Code::NotApplicable,
                *span,
                format!("`{key}` means nothing for an environment with {with}"),
            ));
        }
    }
}

fn served(judge: &mut Judge<'_>, environment: &EnvironmentDraft) {
    // It may be the one that was meant.
    let is_echo = judge
        .faults
        .iter()
        .any(|fault| fault.code == Code::UnknownEnvironment);
    if is_echo {
        return;
    }
    if judge.app_servers_of(environment).next().is_none() && judge.app_servers().next().is_some() {
        let name = &environment.name.value;
        judge.push(
            Diagnostic::error(
                Code::MissingKey,
                environment.name.span,
                format!("no app server serves the environment `{name}`"),
            )
            .help("add it to `environments` of an app server"),
        );
    }
}

fn database(judge: &mut Judge<'_>, environment: &EnvironmentDraft) {
    if judge.is_for_web_only() {
        let secrets = [
            ("database", environment.database.as_ref().map(|at| at.span)),
            (
                "application",
                environment.application.as_ref().map(|at| at.span),
            ),
            ("upstream", environment.upstream.as_ref().map(|at| at.span)),
            ("sign_in", environment.sign_in.as_ref().map(|at| at.span)),
        ];
        for (key, span) in secrets {
            if let Some(span) = span {
                judge.push(
                    Diagnostic::error(
                        Code::NotForThisServer,
                        span,
                        format!("`{key}` in the file of a web server, which must not know it"),
                    )
                    .help("make the file anew: stoa site extract SITE --server NAME"),
                );
            }
        }
        return;
    }
    if environment.application.is_none() {
        return;
    }
    let name = &environment.name.value;
    let servers = judge.app_servers_of(environment).count();
    let is_embedded = match &environment.database {
        None => true,
        Some(database) => match parsed(judge, environment, &database.value, database.span) {
            Parsed::Embedded => true,
            Parsed::Server | Parsed::Elsewhere => false,
            Parsed::Wrong => return,
        },
    };
    if is_embedded && servers > 1 {
        let span = environment
            .database
            .as_ref()
            .map_or(environment.name.span, |database| database.span);
        judge.push(
            Diagnostic::error(
                Code::Contradiction,
                span,
                format!("{servers} app servers serve the environment `{name}`, but its database is embedded"),
            )
            .label("SQLite belongs to one server")
            .help(
                "give it a PostgreSQL database: database = \"postgres://USER@HOST/DATABASE\", or \
                 { file = \"…\" }",
            ),
        );
        return;
    }
    let budget = environment.database_connections.as_ref();
    if is_embedded && let Some(budget) = budget {
        judge.push(Diagnostic::error(
            Code::NotApplicable,
            budget.span,
            "`database_connections` means nothing for an embedded database",
        ));
        return;
    }
    let least = CONNECTIONS_PER_SERVER.saturating_mul(u32::try_from(servers).unwrap_or(u32::MAX));
    let most = budget.map_or(keys::DATABASE_CONNECTIONS, |budget| budget.value);
    if !is_embedded && most < least {
        judge.push(
            Diagnostic::error(
                Code::OutOfRange,
                budget.map_or(environment.name.span, |budget| budget.span),
                format!("{most} database connections are too few for {servers} app servers"),
            )
            .help(format!(
                "each needs {CONNECTIONS_PER_SERVER}: at least database_connections = {least}"
            )),
        );
    }
}

enum Parsed {
    Embedded,
    Server,
    /// The address is in a file or variable.
    Elsewhere,
    Wrong,
}

fn parsed(
    judge: &mut Judge<'_>,
    environment: &EnvironmentDraft,
    database: &DatabaseDraft,
    span: Span,
) -> Parsed {
    let name = &environment.name.value;
    match (&database.url, &database.file, &database.variable) {
        (Some(url), None, None) => match resolve::database_url(&url.value, judge.folder) {
            Ok(DatabaseUrl::Sqlite(_)) => Parsed::Embedded,
            Ok(DatabaseUrl::Postgres(_)) => Parsed::Server,
            Err(why) => {
                judge.push(
                    Diagnostic::error(
                        Code::InvalidAddress,
                        url.span,
                        format!("this is no address of a database for the environment `{name}`"),
                    )
                    .help(why),
                );
                Parsed::Wrong
            }
        },
        (None, Some(_), None) => Parsed::Elsewhere,
        (None, None, Some(variable)) => {
            let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if variable.value.is_empty() || !variable.value.bytes().all(is_of_name) {
                judge.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        variable.span,
                        "this is no name of an environment variable",
                    )
                    .help("write { variable = \"PRODUCTION_DATABASE\" }"),
                );
                return Parsed::Wrong;
            }
            Parsed::Elsewhere
        }
        _ => {
            judge.push(
                Diagnostic::error(
                    Code::Contradiction,
                    span,
                    "the address of a database is in one place",
                )
                .help("write \"postgres://…\", { file = \"…\" } or { variable = \"…\" }"),
            );
            Parsed::Wrong
        }
    }
}
