//! Certificates that an authority is asked for.

use stoa_link::chain;
use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::At;
use stoa_web::acme::AccountKey;

use super::super::draft::{AcmeDraft, ServerDraft, WebDraft};
use super::super::{Host, LookAt, Server, SiteFile};

/// The host names that a server asks for, of those that no certificate of its own covers; adds why it cannot.
pub(super) fn of_server(
    server: &ServerDraft,
    web: &WebDraft,
    uncovered: &[&At<Host>],
    faults: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut names = Vec::new();
    for host in uncovered {
        match host.value.single() {
            Some(name) => names.push(name.to_owned()),
            None => faults.push(
                Diagnostic::error(
                    Code::Certificate,
                    host.span,
                    format!("no certificate can be obtained for `{}`", host.value),
                )
                .label("authorities are asked for single names only")
                .help(format!(
                    "add a certificate that covers it to the server `{name}`: `[[server.{name}.web.certificate]]`",
                    name = server.name.value
                )),
            ),
        }
    }
    if let Some(http) = web
        .http
        .as_ref()
        .filter(|http| http.value.ip().is_loopback())
        && !names.is_empty()
    {
        faults.push(
            Diagnostic::warning(
                Code::InvalidAddress,
                http.span,
                "the authority that gives certificates cannot ask this address",
            )
            .label("this machine only")
            .help("use an address that can be reached from outside, such as 0.0.0.0:80"),
        );
    }
    if let (Some(https), None) = (&web.https, &web.http)
        && !names.is_empty()
    {
        faults.push(
            Diagnostic::error(
                Code::MissingKey,
                https.span,
                format!(
                    "no authority can ask the server `{}` whether host names are its own",
                    server.name.value
                ),
            )
            .help("it asks over HTTP: add http = \"0.0.0.0:80\""),
        );
    }
    names
}

/// Adds what keeps every server from asking.
pub(super) fn judge(
    acme: &At<AcmeDraft>,
    site: &SiteFile,
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    let asks = |server: &&Server| {
        look_at.concerns(&server.name) && server.web.as_ref().is_some_and(|web| site.asks(web))
    };
    let Some(server) = site.servers.iter().find(asks) else {
        return;
    };
    let roots = site.acme.as_ref().and_then(|acme| acme.roots.as_ref());
    if let (Some(at), Some(path)) = (&acme.value.roots, roots)
        && let Err(error) = stoa_web::acme::check_roots(path)
    {
        faults.push(Diagnostic::error(Code::Certificate, at.span, chain(&error)));
    }
    let (path, is_brought) = site.acme_account(server);
    if !is_brought {
        return;
    }
    let fault = |message| Diagnostic::error(Code::Certificate, acme.span, message);
    match AccountKey::read(&path) {
        Ok(Some(_)) => {}
        Ok(None) => {
            let message = format!("there is no {}", path.display());
            let diagnostic = match look_at {
                LookAt::Server(_) => fault(message),
                LookAt::Text | LookAt::Everything => {
                    Diagnostic::warning(Code::Certificate, acme.span, message)
                }
            };
            faults.push(
                diagnostic
                    .label("web servers answer the authority for each other with one key")
                    .help("make it with `stoa trust issue`, and copy it to each web server"),
            );
        }
        Err(error) => faults.push(fault(chain(&error))),
    }
}
