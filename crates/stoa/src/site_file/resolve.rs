//! From a valid draft to what servers need: defaults filled in, paths absolute.

use std::path::{Path, PathBuf};

use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::At;
use stoa_store::DatabaseUrl;
use stoa_web::acme::LETS_ENCRYPT;

use super::draft::{AppDraft, DatabaseDraft, Draft, EnvironmentDraft, ServerDraft, WebDraft};
use super::values::HostAndPort;
use super::{
    Acme, App, Application, CertificateFiles, DatabaseSource, Environment, LookAt, Server, Serves,
    SiteFile, Upstream, Web, keys,
};

/// The folder of links' certificates when none is given.
const TRUST: &str = "trust";
/// The folder of servers' data when none is given.
const DATA: &str = ".stoa";

pub(super) fn resolve(draft: &Draft, file: &Path, folder: &Path) -> SiteFile {
    let trust = draft.trust.as_ref();
    SiteFile {
        path: file.to_owned(),
        name: draft.name.as_ref().map_or(String::new(), value),
        trust: folder.join(trust.map_or(TRUST, |trust| &trust.value)),
        extracted_for: draft.extracted_for.as_ref().map(value),
        acme: draft.acme.as_ref().map(|acme| Acme {
            directory: acme
                .value
                .directory
                .as_ref()
                .map_or_else(|| LETS_ENCRYPT.to_owned(), value),
            contact: acme.value.contact.as_ref().map(value),
            roots: path(acme.value.roots.as_ref(), folder),
        }),
        servers: draft
            .servers
            .iter()
            .map(|server| resolve_server(draft, server, folder))
            .collect(),
        environments: draft
            .environments
            .iter()
            .map(|environment| resolve_environment(environment, folder))
            .collect(),
    }
}

fn value<T: Clone>(at: &At<T>) -> T {
    at.value.clone()
}

fn path(at: Option<&At<String>>, folder: &Path) -> Option<PathBuf> {
    at.map(|at| folder.join(&at.value))
}

fn resolve_server(draft: &Draft, server: &ServerDraft, folder: &Path) -> Server {
    let name = value(&server.name);
    let default = || folder.join(DATA).join(&name);
    Server {
        data: path(server.data.as_ref(), folder).unwrap_or_else(default),
        web: match &server.web {
            Some(web) if server.is_web() => Some(resolve_web(web, folder)),
            _ => None,
        },
        app: server
            .is_app()
            .then(|| resolve_app(draft, server.app.as_ref())),
        name,
    }
}

fn resolve_web(web: &WebDraft, folder: &Path) -> Web {
    let link = web.link.as_ref().map(value);
    let reachable = link.filter(|link| !link.ip().is_unspecified() && link.port() != 0);
    Web {
        http: web.http.as_ref().map(value),
        https: web.https.as_ref().map(value),
        link,
        link_address: web.link_address.as_ref().map(value).or_else(|| {
            reachable.map(|link| HostAndPort {
                host: link.ip().to_string(),
                port: link.port(),
            })
        }),
        trusted_proxies: web.trusted_proxies.iter().map(value).collect(),
        requests_per_second: web.requests_per_second.as_ref().map(value),
        proxy_protocol: web.proxy_protocol.as_ref().is_some_and(|flag| flag.value),
        metrics: web.metrics.as_ref().map(value),
        certificates: web
            .certificates
            .iter()
            .map(|certificate| CertificateFiles {
                chain: folder.join(&certificate.chain.value),
                key: folder.join(&certificate.key.value),
            })
            .collect(),
        obtains: Vec::new(),
    }
}

fn resolve_app(draft: &Draft, app: Option<&AppDraft>) -> App {
    let listed = app.and_then(|app| app.environments.as_ref());
    let all = || draft.environments.iter().map(|one| value(&one.name));
    App {
        environments: match listed {
            Some(listed) => listed.value.iter().map(value).collect(),
            None => all().collect(),
        },
        capacity: app
            .and_then(|app| app.capacity.as_ref())
            .map_or(1, |capacity| capacity.value),
        requests: app
            .and_then(|app| app.requests.as_ref())
            .map_or(keys::REQUESTS, |requests| requests.value),
        metrics: app.and_then(|app| app.metrics.as_ref()).map(value),
    }
}

fn resolve_environment(draft: &EnvironmentDraft, folder: &Path) -> Environment {
    let hosts = draft.hosts.as_ref();
    Environment {
        name: value(&draft.name),
        hosts: hosts.map_or(Vec::new(), |hosts| hosts.value.iter().map(value).collect()),
        serves: resolve_serves(draft, folder),
        data: path(draft.data.as_ref(), folder),
        maintenance_page: path(draft.maintenance_page.as_ref(), folder),
        error_pages: path(draft.error_pages.as_ref(), folder),
    }
}

fn resolve_serves(draft: &EnvironmentDraft, folder: &Path) -> Serves {
    let upstream = |addresses| {
        Serves::Upstream(Upstream {
            addresses,
            sticky_cookie: draft.sticky_cookie.as_ref().map(value),
            static_content: path(draft.static_content.as_ref(), folder),
            health: draft.health.as_ref().map(value),
        })
    };
    match (&draft.application, &draft.upstream) {
        (Some(application), _) => Serves::Application(Application {
            folder: folder.join(&application.value),
            database: draft
                .database
                .as_ref()
                .map_or(DatabaseSource::Embedded, |database| {
                    resolve_database(&database.value, folder)
                }),
            database_connections: draft
                .database_connections
                .as_ref()
                .map_or(keys::DATABASE_CONNECTIONS, |budget| budget.value),
            sign_in: path(draft.sign_in.as_ref(), folder),
        }),
        (None, Some(addresses)) => upstream(addresses.value.iter().map(value).collect()),
        // What a web server does for a foreign application stays in its file, though the addresses do not.
        (None, None) if draft.sticky_cookie.is_some() || draft.static_content.is_some() => {
            upstream(Vec::new())
        }
        (None, None) => Serves::Elsewhere,
    }
}

fn resolve_database(draft: &DatabaseDraft, folder: &Path) -> DatabaseSource {
    if let Some(file) = path(draft.file.as_ref(), folder) {
        return DatabaseSource::File(file);
    }
    if let Some(variable) = &draft.variable {
        return DatabaseSource::Variable(value(variable));
    }
    let url = draft.url.as_ref();
    // That it can be parsed was judged before.
    let parsed = url.and_then(|url| database_url(&url.value, folder).ok());
    parsed.map_or(DatabaseSource::Embedded, DatabaseSource::Address)
}

/// The address of a database; a file is relative to the site's.
pub(super) fn database_url(text: &str, folder: &Path) -> Result<DatabaseUrl, String> {
    match text.parse::<DatabaseUrl>() {
        Ok(DatabaseUrl::Sqlite(file)) => Ok(DatabaseUrl::Sqlite(folder.join(file))),
        Ok(url) => Ok(url),
        Err(error) => Err(error.to_string()),
    }
}

/// Adds which files and folders of environments are missing.
pub(super) fn look_at_files(
    draft: &Draft,
    site: &SiteFile,
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    let needs = |server: &Server, environment: &Environment| match look_at {
        LookAt::Text => (false, false),
        LookAt::Everything => (true, true),
        LookAt::Server(name) => {
            let is_it = server.name == name;
            let app = server.app.as_ref();
            let serves = app.is_some_and(|app| app.environments.contains(&environment.name));
            (is_it && server.web.is_some(), is_it && serves)
        }
    };
    for (draft, environment) in draft.environments.iter().zip(&site.environments) {
        let servers = site.servers.iter();
        let (for_web, for_app) = servers
            .map(|server| needs(server, environment))
            .fold((false, false), |(web, app), (is_web, is_app)| {
                (web || is_web, app || is_app)
            });
        let folder = site.path.parent().unwrap_or(&site.path);
        let mut look = |at: &Option<At<String>>, what: &str, is_there: fn(&Path) -> bool| {
            if let Some(at) = at
                && !is_there(&folder.join(&at.value))
            {
                faults.push(Diagnostic::error(
                    Code::Unreadable,
                    at.span,
                    format!("there is no {what} `{}`", folder.join(&at.value).display()),
                ));
            }
        };
        if for_web {
            look(&draft.maintenance_page, "page", Path::is_file);
            look(&draft.error_pages, "folder", Path::is_dir);
        }
        if for_app {
            look(&draft.static_content, "folder", Path::is_dir);
            look(&draft.application, "application in the folder", |path| {
                path.join("app.toml").is_file()
            });
            look(&draft.sign_in, "file", Path::is_file);
        }
    }
}
