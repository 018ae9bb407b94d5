//! `stoa trust`: the certificates of a site's links.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Value, json};
use stoa_link::trust::{self, Authority, Description, Files, TrustError};
use stoa_web::acme::AccountKey;

use super::listing::{instant_of, table};
use super::{print, site};
use crate::Result;
use crate::command_line::sites::{Trust, TrustInit, TrustIssue, TrustShow};
use crate::failure::{Exit, Failure, chain};
use crate::site_file::{LookAt, Server, SiteFile};

pub(crate) fn run(command: &Trust) -> Result<()> {
    match command {
        Trust::Init(arguments) => init(arguments),
        Trust::Issue(arguments) => issue(arguments),
        Trust::Show(arguments) => show(arguments),
    }
}

fn failure(error: &TrustError) -> Failure {
    let exit = match error {
        TrustError::Write { .. } | TrustError::AuthorityExists { .. } => Exit::CannotCreate,
        TrustError::Make(_) | TrustError::Tls(_) => Exit::Failure,
        _ => Exit::Configuration,
    };
    Failure::new(exit, chain(error))
}

fn init(arguments: &TrustInit) -> Result<()> {
    let site = site::load(&arguments.site, LookAt::Text)?;
    let authority =
        Authority::create(&site.name, arguments.days).map_err(|error| failure(&error))?;
    authority.save(&site.trust).map_err(|error| match error {
        TrustError::AuthorityExists { .. } => failure(&error).hint(
            "another authority would cut the servers off from each other: to replace this one, read \
             docs/guide/certificates.md",
        ),
        error => failure(&error),
    })?;
    print(&format!(
        "{}\n{}: whoever has it can join the site; keep it off the servers",
        Authority::certificate_file(&site.trust).display(),
        Authority::key_file(&site.trust).display(),
    ));
    Ok(())
}

/// The servers of these names; all, when there are none.
fn servers<'a>(site: &'a SiteFile, names: &[String]) -> Result<Vec<&'a Server>> {
    if names.is_empty() {
        return Ok(site.servers.iter().collect());
    }
    names.iter().map(|name| site.server(name)).collect()
}

fn issue(arguments: &TrustIssue) -> Result<()> {
    let site = site::load(&arguments.site, LookAt::Text)?;
    if let Some(reader) = &site.extracted_for {
        return Err(Failure::new(
            Exit::Configuration,
            format!(
                "{} is the file of the server {reader} only",
                arguments.site.display()
            ),
        )
        .hint("issue certificates with the file of the whole site"));
    }
    let servers = servers(&site, &arguments.servers)?;
    let authority = Authority::load(&site.trust).map_err(|error| {
        failure(&error).hint(format!(
            "make the authority first: stoa trust init {}",
            arguments.site.display()
        ))
    })?;
    let account = make_account(&site)?;
    for server in servers {
        authority
            .issue(
                &server.name,
                server.roles(),
                &server.environments(),
                arguments.days,
            )
            .and_then(|issued| issued.save(&site.trust, &server.name))
            .map_err(|error| failure(&error))?;
        let files = Files::of(&site.trust, &server.name);
        print(&format!(
            "{}\n{}",
            files.certificate.display(),
            files.key.display()
        ));
    }
    if let Some(path) = account {
        print(&format!("{}: for the web servers", path.display()));
    }
    Ok(())
}

/// Makes the key by which an authority for certificates knows the web servers, if they share one and it lacks. The
/// former one stays: the authority knows the site by it. Returns where it is.
fn make_account(site: &SiteFile) -> Result<Option<PathBuf>> {
    let web = site.servers.iter().find(|server| server.web.is_some());
    let path = match (&site.acme, web.map(|server| site.acme_account(server))) {
        (Some(_), Some((path, true))) => path,
        _ => return Ok(None),
    };
    let is_there = AccountKey::read(&path)
        .map_err(|error| Failure::new(Exit::Configuration, chain(&error)))?
        .is_some();
    if !is_there {
        AccountKey::make(&path).map_err(|error| Failure::new(Exit::CannotCreate, chain(&error)))?;
    }
    Ok(Some(path))
}

fn show(arguments: &TrustShow) -> Result<()> {
    let site = site::load(&arguments.site, LookAt::Text)?;
    let shown = servers(&site, &arguments.servers)?
        .into_iter()
        .map(|server| Ok((server, description(&site, server)?)))
        .collect::<Result<Vec<_>>>()?;
    if arguments.output.json {
        let list = shown
            .iter()
            .map(|(server, found)| as_json(server, found.as_ref()));
        print(&format!("{:#}", list.collect::<Value>()));
    } else {
        let rows: Vec<_> = shown
            .iter()
            .map(|(server, found)| as_row(server, found.as_ref()))
            .collect();
        print(&table(
            ["SERVER", "ROLES", "ENVIRONMENTS", "EXPIRES", ""],
            &rows,
        ));
    }
    Ok(())
}

/// What a server's certificate says; none when there is no file.
fn description(site: &SiteFile, server: &Server) -> Result<Option<Description>> {
    let path = Files::of(&site.trust, &server.name).certificate;
    let content = match std::fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failure(&TrustError::Read { path, source })),
    };
    let chain = trust::certificates(&path, &content).map_err(|error| failure(&error))?;
    let own = chain.first().map(trust::describe).transpose();
    own.map_err(|error| Failure::new(Exit::Configuration, format!("{}: {error}", path.display())))
}

fn roles(description: &Description) -> Vec<&'static str> {
    let roles = description.roles;
    [(roles.web, "web"), (roles.app, "app")]
        .into_iter()
        .filter_map(|(has_it, name)| has_it.then_some(name))
        .collect()
}

fn days_left(description: &Description) -> Option<u64> {
    let remaining = description.remaining(SystemTime::now())?;
    Some(remaining.as_secs() / (24 * 3600))
}

fn as_row(server: &Server, found: Option<&Description>) -> [String; 5] {
    let Some(found) = found else {
        let nothing = String::new;
        return [
            server.name.clone(),
            nothing(),
            nothing(),
            nothing(),
            "no certificate".to_owned(),
        ];
    };
    let environments: Vec<&str> = found
        .names
        .environments
        .iter()
        .map(String::as_str)
        .collect();
    [
        found.names.server.clone(),
        roles(found).join(", "),
        environments.join(", "),
        instant_of(found.not_after),
        match days_left(found) {
            Some(days) => format!("{days} days left"),
            None => "has expired".to_owned(),
        },
    ]
}

fn as_json(server: &Server, found: Option<&Description>) -> Value {
    match found {
        None => json!({ "server": server.name, "certificate": false }),
        Some(found) => json!({
            "server": found.names.server,
            "certificate": true,
            "roles": roles(found),
            "environments": found.names.environments,
            "expires": instant_of(found.not_after),
            "days_left": days_left(found),
        }),
    }
}
