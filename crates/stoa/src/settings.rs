//! What to do, as understood from the command line: checked whole, all faults reported together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stoa_store::DatabaseUrl;
use tracing_subscriber::EnvFilter;

use crate::Result;
use crate::command_line::{self, LogFormat, Serving};
use crate::failure::{Exit, Failure};

/// Name of the embedded database in the data folder.
const DATABASE_FILE: &str = "data.sqlite";

/// The application and where its data is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) application: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) database: DatabaseUrl,
}

/// Everything that `run` is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) behind_tls: bool,
    /// Names under which people reach the server, besides the machine's own.
    pub(crate) hosts: Vec<String>,
    /// File with the OpenID providers.
    pub(crate) sign_in: Option<PathBuf>,
    /// Users for demonstration are wanted.
    pub(crate) demonstration: bool,
    pub(crate) watch: bool,
    pub(crate) allow_data_loss: bool,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) access_log: bool,
    pub(crate) drain: Duration,
    pub(crate) web_memory_bytes: u64,
    pub(crate) connections: usize,
    /// Most connections to the database of all instances together.
    pub(crate) connection_budget: Option<usize>,
}

impl Place {
    /// Folder for the content of File attributes.
    pub(crate) fn files(&self) -> PathBuf {
        self.data.join("files")
    }

    pub(crate) fn resolve(place: &command_line::Place) -> Result<Self> {
        let mut faults = Vec::new();
        let place = Self::understand(place, &mut faults);
        finish(place, &faults)
    }

    fn understand(place: &command_line::Place, faults: &mut Vec<String>) -> Option<Self> {
        let data = place
            .data
            .clone()
            .unwrap_or_else(|| place.app.join(".stoa"));
        let database = match &place.database {
            None => Some(DatabaseUrl::Sqlite(data.join(DATABASE_FILE))),
            Some(text) => match text.parse() {
                Ok(database) => Some(database),
                Err(error) => {
                    faults.push(format!("--database (STOA_DATABASE): {error}"));
                    None
                }
            },
        };
        Some(Self {
            application: place.app.clone(),
            data,
            database: database?,
        })
    }
}

impl Settings {
    pub(crate) fn resolve(run: &command_line::Run) -> Result<Self> {
        let mut faults = Vec::new();
        let place = Place::understand(&run.place, &mut faults);
        let listen = address("--listen (STOA_LISTEN)", &run.listen, &mut faults);
        if let Some(listen) = listen
            && !listen.ip().is_loopback()
        {
            if run.demo_users {
                faults.push(format!(
                    "--demo-users (STOA_DEMO_USERS): everybody knows their password, and {listen} can be reached \
                     from other machines; listen on 127.0.0.1"
                ));
            } else if !run.behind_tls {
                faults.push(format!(
                    "--listen (STOA_LISTEN): {listen} can be reached from other machines, and passwords and \
                     sessions would travel in the clear; listen on 127.0.0.1, or put a proxy with TLS in front \
                     that nobody can go around, and add --behind-tls"
                ));
            }
        }
        if run.demo_users && run.behind_tls {
            faults.push(
                "--demo-users (STOA_DEMO_USERS): everybody knows their password; they are for this machine \
                 only, not for a server --behind-tls"
                    .to_owned(),
            );
        }
        if run.demo_users && !run.hosts.is_empty() {
            faults.push(
                "--demo-users (STOA_DEMO_USERS): everybody knows their password; they are for this machine \
                 only, not for a server that has a name for others, --host (STOA_HOST)"
                    .to_owned(),
            );
        }
        for host in &run.hosts {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(is_name) {
                faults.push(format!(
                    "--host (STOA_HOST): `{host}` is no host name; write shop.example, without scheme and port"
                ));
            }
        }
        let admin = match run.admin.as_str() {
            "off" => None,
            text => address("--admin (STOA_ADMIN)", text, &mut faults),
        };
        if let Some(admin) = admin
            && !admin.ip().is_loopback()
        {
            faults.push(format!(
                "--admin (STOA_ADMIN): {admin} can be reached from other machines; metrics are for this machine \
                 only: use a loopback address such as 127.0.0.1:9090, or `off`"
            ));
        }
        faults.extend(run.serving.faults());
        let settings = place.zip(listen).map(|(place, listen)| Self {
            place,
            listen,
            admin,
            behind_tls: run.behind_tls,
            hosts: run.hosts.clone(),
            sign_in: run.sign_in.clone(),
            demonstration: run.demo_users,
            watch: run.watch,
            allow_data_loss: run.allow_data_loss,
            log: run.serving.log.clone(),
            log_format: run.serving.log_format,
            access_log: run.serving.access_log,
            drain: Duration::from_secs(run.serving.drain_seconds),
            web_memory_bytes: run.serving.web_memory_bytes(),
            connections: run.serving.connections,
            connection_budget: None,
        });
        finish(settings, &faults)
    }
}

impl Serving {
    /// What is wrong with flags that every server has.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(error) = EnvFilter::try_new(&self.log) {
            faults.push(format!(
                "--log (STOA_LOG): `{}` is no filter: {error}",
                self.log
            ));
        }
        if self.connections == 0 {
            faults.push("--connections (STOA_CONNECTIONS): at least 1 is needed".to_owned());
        }
        if self.drain_seconds > 24 * 3600 {
            faults.push("--drain-seconds (STOA_DRAIN_SECONDS): at most 86400, a day".to_owned());
        }
        if self.web_memory_mib > u64::MAX >> 20 {
            faults.push("--web-memory-mib (STOA_WEB_MEMORY_MIB): too large".to_owned());
        }
        faults
    }

    /// All that is wrong with them, as a failure.
    pub(crate) fn check(&self) -> Result<()> {
        finish(Some(()), &self.faults())
    }

    /// Bytes of static content to hold in memory.
    pub(crate) fn web_memory_bytes(&self) -> u64 {
        self.web_memory_mib.saturating_mul(1 << 20)
    }
}

fn finish<T>(value: Option<T>, faults: &[String]) -> Result<T> {
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(Failure::new(Exit::Configuration, faults.join("\nerror: "))),
    }
}

/// `ADDRESS:PORT`, `localhost:PORT`, or a port alone, which means loopback.
fn address(flag: &str, text: &str, faults: &mut Vec<String>) -> Option<SocketAddr> {
    let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let understood = text
        .parse::<SocketAddr>()
        .ok()
        .or_else(|| text.strip_prefix("localhost:")?.parse().ok().map(loopback))
        .or_else(|| text.parse().ok().map(loopback));
    if understood.is_none() {
        faults.push(format!(
            "{flag}: `{text}` is no address; write IP:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        ));
    }
    understood
}

/// A path for people: relative to where they are if it is below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::command_line::{Command, CommandLine};

    fn resolve(arguments: &[&str]) -> std::result::Result<Settings, String> {
        let arguments = ["stoa", "run", "app"].iter().chain(arguments);
        let Command::Run(run) = CommandLine::try_parse_from(arguments).unwrap().command else {
            panic!("not run");
        };
        Settings::resolve(&run).map_err(|failure| {
            assert_eq!(failure.exit, Exit::Configuration);
            format!("{failure:?}")
        })
    }

    #[test]
    fn defaults() {
        let settings = resolve(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.admin.unwrap().to_string(), "127.0.0.1:9090");
        assert_eq!(settings.place.data, Path::new("app/.stoa"));
        assert_eq!(
            settings.place.database.to_string(),
            "sqlite:app/.stoa/data.sqlite"
        );
        assert_eq!(settings.drain, Duration::from_secs(30));
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("80", "127.0.0.1:80"),
        ] {
            assert_eq!(
                resolve(&["--listen", text]).unwrap().listen.to_string(),
                expected
            );
        }
        assert_eq!(resolve(&["--admin", "off"]).unwrap().admin, None);
        assert!(resolve(&["--listen", "0.0.0.0:80", "--behind-tls"]).is_ok());
        assert!(resolve(&["--demo-users"]).is_ok());
        for flags in [
            &["--listen", "0.0.0.0:80", "--demo-users"][..],
            &["--listen", "0.0.0.0:80", "--behind-tls", "--demo-users"],
            &["--behind-tls", "--demo-users"],
            &["--host", "shop.example", "--demo-users"],
        ] {
            let faults = resolve(flags).unwrap_err();
            assert!(faults.contains("--demo-users"), "{flags:?}: {faults}");
        }
        let hosts = resolve(&["--host", "shop.example,www.shop.example"])
            .unwrap()
            .hosts;
        assert_eq!(hosts, ["shop.example", "www.shop.example"]);
        assert!(resolve(&["--host", "https://shop.example"]).is_err());
    }

    #[test]
    fn all_faults_at_once() {
        let faults = resolve(&[
            "--listen",
            "0.0.0.0:80",
            "--admin",
            "10.0.0.1:1",
            "--database",
            "mysql://a:secret@b/c",
            "--log",
            "a=b=c",
            "--connections",
            "0",
        ])
        .unwrap_err();
        for part in ["--behind-tls", "--admin", "mysql", "--log", "--connections"] {
            assert!(faults.contains(part), "{part} is not in {faults}");
        }
        assert!(!faults.contains("secret"), "{faults}");
        assert!(
            resolve(&["--listen", "nowhere"])
                .unwrap_err()
                .contains("`nowhere` is no address")
        );
    }
}
