//! A site's file taken apart: what it says, with places, and values parsed.

use std::net::SocketAddr;

use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::{At, Reader};
use toml::de::{DeTable, DeValue};

use super::keys::{APP, WEB};
use super::mask;
use super::values::{self, Host, HostAndPort, Network, Wrong};

pub(super) struct Draft {
    pub(super) name: Option<At<String>>,
    pub(super) trust: Option<At<String>>,
    pub(super) extracted_for: Option<At<String>>,
    pub(super) acme: Option<At<AcmeDraft>>,
    pub(super) servers: Vec<ServerDraft>,
    pub(super) environments: Vec<EnvironmentDraft>,
}

pub(super) struct AcmeDraft {
    pub(super) terms_agreed: Option<At<bool>>,
    pub(super) contact: Option<At<String>>,
    pub(super) directory: Option<At<String>>,
    pub(super) roots: Option<At<String>>,
}

pub(super) struct ServerDraft {
    pub(super) name: At<String>,
    pub(super) roles: Vec<At<String>>,
    pub(super) data: Option<At<String>>,
    pub(super) web: Option<WebDraft>,
    pub(super) app: Option<AppDraft>,
}

impl ServerDraft {
    pub(super) fn is_web(&self) -> bool {
        self.roles.iter().any(|role| role.value == WEB)
    }

    pub(super) fn is_app(&self) -> bool {
        self.roles.iter().any(|role| role.value == APP)
    }
}

pub(super) struct WebDraft {
    /// An address is given that could not be understood: it is reported already.
    pub(super) is_partial: bool,
    pub(super) http: Option<At<SocketAddr>>,
    pub(super) https: Option<At<SocketAddr>>,
    pub(super) link: Option<At<SocketAddr>>,
    pub(super) link_address: Option<At<HostAndPort>>,
    pub(super) trusted_proxies: Vec<At<Network>>,
    pub(super) proxy_protocol: Option<At<bool>>,
    pub(super) requests_per_second: Option<At<u32>>,
    pub(super) metrics: Option<At<SocketAddr>>,
    pub(super) certificates: Vec<CertificateDraft>,
}

impl WebDraft {
    pub(super) fn listeners(&self) -> impl Iterator<Item = (&'static str, &At<SocketAddr>)> {
        [
            ("http", &self.http),
            ("https", &self.https),
            ("link", &self.link),
            ("metrics", &self.metrics),
        ]
        .into_iter()
        .filter_map(|(key, address)| Some((key, address.as_ref()?)))
    }
}

pub(super) struct CertificateDraft {
    pub(super) chain: At<String>,
    pub(super) key: At<String>,
}

pub(super) struct AppDraft {
    pub(super) environments: Option<At<Vec<At<String>>>>,
    pub(super) capacity: Option<At<u32>>,
    pub(super) requests: Option<At<u32>>,
    pub(super) metrics: Option<At<SocketAddr>>,
}

pub(super) struct EnvironmentDraft {
    pub(super) name: At<String>,
    pub(super) hosts: Option<At<Vec<At<Host>>>>,
    pub(super) application: Option<At<String>>,
    pub(super) database: Option<At<DatabaseDraft>>,
    pub(super) data: Option<At<String>>,
    pub(super) database_connections: Option<At<u32>>,
    pub(super) sign_in: Option<At<String>>,
    pub(super) maintenance_page: Option<At<String>>,
    pub(super) error_pages: Option<At<String>>,
    pub(super) upstream: Option<At<Vec<At<HostAndPort>>>>,
    pub(super) sticky_cookie: Option<At<String>>,
    pub(super) static_content: Option<At<String>>,
    pub(super) health: Option<At<String>>,
}

#[derive(Default)]
pub(super) struct DatabaseDraft {
    pub(super) url: Option<At<String>>,
    pub(super) file: Option<At<String>>,
    pub(super) variable: Option<At<String>>,
}

/// Takes the file apart, and adds what is wrong with its values.
pub(super) fn read(table: &DeTable<'_>, faults: &mut Vec<Diagnostic>) -> Draft {
    let reader = Reader { table, file: 0 };
    let site = reader.table("site");
    let text = |key| site.and_then(|site| site.text(key));
    Draft {
        name: text("name"),
        trust: text("trust"),
        extracted_for: text("extracted_for"),
        acme: site.and_then(|site| acme(site, faults)),
        servers: tables(reader, "server")
            .map(|(name, reader)| server(name, reader, faults))
            .collect(),
        environments: tables(reader, "environment")
            .map(|(name, reader)| environment(name, reader, faults))
            .collect(),
    }
}

fn tables<'a>(
    reader: Reader<'a>,
    key: &str,
) -> impl Iterator<Item = (At<String>, Reader<'a>)> + use<'a> {
    reader
        .named(key)
        .filter_map(|(name, value)| match value.get_ref() {
            DeValue::Table(table) => Some((name, Reader { table, file: 0 })),
            _ => None,
        })
}

fn acme(site: Reader<'_>, faults: &mut Vec<Diagnostic>) -> Option<At<AcmeDraft>> {
    let (_, span) = site.get("acme")?;
    let reader = site.table("acme")?;
    let contact = reader.text("contact");
    if let Some(text) = &contact {
        let code = Code::InvalidAddress;
        parse(text, "e-mail address", code, values::mail_address, faults);
    }
    let directory = reader.text("directory");
    if let Some(text) = &directory {
        let code = Code::InvalidAddress;
        parse(
            text,
            "address of a directory",
            code,
            values::https_url,
            faults,
        );
    }
    Some(At {
        value: AcmeDraft {
            terms_agreed: reader.flag("terms_agreed"),
            contact,
            directory,
            roots: reader.text("roots"),
        },
        span,
    })
}

fn server(name: At<String>, reader: Reader<'_>, faults: &mut Vec<Diagnostic>) -> ServerDraft {
    ServerDraft {
        name,
        roles: reader
            .names("roles")
            .map_or(Vec::new(), |roles| roles.value),
        data: reader.text("data"),
        web: reader.table("web").map(|reader| web(reader, faults)),
        app: reader.table("app").map(|reader| app(reader, faults)),
    }
}

fn web(reader: Reader<'_>, faults: &mut Vec<Diagnostic>) -> WebDraft {
    let faults_before = faults.len();
    let mut listener = |key| {
        let text = reader.text(key)?;
        parse(
            &text,
            "address",
            Code::InvalidAddress,
            values::listener,
            faults,
        )
    };
    let [http, https, link, metrics] = ["http", "https", "link", "metrics"].map(&mut listener);
    let proxies = reader.names("trusted_proxies");
    let proxies = proxies.map_or(Vec::new(), |proxies| proxies.value);
    let link_address = reader.text("link_address").and_then(|text| {
        let code = Code::InvalidAddress;
        parse(&text, "address", code, values::host_and_port, faults)
    });
    WebDraft {
        is_partial: faults.len() > faults_before,
        http,
        https,
        link,
        metrics,
        link_address,
        trusted_proxies: proxies
            .iter()
            .filter_map(|text| {
                parse(
                    text,
                    "network",
                    Code::InvalidAddress,
                    values::network,
                    faults,
                )
            })
            .collect(),
        proxy_protocol: reader.flag("proxy_protocol"),
        requests_per_second: reader.number("requests_per_second"),
        certificates: reader
            .tables("certificate")
            .filter_map(|certificate| {
                Some(CertificateDraft {
                    chain: certificate.value.text("chain")?,
                    key: certificate.value.text("key")?,
                })
            })
            .collect(),
    }
}

fn app(reader: Reader<'_>, faults: &mut Vec<Diagnostic>) -> AppDraft {
    AppDraft {
        environments: reader.names("environments"),
        capacity: reader.number("capacity"),
        requests: reader.number("requests"),
        metrics: reader.text("metrics").and_then(|text| {
            parse(
                &text,
                "address",
                Code::InvalidAddress,
                values::listener,
                faults,
            )
        }),
    }
}

fn environment(
    name: At<String>,
    reader: Reader<'_>,
    faults: &mut Vec<Diagnostic>,
) -> EnvironmentDraft {
    not_empty(reader, "hosts", "\"shop.example.com\"", faults);
    not_empty(reader, "upstream", "\"http://127.0.0.1:8080\"", faults);
    let hosts = reader.names("hosts").map(|hosts| At {
        span: hosts.span,
        value: hosts
            .value
            .iter()
            .filter_map(|text| parse(text, "host name", Code::InvalidHost, values::host, faults))
            .collect(),
    });
    let upstream = reader.names("upstream").map(|addresses| At {
        span: addresses.span,
        value: addresses
            .value
            .iter()
            .filter_map(|text| {
                let code = Code::InvalidAddress;
                parse(text, "address", code, values::upstream, faults)
            })
            .collect(),
    });
    let sticky_cookie = reader.text("sticky_cookie");
    if let Some(text) = &sticky_cookie {
        parse(text, "cookie", Code::InvalidValue, values::cookie, faults);
    }
    let health = reader.text("health");
    if let Some(text) = &health {
        parse(text, "path", Code::InvalidValue, values::url_path, faults);
    }
    EnvironmentDraft {
        name,
        hosts,
        application: reader.text("application"),
        database: database(reader),
        data: reader.text("data"),
        database_connections: reader.number("database_connections"),
        sign_in: reader.text("sign_in"),
        maintenance_page: reader.text("maintenance_page"),
        error_pages: reader.text("error_pages"),
        upstream,
        sticky_cookie,
        static_content: reader.text("static"),
        health,
    }
}

fn not_empty(reader: Reader<'_>, key: &str, example: &str, faults: &mut Vec<Diagnostic>) {
    let list = reader.names(key);
    if let Some(list) = list.filter(|list| list.value.is_empty()) {
        faults.push(
            Diagnostic::error(Code::MissingKey, list.span, format!("`{key}` is empty"))
                .help(format!("write {key} = [{example}]")),
        );
    }
}

fn database(reader: Reader<'_>) -> Option<At<DatabaseDraft>> {
    let (_, span) = reader.get("database")?;
    let value = match (reader.text("database"), reader.table("database")) {
        (Some(url), _) => DatabaseDraft {
            url: Some(url),
            ..DatabaseDraft::default()
        },
        (None, Some(table)) => DatabaseDraft {
            url: table.text("url"),
            file: table.text("file"),
            variable: table.text("variable"),
        },
        (None, None) => return None,
    };
    Some(At { value, span })
}

fn parse<T>(
    text: &At<String>,
    what: &str,
    code: Code,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
    faults: &mut Vec<Diagnostic>,
) -> Option<At<T>> {
    match parse(&text.value) {
        Ok(value) => Some(At {
            value,
            span: text.span,
        }),
        Err(why) => {
            let shown: String = mask::passwords(&text.value).chars().take(100).collect();
            faults.push(
                Diagnostic::error(code, text.span, format!("`{shown}` is no {what}")).help(why),
            );
            None
        }
    }
}
