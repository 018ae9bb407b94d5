//! Certificates of links: there, for this server with these roles and environments, and not about to expire.

use stoa_link::trust::{Authority, Files, LinkIdentity};
use stoa_model::diagnostic::{Code, Diagnostic, Span};

use super::certificates::expiry;
use super::draft::{Draft, ServerDraft};
use super::{LookAt, Server, SiteFile};
use crate::failure::chain;

/// Adds what is wrong with the certificates of links.
pub(super) fn judge(
    draft: &Draft,
    site: &SiteFile,
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    let needs_links = |server: &Server| needs_links(site, server);
    if !site.servers.iter().any(needs_links) {
        return;
    }
    let span = draft
        .trust
        .as_ref()
        .or(draft.name.as_ref())
        .map(|at| at.span);
    if look_at == LookAt::Everything && !Authority::certificate_file(&site.trust).exists() {
        faults.push(
            Diagnostic::warning(
                Code::Certificate,
                span,
                format!(
                    "there are no certificates of links in {}",
                    site.trust.display()
                ),
            )
            .help("make them with `stoa trust init` and `stoa trust issue`"),
        );
        return;
    }
    for (draft, server) in draft.servers.iter().zip(&site.servers) {
        if !needs_links(server) {
            continue;
        }
        match look_at {
            LookAt::Text => {}
            LookAt::Server(name) if server.name == name => {
                of_server(draft, site, server, look_at, faults)
            }
            LookAt::Server(_) => {}
            LookAt::Everything if Files::of(&site.trust, &server.name).certificate.exists() => {
                of_server(draft, site, server, look_at, faults);
            }
            LookAt::Everything => faults.push(
                Diagnostic::warning(
                    Code::Certificate,
                    draft.name.span,
                    format!("the server `{}` has no certificate for links", server.name),
                )
                .help(format!(
                    "make it with `stoa trust issue {} {}`",
                    site.path.display(),
                    server.name
                )),
            ),
        }
    }
}

/// Whether a server dials others or is dialled by others.
pub(super) fn needs_links(site: &SiteFile, server: &Server) -> bool {
    let others = || {
        site.servers
            .iter()
            .filter(|other| other.name != server.name)
    };
    let dials = server.app.is_some() && others().any(|other| other.web.is_some());
    let is_dialled = server.web.is_some() && others().any(|other| other.app.is_some());
    dials || is_dialled
}

fn of_server(
    draft: &ServerDraft,
    site: &SiteFile,
    server: &Server,
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    let span: Span = draft.name.span;
    let command = format!(
        "make a new one with `stoa trust issue {} {}`",
        site.path.display(),
        server.name
    );
    let files = Files::of(&site.trust, &server.name);
    let mut fault = |message: String| {
        faults.push(Diagnostic::error(Code::Certificate, span, message).help(&command));
    };
    let identity = match LinkIdentity::load(&files) {
        Ok(identity) => identity,
        Err(error) => return fault(chain(&error)),
    };
    let description = identity.description();
    let names = &description.names;
    if names.server != server.name {
        fault(format!(
            "{} is the certificate of the server `{}`",
            files.certificate.display(),
            names.server
        ));
        return;
    }
    if description.roles != server.roles() {
        fault(format!(
            "the certificate of `{}` for links is for other roles than the server has",
            server.name
        ));
    }
    let missing: Vec<String> = server
        .environments()
        .difference(&names.environments)
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        fault(format!(
            "the certificate of `{}` for links does not name the environment {}",
            server.name,
            missing.join(", ")
        ));
    }
    faults.extend(expiry(
        &draft.name,
        &format!("the certificate of `{}` for links", server.name),
        description.not_after,
        look_at,
    ));
}
