//! The part of a site's file that one server may know.
//!
//! A web server stands where attackers come first, so its file has no database, no folder of an application, and of
//! app servers only the names. An app server gets the environments that it serves, and of web servers how to reach
//! them.

use toml::{Table, Value};

use super::{Server, SiteFile};

/// What others may know of a server in its role of a web server.
const WEB_FOR_OTHERS: &[&str] = &["link_address"];
/// What others may know of a server in its role of an app server.
const APP_FOR_OTHERS: &[&str] = &["environments"];
/// What a web server needs to know of an environment.
const ENVIRONMENT_FOR_WEB: &[&str] = &[
    "hosts",
    "maintenance_page",
    "error_pages",
    "sticky_cookie",
    "static",
];

/// The text of the file for one server. `text` is that of the whole site, which is valid.
pub(crate) fn extract(
    text: &str,
    site: &SiteFile,
    server: &Server,
) -> Result<String, toml::de::Error> {
    let mut table: Table = text.parse()?;
    if let Some(Value::Table(about)) = table.get_mut("site") {
        about.insert(
            "extracted_for".to_owned(),
            Value::from(server.name.as_str()),
        );
        if server.web.is_none() {
            about.remove("acme");
        }
    }
    if let Some(Value::Table(servers)) = table.get_mut("server") {
        for (name, other) in servers.iter_mut() {
            if *name != server.name
                && let Value::Table(other) = other
            {
                for_others(other, site, name);
            }
        }
    }
    if let Some(Value::Table(environments)) = table.get_mut("environment") {
        environments.retain(|name, environment| {
            let Value::Table(environment) = environment else {
                return false;
            };
            if server.environments().contains(name) {
                return true;
            }
            environment.retain(|key, _| ENVIRONMENT_FOR_WEB.contains(&key));
            server.web.is_some()
        });
    }
    Ok(format!(
        "# What the server {name} may know of the site {site}. Written by\n\
         # `stoa site extract … --server {name}`: change the site's own file and do it again.\n\n{table}",
        name = server.name,
        site = site.name,
    ))
}

fn for_others(server: &mut Table, site: &SiteFile, name: &str) {
    server.retain(|key, _| ["roles", "web", "app"].contains(&key));
    let resolved = site.servers.iter().find(|server| server.name == name);
    let Some(resolved) = resolved else {
        return;
    };
    if let Some(Value::Table(web)) = server.get_mut("web") {
        web.retain(|key, _| WEB_FOR_OTHERS.contains(&key));
        // The default comes from an address that only its own server needs.
        let address = resolved
            .web
            .as_ref()
            .and_then(|web| web.link_address.as_ref());
        if let Some(address) = address {
            web.insert("link_address".to_owned(), Value::from(address.to_string()));
        }
    }
    if let Some(Value::Table(app)) = server.get_mut("app") {
        app.retain(|key, _| APP_FOR_OTHERS.contains(&key));
    }
}
