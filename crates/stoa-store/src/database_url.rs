//! Where a database is: `sqlite:FILE` or `postgres://…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::StoreError;

/// Address of a database. `Display` and `Debug` hide the password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A file; made when it does not exist.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Box<PostgresUrl>),
}

/// Address of a PostgreSQL server, or of several of which one is used.
#[derive(Clone)]
pub struct PostgresUrl {
    /// Everything but encryption.
    pub(crate) config: tokio_postgres::Config,
    /// How far the connection must be protected.
    pub(crate) encryption: Encryption,
    /// File of certificates to trust instead of the system's.
    pub(crate) root_certificates: Option<PathBuf>,
    /// The address without password.
    shown: String,
}

impl PostgresUrl {
    /// Name of the database, if the address has one.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname()
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut url = self.clone();
        url.config.dbname(name);
        url
    }

    /// The address for another user, as text with the password: not for logs. Without a password it has none.
    #[must_use]
    pub fn text_for(&self, user: &str, password: Option<&str>) -> String {
        let rest = self.shown.split_once("://").map_or("", |(_, rest)| rest);
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let end = address.find('/').unwrap_or(address.len());
        let host = address[..end].rfind('@').map_or(0, |at| at + 1);
        let mut text = format!("postgres://{}", utf8_percent_encode(user, UNRESERVED));
        if let Some(password) = password {
            text.push(':');
            text.extend(utf8_percent_encode(password, UNRESERVED));
        }
        text.push('@');
        text.push_str(&address[host..]);
        let kept: Vec<&str> = query
            .split('&')
            .filter(|pair| {
                !pair.is_empty() && !pair.starts_with("user=") && !pair.starts_with("password=")
            })
            .collect();
        if !kept.is_empty() {
            text.push('?');
            text.push_str(&kept.join("&"));
        }
        text
    }
}

/// What need not be encoded in a user's name or password.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Hides the password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

/// `sslmode`, with libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Disable,
    /// If the server can; nobody's identity is checked.
    Prefer,
    /// Always; the certificate is checked only against an `sslrootcert`.
    Require,
    /// Always; the certificate is checked.
    VerifyAuthority,
    /// Always; the certificate and the host's name are checked.
    VerifyFull,
}

const EXPECTED: &str = "expected sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
const PARAMETERS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

impl FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        if let Some(file) = text.strip_prefix("sqlite:") {
            return sqlite(file);
        }
        if let Some(rest) = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
        {
            return postgres(rest);
        }
        let scheme = text.split(':').next().unwrap_or_default();
        // What follows a wrong scheme may hold a password: only the scheme is repeated.
        if text.contains("://") {
            return Err(wrong(format!(
                "unknown kind of database “{scheme}”; {EXPECTED}"
            )));
        }
        Err(wrong(format!(
            "this is not the address of a database; {EXPECTED}"
        )))
    }
}

fn wrong(reason: impl Into<String>) -> StoreError {
    StoreError::Configuration {
        reason: reason.into(),
    }
}

fn sqlite(file: &str) -> Result<DatabaseUrl, StoreError> {
    let file = file.strip_prefix("//").unwrap_or(file);
    if file.is_empty() {
        return Err(wrong("sqlite: needs a file, as in sqlite:data/app.db"));
    }
    if file == ":memory:" || file.contains('?') {
        return Err(wrong(
            "sqlite: takes a file and nothing else; databases in memory are not supported",
        ));
    }
    Ok(DatabaseUrl::Sqlite(PathBuf::from(file)))
}

fn postgres(rest: &str) -> Result<DatabaseUrl, StoreError> {
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut encryption = None;
    let mut root_certificates = None;
    let mut passed = Vec::new();
    let mut shown = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            wrong(format!(
                "the parameter “{pair}” of the database address has no value"
            ))
        })?;
        if !PARAMETERS.contains(&name) {
            return Err(wrong(format!(
                "unknown parameter “{name}” in the database address; known are {}",
                PARAMETERS.join(", ")
            )));
        }
        let decoded = percent_decode_str(value).decode_utf8().map_err(|_| {
            wrong(format!(
                "the parameter “{name}” of the database address is not UTF-8"
            ))
        })?;
        match name {
            "sslmode" => {
                encryption = Some(match decoded.as_ref() {
                    "disable" => Encryption::Disable,
                    "allow" | "prefer" => Encryption::Prefer,
                    "require" => Encryption::Require,
                    "verify-ca" => Encryption::VerifyAuthority,
                    "verify-full" => Encryption::VerifyFull,
                    other => {
                        return Err(wrong(format!(
                            "sslmode “{other}” is not one of disable, prefer, require, verify-ca, verify-full"
                        )));
                    }
                });
            }
            "sslrootcert" => root_certificates = Some(PathBuf::from(decoded.as_ref())),
            _ => passed.push(pair),
        }
        shown.push(if name == "password" {
            "password=***"
        } else {
            pair
        });
    }
    let mut url = format!("postgres://{address}");
    if !passed.is_empty() {
        url.push('?');
        url.push_str(&passed.join("&"));
    }
    let mut config = tokio_postgres::Config::from_str(&url).map_err(|error| {
        wrong(format!(
            "the database address is not valid: {}",
            root_cause(&error)
        ))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong(format!(
            "the database address names no host; {EXPECTED}"
        )));
    }
    if config.get_user().is_none() {
        return Err(wrong(format!(
            "the database address names no user; {EXPECTED}"
        )));
    }
    let encryption = encryption.unwrap_or(Encryption::Prefer);
    config.ssl_mode(match encryption {
        Encryption::Disable => tokio_postgres::config::SslMode::Disable,
        Encryption::Prefer => tokio_postgres::config::SslMode::Prefer,
        _ => tokio_postgres::config::SslMode::Require,
    });
    let mut safe = format!("postgres://{}", without_password(address));
    if !shown.is_empty() {
        safe.push('?');
        safe.push_str(&shown.join("&"));
    }
    Ok(DatabaseUrl::Postgres(Box::new(PostgresUrl {
        config,
        encryption,
        root_certificates,
        shown: safe,
    })))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn without_password(address: &str) -> String {
    // The last @ ends the credentials, should a password hold an unencoded one.
    let end = address.find('/').unwrap_or(address.len());
    let Some(at) = address
        .get(..end)
        .and_then(|part| part.rfind('@'))
        .or_else(|| address.rfind('@'))
    else {
        return address.to_owned();
    };
    let (credentials, rest) = address.split_at(at);
    match credentials.split_once(':') {
        Some((user, _)) => format!("{user}:***{rest}"),
        None => address.to_owned(),
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(formatter, "sqlite:{}", file.display()),
            Self::Postgres(url) => formatter.write_str(&url.shown),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({self})")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PostgresUrl({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<DatabaseUrl>() {
            Ok(url) => format!("{url}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn addresses_are_parsed_and_shown_without_password() {
        assert_eq!(shown("sqlite:data/app.db"), "sqlite:data/app.db");
        assert_eq!(shown("sqlite:///var/app.db"), "sqlite:/var/app.db");
        assert_eq!(
            shown(
                "postgres://me:s%40cret@db1:5432,db2:5433/shop?sslmode=verify-full&target_session_attrs=read-write"
            ),
            "postgres://me:***@db1:5432,db2:5433/shop?sslmode=verify-full&target_session_attrs=read-write"
        );
        assert_eq!(
            shown("postgresql://me@%2Frun%2Fpg/shop?password=x"),
            "postgres://me@%2Frun%2Fpg/shop?password=***"
        );
    }

    #[test]
    fn an_address_for_another_user_keeps_everything_else() {
        let other = |text: &str| {
            let Ok(DatabaseUrl::Postgres(url)) = text.parse() else {
                panic!("refused: {text}");
            };
            url.text_for("my app", Some("p@ss/word"))
        };
        assert_eq!(
            other("postgres://me:s%40cret@db1:5432,db2/shop?sslmode=verify-full"),
            "postgres://my%20app:p%40ss%2Fword@db1:5432,db2/shop?sslmode=verify-full"
        );
        assert_eq!(
            other("postgresql://%2Frun%2Fpg/shop?user=me&password=x"),
            "postgres://my%20app:p%40ss%2Fword@%2Frun%2Fpg/shop"
        );
        let Ok(DatabaseUrl::Postgres(url)) = "postgres://me@h/shop".parse() else {
            panic!("refused");
        };
        assert_eq!(url.text_for("you", None), "postgres://you@h/shop");
        assert_eq!(url.database(), Some("shop"));
        assert_eq!(url.with_database("other").database(), Some("other"));
    }

    #[test]
    fn several_hosts_and_encoded_passwords_reach_the_driver() {
        let Ok(DatabaseUrl::Postgres(url)) =
            "postgres://me:s%40c@a:1,b:2/d?sslmode=require".parse()
        else {
            panic!("refused");
        };
        assert_eq!(url.config.get_hosts().len(), 2);
        assert_eq!(url.config.get_ports(), [1, 2]);
        assert_eq!(url.config.get_password(), Some(b"s@c".as_slice()));
        assert_eq!(url.encryption, Encryption::Require);
        assert!(!format!("{url:?}").contains("s%40c"));
    }

    #[test]
    fn faults_say_what_is_wrong() {
        assert!(shown("sqlite:").contains("needs a file"));
        assert!(shown("sqlite::memory:").contains("not supported"));
        assert!(
            shown("mysql://a:secret@b/c").starts_with("error: unknown kind of database “mysql”")
        );
        assert!(!shown("mysql://a:secret@b/c").contains("secret"));
        assert!(shown("postgres://me@h/d?sslmod=require").contains("unknown parameter “sslmod”"));
        assert!(shown("postgres://me@h/d?sslmode=yes").contains("verify-full"));
        assert!(shown("postgres://h/d").contains("no user"));
        assert!(shown("nonsense").contains("expected sqlite:FILE"));
    }
}
