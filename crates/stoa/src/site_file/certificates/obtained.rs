//! Certificates that an authority is asked for.

use std::net::IpAddr;

use stoa_link::{chain, trust};
use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::At;
use stoa_web::acme::AccountKey;

use super::super::draft::{AcmeDraft, ServerDraft, WebDraft};
use super::super::{Host, LookAt, SiteFile};
use super::read;

/// The host names that a server asks for, of those that no certificate of its own covers; adds why it cannot.
pub(super) fn of_server(
    server: &ServerDraft,
    web: &WebDraft,
    uncovered: &[&At<Host>],
    faults: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut names = Vec::new();
    for host in uncovered {
        match &host.value {
            Host::Exact(name) if name.parse::<IpAddr>().is_err() => names.push(name.clone()),
            other => faults.push(
                Diagnostic::error(
                    Code::Certificate,
                    host.span,
                    format!("no certificate can be obtained for `{other}`"),
                )
                .label("authorities are asked for single names only")
                .help(format!(
                    "add a certificate that covers it to the server `{name}`: `[[server.{name}.web.certificate]]`",
                    name = server.name.value
                )),
            ),
        }
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
    let asks = |server: &&super::super::Server| {
        let web = server.web.as_ref();
        web.is_some_and(|web| !web.obtains.is_empty())
    };
    let Some(server) = site.servers.iter().find(asks) else {
        return;
    };
    let settings = site.acme.as_ref();
    if let (Some(at), Some(path)) = (
        &acme.value.roots,
        settings.and_then(|settings| settings.roots.as_ref()),
    ) {
        let content = read(at, path);
        let certificates = content.and_then(|content| {
            trust::certificates(path, &content)
                .map_err(|error| Diagnostic::error(Code::Certificate, at.span, error.to_string()))
        });
        faults.extend(certificates.err());
    }
    let (path, is_brought) = site.acme_account(server);
    let is_missing = match AccountKey::read(&path) {
        Ok(key) => key.is_none(),
        Err(error) => {
            faults.push(Diagnostic::error(
                Code::Certificate,
                acme.span,
                chain(&error),
            ));
            false
        }
    };
    if is_missing && is_brought {
        let message = format!("there is no {}", path.display());
        let diagnostic = match look_at {
            LookAt::Server(_) => Diagnostic::error(Code::Certificate, acme.span, message),
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
}
