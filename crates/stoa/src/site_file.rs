//! The file that describes a site: its servers, their roles, its environments.
//!
//! Read, judged and resolved here; whoever serves finds absolute paths and parsed addresses, and does not look at the
//! text again. Start reading at [`load`].

mod certificates;
mod draft;
pub(crate) mod extract;
mod judge;
mod keys;
mod links;
mod mask;
mod resolve;
#[cfg(test)]
mod tests;
mod uploads;
mod values;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stoa_link::trust::Roles;
use stoa_model::diagnostic::{Code, Diagnostic, Diagnostics, SourceFile};
use stoa_model::document;
use stoa_store::DatabaseUrl;
use stoa_web::tls::CertificateFiles;

use crate::Result;
use crate::failure::{Exit, Failure};

pub(crate) use keys::schema;
pub(crate) use values::{Host, HostAndPort, Network};

/// Most bytes of a site's file.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Name of the embedded database in an environment's data folder.
const DATABASE_FILE: &str = "data.sqlite";
/// Name of the file with the key of the account with an authority for certificates.
const ACME_ACCOUNT: &str = "acme.key";

/// A site whose file is valid.
#[derive(Debug)]
pub(crate) struct SiteFile {
    /// The file itself, absolute.
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// Folder with the certificates of links, absolute.
    pub(crate) trust: PathBuf,
    /// The file was made by `stoa site extract` for this server only.
    pub(crate) extracted_for: Option<String>,
    /// Whom to ask for certificates for HTTPS.
    pub(crate) acme: Option<Acme>,
    /// In the order of the file.
    pub(crate) servers: Vec<Server>,
    /// In the order of the file.
    pub(crate) environments: Vec<Environment>,
}

/// An authority that gives certificates, whose terms are agreed to.
#[derive(Debug)]
pub(crate) struct Acme {
    /// Address of its directory.
    pub(crate) directory: String,
    /// Where it may write to.
    pub(crate) contact: Option<String>,
    /// PEM file with what it is trusted by itself; none: what the system trusts.
    pub(crate) roots: Option<PathBuf>,
}

/// A machine of the site.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// Folder for replicas and the control socket, absolute.
    pub(crate) data: PathBuf,
    /// Set when it has the role.
    pub(crate) web: Option<Web>,
    /// Set when it has the role.
    pub(crate) app: Option<App>,
}

/// A server in its role of a web server.
#[derive(Debug)]
pub(crate) struct Web {
    /// Redirects to HTTPS when there is an address for it.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) https: Option<SocketAddr>,
    /// Where app servers dial in.
    pub(crate) link: Option<SocketAddr>,
    /// How app servers reach `link`.
    pub(crate) link_address: Option<HostAndPort>,
    /// Whose `X-Forwarded-…` is believed.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Trusted proxies say with the PROXY protocol who the client is.
    pub(crate) proxy_protocol: bool,
    /// Most requests of one client address each second, on average.
    pub(crate) requests_per_second: Option<u32>,
    pub(crate) metrics: Option<SocketAddr>,
    /// For HTTPS; the first is shown to clients that name no host that another covers.
    pub(crate) certificates: Vec<CertificateFiles>,
    /// Host names that no certificate covers and the authority is asked for; known when certificates were looked at.
    pub(crate) obtains: Vec<String>,
}

/// A server in its role of an app server.
#[derive(Debug)]
pub(crate) struct App {
    /// Names of the environments that it serves.
    pub(crate) environments: Vec<String>,
    /// Weight in balancing.
    pub(crate) capacity: u32,
    /// Most open requests at once.
    pub(crate) requests: u32,
    pub(crate) metrics: Option<SocketAddr>,
}

/// A named place where one application runs.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) hosts: Vec<Host>,
    pub(crate) serves: Serves,
    /// Folder for data on each app server; by default one below the server's own.
    pub(crate) data: Option<PathBuf>,
    /// Page for answers while nobody serves the environment.
    pub(crate) maintenance_page: Option<PathBuf>,
    /// Folder with pages for errors: `502.html`, `503.html`, `504.html`.
    pub(crate) error_pages: Option<PathBuf>,
}

/// What an environment serves.
#[derive(Debug)]
pub(crate) enum Serves {
    /// An application of ours.
    Application(Application),
    /// Any HTTP application.
    Upstream(Upstream),
    /// An application that this server need not know, since its file was extracted.
    Elsewhere,
}

/// An application of ours in an environment.
#[derive(Debug)]
pub(crate) struct Application {
    /// Its folder, absolute.
    pub(crate) folder: PathBuf,
    pub(crate) database: DatabaseSource,
    /// Most connections to the database, of all app servers together.
    pub(crate) database_connections: u32,
    /// File with OpenID providers.
    pub(crate) sign_in: Option<PathBuf>,
}

/// Where the address of a database is. It may hold a password, so it is looked up by those only who need it.
#[derive(Debug)]
pub(crate) enum DatabaseSource {
    /// None is given: a file in the environment's data folder.
    Embedded,
    /// In the site's file.
    Address(DatabaseUrl),
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable of the process.
    Variable(String),
}

/// A foreign application.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens, as the app server sees it.
    pub(crate) addresses: Vec<HostAndPort>,
    /// Cookie of its own that says which of several holds a session.
    pub(crate) sticky_cookie: Option<String>,
    /// Folder whose files the web servers serve themselves.
    pub(crate) static_content: Option<PathBuf>,
    /// Path that answers 200 when it is well.
    pub(crate) health: Option<String>,
}

/// What of the site's files is looked at, beside the site's file itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookAt<'a> {
    /// Nothing: the text alone.
    Text,
    /// What each server needs, as far as it is on this machine.
    Everything,
    /// What one server needs, which is on this machine.
    Server(&'a str),
}

impl LookAt<'_> {
    /// Whether what this server needs is looked at.
    fn concerns(self, server: &str) -> bool {
        match self {
            Self::Text => false,
            Self::Everything => true,
            Self::Server(name) => server == name,
        }
    }
}

/// A site with what is odd about its file.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) site: SiteFile,
    pub(crate) warnings: Diagnostics,
}

/// Reads and judges a site's file.
///
/// # Errors
/// All faults.
pub(crate) fn load(path: &Path, look_at: LookAt<'_>) -> std::result::Result<Loaded, Diagnostics> {
    let unreadable = |message: String| {
        let fault = Diagnostic::error(Code::Unreadable, None, message)
            .help("name the site's file, for example stoa.toml");
        Diagnostics::new(Arc::default(), vec![fault])
    };
    let shown = path.display();
    let metadata = fs::metadata(path)
        .map_err(|error| unreadable(format!("cannot read the site's file {shown}: {error}")))?;
    if metadata.len() > FILE_BYTES {
        return Err(unreadable(format!(
            "the site's file {shown} is larger than {} MiB",
            FILE_BYTES >> 20
        )));
    }
    let text = fs::read_to_string(path)
        .map_err(|error| unreadable(format!("cannot read the site's file {shown}: {error}")))?;
    let absolute = std::path::absolute(path)
        .map_err(|error| unreadable(format!("cannot find the folder of {shown}: {error}")))?;
    load_text(&absolute, &shown.to_string(), text, look_at)
}

fn load_text(
    path: &Path,
    shown: &str,
    text: String,
    look_at: LookAt<'_>,
) -> std::result::Result<Loaded, Diagnostics> {
    let masked = mask::passwords(&text);
    let source = SourceFile::new(shown.to_owned(), text);
    let (table, mut faults) = document::read(&source, 0, &keys::SITE);
    let is_readable = !faults.iter().any(|fault| fault.code == Code::Syntax);
    let folder = path.parent().unwrap_or(path);
    let mut site = None;
    if is_readable {
        let draft = draft::read(table.get_ref(), &mut faults);
        judge::judge(&draft, folder, &mut faults);
        let has_errors = |faults: &[Diagnostic]| {
            let is_error =
                |fault: &Diagnostic| fault.severity == stoa_model::diagnostic::Severity::Error;
            faults.iter().any(is_error)
        };
        // What is looked at depends on the text: with faults there, more would only confuse.
        if !has_errors(&faults) {
            let mut resolved = resolve::resolve(&draft, path, folder);
            if look_at != LookAt::Text {
                certificates::judge(&draft, &mut resolved, look_at, &mut faults);
                links::judge(&draft, &resolved, look_at, &mut faults);
                resolve::look_at_files(&draft, &resolved, look_at, &mut faults);
                uploads::judge(&draft, &resolved, look_at, &mut faults);
            }
            site = Some(resolved);
        }
    }
    // The lines around a fault are shown, and may hold the password of a database.
    let shown = SourceFile::new(source.path().to_owned(), masked);
    let diagnostics = Diagnostics::new(vec![shown].into(), faults);
    match site {
        Some(site) if !diagnostics.has_errors() => Ok(Loaded {
            site,
            warnings: diagnostics,
        }),
        _ => Err(diagnostics),
    }
}

impl SiteFile {
    /// The server of this name.
    pub(crate) fn server(&self, name: &str) -> Result<&Server> {
        let found = self.servers.iter().find(|server| server.name == name);
        let names = || self.servers.iter().map(|server| server.name.as_str());
        found.ok_or_else(|| {
            let failure = Failure::new(
                Exit::Configuration,
                format!("the site {} has no server `{name}`", self.path.display()),
            );
            failure.hint(match document::nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its servers are {}", names().collect::<Vec<_>>().join(", ")),
            })
        })
    }

    /// The environments that an app server serves.
    pub(crate) fn environments_of<'a>(
        &'a self,
        server: &'a Server,
    ) -> impl Iterator<Item = &'a Environment> {
        let names = server.app.as_ref().map(|app| &app.environments);
        self.environments
            .iter()
            .filter(move |environment| names.is_some_and(|names| names.contains(&environment.name)))
    }

    /// The app servers of an environment.
    pub(crate) fn app_servers_of(
        &self,
        environment: &Environment,
    ) -> impl Iterator<Item = &Server> {
        let name = environment.name.clone();
        self.servers.iter().filter(move |server| {
            let app = server.app.as_ref();
            app.is_some_and(|app| app.environments.contains(&name))
        })
    }

    /// The web servers that an app server dials: all that have a link, itself too if it has one. A server without is
    /// served by none but itself.
    pub(crate) fn links_of(
        &self,
        server: &Server,
    ) -> impl Iterator<Item = (&Server, &HostAndPort)> {
        let dials = server.app.is_some();
        self.servers
            .iter()
            .filter(move |_| dials)
            .filter_map(|web| Some((web, web.web.as_ref()?.link_address.as_ref()?)))
    }

    /// Whether there are several web servers: they answer an authority for certificates for each other.
    fn has_several_web_servers(&self) -> bool {
        self.servers.iter().filter(|one| one.web.is_some()).count() > 1
    }

    /// Whether a web server asks the authority for certificates, or answers it for others.
    pub(crate) fn asks(&self, web: &Web) -> bool {
        let is_asked = self.has_several_web_servers() && web.http.is_some() && web.https.is_some();
        self.acme.is_some() && (!web.obtains.is_empty() || is_asked)
    }

    /// Host names that an authority may be asked for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let hosts = self.environments.iter().flat_map(|one| &one.hosts);
        hosts.filter_map(Host::single)
    }

    /// File with the key by which the authority for certificates knows the site, and whether it is for the operator
    /// to bring: web servers that answer for each other share one; a single one makes its own.
    pub(crate) fn acme_account(&self, server: &Server) -> (PathBuf, bool) {
        if self.has_several_web_servers() {
            (self.trust.join(ACME_ACCOUNT), true)
        } else {
            (server.certificates().join(ACME_ACCOUNT), false)
        }
    }

    /// Where the database of an environment is, as seen from one of its app servers.
    ///
    /// # Errors
    /// The file or variable that should hold the address is not there or holds something else; several app servers
    /// would share an embedded database.
    pub(crate) fn database(
        &self,
        environment: &Environment,
        server: &Server,
    ) -> Result<DatabaseUrl> {
        let name = &environment.name;
        let failure = |message: String| Failure::new(Exit::Configuration, message);
        let Serves::Application(application) = &environment.serves else {
            return Err(failure(format!("the environment {name} has no database")));
        };
        let parse = |text: &str, place: String| {
            text.parse::<DatabaseUrl>().map_err(|error| {
                failure(format!(
                    "{place}, the database of the environment {name}: {error}"
                ))
            })
        };
        let url = match &application.database {
            DatabaseSource::Embedded => {
                DatabaseUrl::Sqlite(environment.data(server).join(DATABASE_FILE))
            }
            DatabaseSource::Address(url) => url.clone(),
            DatabaseSource::File(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    failure(format!(
                        "cannot read {}, which should hold the address of the database of the environment {name}: {error}",
                        path.display()
                    ))
                })?;
                let line = text.lines().next().unwrap_or_default().trim();
                if line.is_empty() {
                    return Err(failure(format!(
                        "the first line of {} should be the address of the database of the environment {name}, and is empty",
                        path.display()
                    )));
                }
                parse(line, path.display().to_string())?
            }
            DatabaseSource::Variable(variable) => {
                let text = std::env::var(variable).map_err(|_| {
                    failure(format!(
                        "the environment variable {variable}, which should hold the address of the database of the \
                         environment {name}, is not set"
                    ))
                })?;
                parse(text.trim(), variable.clone())?
            }
        };
        let others = self.app_servers_of(environment).count();
        if matches!(url, DatabaseUrl::Sqlite(_)) && others > 1 {
            return Err(failure(format!(
                "the environment {name} is served by {others} app servers and needs a PostgreSQL database: an \
                 embedded one belongs to one server"
            )));
        }
        Ok(url)
    }

    /// Refuses a web server with a file that says where databases are: who takes it over must not learn that.
    pub(crate) fn refuse_databases(&self, server: &Server) -> Result<()> {
        let named = self.environments.iter().find(|environment| {
            matches!(&environment.serves, Serves::Application(application)
                if !matches!(application.database, DatabaseSource::Embedded))
        });
        match named {
            Some(environment) if server.app.is_none() => Err(Failure::new(
                Exit::Configuration,
                format!(
                    "the file says where the database of the environment {} is, which the web server {} must not know",
                    environment.name, server.name
                ),
            )
            .hint(format!(
                "give it a file of its own: stoa site extract {} --server {}",
                self.path.display(),
                server.name
            ))),
            _ => Ok(()),
        }
    }
}

impl Server {
    pub(crate) fn roles(&self) -> Roles {
        Roles {
            web: self.web.is_some(),
            app: self.app.is_some(),
        }
    }

    /// Folder for the certificates that it obtains.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.data.join("certificates")
    }

    /// Names of the environments that its certificate for links must have.
    pub(crate) fn environments(&self) -> BTreeSet<String> {
        let app = self.app.as_ref();
        app.map(|app| app.environments.iter().cloned().collect())
            .unwrap_or_default()
    }
}

impl Environment {
    /// Folder for the environment's data on an app server.
    pub(crate) fn data(&self, server: &Server) -> PathBuf {
        let default = || server.data.join(&self.name);
        self.data.clone().unwrap_or_else(default)
    }
}
