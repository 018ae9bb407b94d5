//! Rules about servers.

use std::net::SocketAddr;

use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::{At, nearest};

use super::super::draft::{ServerDraft, WebDraft};
use super::super::keys::{APP, WEB};
use super::{Judge, repeated};

pub(super) fn judge(judge: &mut Judge<'_>) {
    for server in &judge.draft.servers {
        roles(judge, server);
        if let Some(web) = &server.web
            && server.is_web()
        {
            if judge.is_whole(server) {
                if !web.is_partial {
                    listeners(judge, server, web);
                }
                proxies(judge, web);
            }
            if !web.is_partial {
                link(judge, server, web);
            }
        }
        if let Some(app) = &server.app {
            if let Some(metrics) = &app.metrics {
                metrics_stay_inside(judge, metrics);
            }
            environments(judge, server);
        }
        if judge.is_whole(server) {
            addresses_differ(judge, server);
        }
    }
}

fn roles(judge: &mut Judge<'_>, server: &ServerDraft) {
    repeated(&server.roles, judge.faults);
    let name = &server.name.value;
    for (role, has_role, has_section) in [
        (WEB, server.is_web(), server.web.is_some()),
        (APP, server.is_app(), server.app.is_some()),
    ] {
        if has_section && !has_role && !server.roles.is_empty() {
            judge.push(
                Diagnostic::error(
                    Code::Contradiction,
                    server.name.span,
                    format!("`{name}` has settings of the role `{role}`, but not the role"),
                )
                .help(format!(
                    "add \"{role}\" to its roles, or remove `[server.{name}.{role}]`"
                )),
            );
        }
    }
    if server.roles.is_empty() {
        judge.push(
            Diagnostic::error(
                Code::MissingKey,
                server.name.span,
                format!("`{name}` has no role"),
            )
            .help("write roles = [\"web\"], [\"app\"] or [\"web\", \"app\"]"),
        );
    } else if server.is_web() && server.web.is_none() {
        judge.push(
            Diagnostic::error(
                Code::MissingKey,
                server.name.span,
                format!("the web server `{name}` listens nowhere"),
            )
            .help(format!(
                "add `[server.{name}.web]` with `https` and a certificate, or `http`"
            )),
        );
    }
}

fn listeners(judge: &mut Judge<'_>, server: &ServerDraft, web: &WebDraft) {
    let name = &server.name.value;
    match (&web.http, &web.https) {
        (None, None) => judge.push(
            Diagnostic::error(
                Code::MissingKey,
                server.name.span,
                format!("the web server `{name}` listens for no browser"),
            )
            .help("give it `https` and a certificate, or `http`"),
        ),
        (Some(http), None) if !http.value.ip().is_loopback() && web.trusted_proxies.is_empty() => {
            judge.push(
                Diagnostic::error(
                    Code::Contradiction,
                    http.span,
                    "passwords and sessions would travel in the clear",
                )
                .label("other machines can reach this")
                .help(
                    "add `https` and a certificate; or, if a load balancer in front adds TLS, name it in \
                     `trusted_proxies`",
                ),
            );
        }
        _ => {}
    }
    match (&web.https, web.certificates.first()) {
        (Some(https), None) if judge.draft.acme.is_none() => judge.push(
            Diagnostic::error(
                Code::MissingKey,
                https.span,
                "there is no certificate for HTTPS",
            )
            .help(format!(
                "add `[[server.{name}.web.certificate]]` with `chain` and `key`; or `[site.acme]`, to get certificates \
                 from an authority"
            )),
        ),
        (None, Some(certificate)) => judge.push(
            Diagnostic::error(
                Code::Contradiction,
                certificate.chain.span,
                "a certificate, but no `https` to use it for",
            )
            .help("add https = \"0.0.0.0:443\", or remove the certificate"),
        ),
        _ => {}
    }
    if let Some(metrics) = &web.metrics {
        metrics_stay_inside(judge, metrics);
    }
}

fn proxies(judge: &mut Judge<'_>, web: &WebDraft) {
    if let Some(flag) = &web.proxy_protocol
        && flag.value
        && web.trusted_proxies.is_empty()
    {
        judge.push(
            Diagnostic::error(
                Code::Contradiction,
                flag.span,
                "the PROXY protocol is believed from trusted proxies only, and there are none",
            )
            .help("name the load balancers in `trusted_proxies`"),
        );
    }
    for network in &web.trusted_proxies {
        if network.value.prefix == 0 {
            judge.push(
                Diagnostic::warning(
                    Code::Contradiction,
                    network.span,
                    "everybody is believed to be a load balancer",
                )
                .help("name the networks of the load balancers only: else any client can pretend to be another"),
            );
        }
    }
}

/// Metrics have no password.
fn metrics_stay_inside(judge: &mut Judge<'_>, metrics: &At<SocketAddr>) {
    if metrics.value.ip().is_unspecified() {
        judge.push(
            Diagnostic::warning(
                Code::InvalidAddress,
                metrics.span,
                "metrics can be read by everybody who reaches this server",
            )
            .help("use 127.0.0.1, or the address of a network that only the monitoring reaches"),
        );
    }
}

/// Whether another server dials in.
fn is_dialled(judge: &Judge<'_>, server: &ServerDraft) -> bool {
    judge
        .app_servers()
        .any(|app| app.name.value != server.name.value)
}

fn link(judge: &mut Judge<'_>, server: &ServerDraft, web: &WebDraft) {
    let name = &server.name.value;
    let is_dialled = is_dialled(judge, server);
    match (&web.link, &web.link_address) {
        (None, None) if is_dialled => judge.push(
            Diagnostic::error(
                Code::MissingKey,
                server.name.span,
                format!("app servers cannot reach the web server `{name}`"),
            )
            .help(
                "give it `link`, the address where app servers dial in, such as \"0.0.0.0:7443\"",
            ),
        ),
        (None, Some(address)) if judge.is_whole(server) => judge.push(
            Diagnostic::error(
                Code::Contradiction,
                address.span,
                "how to reach a link that is not there",
            )
            .help("add `link`, the address where app servers dial in, such as \"0.0.0.0:7443\""),
        ),
        (Some(link), None) if is_dialled => {
            let wildcard = link.value.ip().is_unspecified();
            if wildcard || link.value.port() == 0 {
                let (label, help) = if wildcard {
                    (
                        "this stands for all addresses of the server",
                        "add `link_address`, how app servers reach it, such as \"10.1.0.2:7443\"",
                    )
                } else {
                    (
                        "this stands for any free port",
                        "give `link` a port, such as 7443",
                    )
                };
                judge.push(
                    Diagnostic::error(
                        Code::InvalidAddress,
                        link.span,
                        format!("app servers cannot know how to reach the web server `{name}`"),
                    )
                    .label(label)
                    .help(help),
                );
            }
        }
        _ => {}
    }
    if let Some(address) = &web.link_address {
        let ip = address.value.host.parse::<std::net::IpAddr>();
        if ip.is_ok_and(|ip| ip.is_unspecified()) {
            judge.push(
                Diagnostic::error(
                    Code::InvalidAddress,
                    address.span,
                    "nobody can dial a wildcard address",
                )
                .help("write the name or address of the server, such as \"10.1.0.2:7443\""),
            );
        }
    }
}

fn environments(judge: &mut Judge<'_>, server: &ServerDraft) {
    let listed = server
        .app
        .as_ref()
        .and_then(|app| app.environments.as_ref());
    let Some(listed) = listed else {
        return;
    };
    repeated(&listed.value, judge.faults);
    let draft = judge.draft;
    let known = || {
        let environments = draft.environments.iter();
        environments.map(|environment| environment.name.value.as_str())
    };
    // An extracted file names what its reader serves only.
    if judge.is_whole(server) {
        for name in &listed.value {
            if !known().any(|known| known == name.value) {
                let diagnostic = Diagnostic::error(
                    Code::UnknownEnvironment,
                    name.span,
                    format!("there is no environment `{}`", name.value),
                );
                judge.push(match nearest(&name.value, known()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!(
                        "the site's environments: {}",
                        known().collect::<Vec<_>>().join(", ")
                    )),
                });
            }
        }
    }
    if listed.value.is_empty() {
        judge.push(
            Diagnostic::error(
                Code::Contradiction,
                listed.span,
                "an app server that serves no environment",
            )
            .help("leave `environments` out to serve all"),
        );
    }
}

/// Two listeners cannot share an address; a wildcard takes the port at every one.
fn addresses_differ(judge: &mut Judge<'_>, server: &ServerDraft) {
    let web = server.web.iter().flat_map(WebDraft::listeners);
    let app = server.app.iter().filter_map(|app| app.metrics.as_ref());
    let mut seen: Vec<(&str, &At<SocketAddr>)> = Vec::new();
    for (key, address) in web.chain(app.map(|address| ("metrics", address))) {
        let takes_it = |other: &SocketAddr| {
            let (own, other) = (address.value, *other);
            own.port() == other.port()
                && own.port() != 0
                && (own.ip() == other.ip()
                    || own.ip().is_unspecified()
                    || other.ip().is_unspecified())
        };
        // A server with both roles serves the metrics of both at one address.
        let first = seen.iter().find(|(other, first)| {
            takes_it(&first.value) && (key, *other) != ("metrics", "metrics")
        });
        if let Some((other, first)) = first {
            judge.push(
                Diagnostic::error(
                    Code::InvalidAddress,
                    address.span,
                    format!(
                        "`{key}` and `{other}` of the server `{}` listen at the same address",
                        server.name.value
                    ),
                )
                .related(Some(first.span), format!("`{other}`")),
            );
        }
        seen.push((key, address));
    }
}
