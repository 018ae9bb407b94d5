//! Every key of a site's file, once.

use serde_json::Value;
use stoa_model::document::{self, Form, Section, key};

/// Words for what a server can be.
pub(super) const WEB: &str = "web";
pub(super) const APP: &str = "app";

/// Connections to a database when none are given.
pub(super) const DATABASE_CONNECTIONS: u32 = 40;
/// Open requests of an app server when none are given.
pub(super) const REQUESTS: u32 = 512;

/// JSON Schema of the file.
pub(crate) fn schema() -> Value {
    document::schema("Stoa site (stoa.toml)", &SITE)
}

pub(super) static SITE: Section = Section {
    about: "A site: servers, and environments in which applications run.",
    keys: &[
        key("site", Form::Table(&ABOUT), "The site as a whole."),
        key(
            "server",
            Form::Labelled(&Form::Table(&SERVER)),
            "Servers by name: a label of a DNS name.",
        ),
        key(
            "environment",
            Form::Labelled(&Form::Table(&ENVIRONMENT)),
            "Environments by name: a label of a DNS name.",
        ),
    ],
    required: &["site", "server", "environment"],
    advise: None,
};

static ABOUT: Section = Section {
    about: "The site as a whole.",
    keys: &[
        key(
            "name",
            Form::Text,
            "Name of the site: a label of a DNS name.",
        ),
        key(
            "trust",
            Form::Text,
            "Folder with the certificates of links, made by `stoa trust`; relative to this file. Default `trust`.",
        ),
        key(
            "acme",
            Form::Table(&ACME),
            "Get certificates for HTTPS from an authority, for the host names that no `certificate` covers.",
        ),
        key(
            "extracted_for",
            Form::Text,
            "Written by `stoa site extract`: the file holds only what this server may know.",
        ),
    ],
    required: &["name"],
    advise: None,
};

static ACME: Section = Section {
    about: "Certificates from an authority that speaks ACME, such as Let's Encrypt. It asks the web servers over HTTP, \
            at port 80 of each host name.",
    keys: &[
        key(
            "terms_agreed",
            Form::Flag,
            "You agree to the authority's terms of service. Nothing is asked of it otherwise.",
        ),
        key(
            "contact",
            Form::Text,
            "E-mail address that the authority may write to. Default: none.",
        ),
        key(
            "directory",
            Form::Text,
            "Address of the authority's directory. Default: https://acme-v02.api.letsencrypt.org/directory.",
        ),
        key(
            "roots",
            Form::Text,
            "PEM file with the certificates by which an authority of your own is trusted when it is asked, relative to \
             this file. Default: those of the system.",
        ),
    ],
    required: &["terms_agreed"],
    advise: None,
};

static SERVER: Section = Section {
    about: "A machine of the site.",
    keys: &[
        key(
            "roles",
            Form::Choices(&[WEB, APP]),
            "What it is: a web server, which browsers reach; an app server, which runs applications; or both.",
        ),
        key(
            "data",
            Form::Text,
            "Folder for what the server keeps, relative to this file. Default `.stoa/NAME`.",
        ),
        key("web", Form::Table(&WEB_SERVER), "Settings of a web server."),
        key(
            "app",
            Form::Table(&APP_SERVER),
            "Settings of an app server.",
        ),
    ],
    required: &["roles"],
    advise: None,
};

static WEB_SERVER: Section = Section {
    about: "Settings of a web server.",
    keys: &[
        key(
            "http",
            Form::Text,
            "Address for HTTP, such as `0.0.0.0:80`; redirects to HTTPS when `https` is given.",
        ),
        key(
            "https",
            Form::Text,
            "Address for HTTPS, such as `0.0.0.0:443`.",
        ),
        key(
            "link",
            Form::Text,
            "Address where app servers dial in, such as `0.0.0.0:7443`. Needed when another server is an app server.",
        ),
        key(
            "link_address",
            Form::Text,
            "How app servers reach it: HOST:PORT. Default: `link`, if that is no wildcard.",
        ),
        key(
            "trusted_proxies",
            Form::Names,
            "Networks of the load balancers in front, such as `10.9.0.0/16`: what they say of the client is believed.",
        ),
        key(
            "proxy_protocol",
            Form::Flag,
            "The trusted proxies use the PROXY protocol. Default false.",
        ),
        key(
            "requests_per_second",
            Form::Number(1, 1_000_000),
            "Most requests that one client address may make each second, on average; ten times as many at once. \
             Default: no limit.",
        ),
        key(
            "metrics",
            Form::Text,
            "Address for metrics and health, such as `127.0.0.1:9090`. Default: none.",
        ),
        key(
            "certificate",
            Form::Tables(&CERTIFICATE),
            "Certificates for HTTPS; that which covers the host name is shown.",
        ),
    ],
    required: &[],
    advise: None,
};

static CERTIFICATE: Section = Section {
    about: "A certificate for HTTPS. Taken up again when its files change.",
    keys: &[
        key(
            "chain",
            Form::Text,
            "PEM file with the certificate, followed by those between it and the root; relative to this file.",
        ),
        key("key", Form::Text, "PEM file with its private key."),
    ],
    required: &["chain", "key"],
    advise: None,
};

static APP_SERVER: Section = Section {
    about: "Settings of an app server.",
    keys: &[
        key(
            "environments",
            Form::Names,
            "Names of the environments that it serves. Default: all.",
        ),
        key(
            "capacity",
            Form::Number(1, 1000),
            "Weight in balancing: one with 2 gets twice as many requests as one with 1. Default 1.",
        ),
        key(
            "requests",
            Form::Number(1, 100_000),
            "Most open requests at once. Default 512.",
        ),
        key(
            "metrics",
            Form::Text,
            "Address for metrics and health, such as `127.0.0.1:9091`. Default: none.",
        ),
    ],
    required: &[],
    advise: None,
};

static ENVIRONMENT: Section = Section {
    about: "A named place where one application runs.",
    keys: &[
        key(
            "hosts",
            Form::Names,
            "Host names; `*.example.com` stands for every name one level below, and an exact name wins.",
        ),
        key(
            "application",
            Form::Text,
            "Folder of the application, relative to this file.",
        ),
        key(
            "database",
            Form::Shorthand(&DATABASE, "url"),
            "Address of the database, or where to find it. Default: SQLite in the data folder, for one app server.",
        ),
        key(
            "data",
            Form::Text,
            "Folder for the embedded database and uploaded files. Default: one below the server's own.",
        ),
        key(
            "database_connections",
            Form::Number(2, 10_000),
            "Most connections to the database, of all app servers together. Default 40.",
        ),
        key(
            "sign_in",
            Form::Text,
            "File with OpenID providers to sign in with, relative to this file.",
        ),
        key(
            "maintenance_page",
            Form::Text,
            "HTML page that web servers show while no app server serves the environment.",
        ),
        key(
            "error_pages",
            Form::Text,
            "Folder with HTML pages that web servers show for errors: 502.html, 503.html, 504.html.",
        ),
        key(
            "upstream",
            Form::Names,
            "Instead of an application: addresses of any HTTP application, such as `http://127.0.0.1:8080`.",
        ),
        key(
            "sticky_cookie",
            Form::Text,
            "With `upstream`: a cookie of its own that holds the session, such as JSESSIONID. Default: one of ours.",
        ),
        key(
            "static",
            Form::Text,
            "With `upstream`: folder of files that the web servers serve themselves.",
        ),
        key(
            "health",
            Form::Text,
            "With `upstream`: path that answers 200 when it is well, such as `/health`.",
        ),
    ],
    required: &["hosts"],
    advise: None,
};

static DATABASE: Section = Section {
    about: "Where the address of the database is.",
    keys: &[
        key(
            "url",
            Form::Text,
            "postgres://USER:PASSWORD@HOST/DATABASE, with several hosts as HOST,HOST; or sqlite:FILE.",
        ),
        key(
            "file",
            Form::Text,
            "File on the app server whose first line is the address, relative to this file.",
        ),
        key(
            "variable",
            Form::Text,
            "Environment variable of the app server's process that holds the address.",
        ),
    ],
    required: &[],
    advise: None,
};
