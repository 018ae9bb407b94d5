//! Certificates for HTTPS: usable, for the host names that are served, and not about to expire.

mod obtained;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use stoa_link::trust;
use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::At;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::draft::{CertificateDraft, Draft, ServerDraft, WebDraft};
use super::{CertificateFiles, Host, LookAt, SiteFile};

/// A certificate that expires sooner is warned of.
const SOON: Duration = Duration::from_hours(30 * 24);

/// Adds what is wrong with the certificates of web servers, and notes which are to be obtained.
pub(super) fn judge(
    draft: &Draft,
    site: &mut SiteFile,
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    for (server, resolved) in draft.servers.iter().zip(&mut site.servers) {
        if let (Some(web), Some(resolved)) = (&server.web, &mut resolved.web)
            && look_at.concerns(&server.name.value)
            && resolved.https.is_some()
            && let Some(names) = examine_all(web, &resolved.certificates, look_at, faults)
        {
            let hosts = draft
                .environments
                .iter()
                .filter_map(|one| one.hosts.as_ref());
            let is_covered = |host: &Host| names.iter().any(|name| host.is_covered_by(name));
            let hosts = hosts.flat_map(|hosts| &hosts.value);
            let uncovered: Vec<_> = hosts.filter(|host| !is_covered(&host.value)).collect();
            if draft.acme.is_some() {
                resolved.obtains = obtained::of_server(server, web, &uncovered, faults);
            } else {
                faults.extend(nobody_covers(server, web, &uncovered, &names));
            }
        }
    }
    if let Some(acme) = &draft.acme {
        obtained::judge(acme, site, look_at, faults);
    }
}

/// The names of all certificates; none when one cannot be used.
fn examine_all(
    web: &WebDraft,
    files: &[CertificateFiles],
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut all_are_known = true;
    for (draft, files) in web.certificates.iter().zip(files) {
        match examine(draft, files) {
            Ok(facts) => {
                faults.extend(expiry(
                    &draft.chain,
                    "the certificate",
                    facts.not_after,
                    look_at,
                ));
                names.extend(facts.names);
            }
            Err(fault) => {
                all_are_known = false;
                faults.push(fault);
            }
        }
    }
    all_are_known.then_some(names)
}

fn nobody_covers(
    server: &ServerDraft,
    web: &WebDraft,
    uncovered: &[&At<Host>],
    names: &[String],
) -> Option<Diagnostic> {
    let last = web.certificates.last()?;
    if uncovered.is_empty() {
        return None;
    }
    let uncovered = uncovered.iter().map(|host| format!("`{}`", host.value));
    let uncovered: Vec<_> = uncovered.collect();
    let fault = Diagnostic::error(
        Code::Certificate,
        last.chain.span,
        format!(
            "no certificate of the server `{}` covers {}",
            server.name.value,
            uncovered.join(", ")
        ),
    );
    Some(
        fault
            .label(format!("covered: {}", names.join(", ")))
            .help("get a certificate with these names, and add it as another `certificate`"),
    )
}

struct Facts {
    names: Vec<String>,
    not_after: SystemTime,
}

fn examine(draft: &CertificateDraft, files: &CertificateFiles) -> Result<Facts, Diagnostic> {
    let chain = read(&draft.chain, &files.chain)?;
    let key = read(&draft.key, &files.key)?;
    let fault =
        |at: &At<String>, message: String| Diagnostic::error(Code::Certificate, at.span, message);
    let chain = trust::certificates(&files.chain, &chain)
        .map_err(|error| fault(&draft.chain, error.to_string()))?;
    let key = trust::private_key(&files.key, &key)
        .map_err(|error| fault(&draft.key, error.to_string()))?;
    let facts = chain
        .first()
        .ok_or_else(|| "there is none".to_owned())
        .and_then(|certificate| facts(certificate))
        .map_err(|why| {
            let shown = files.chain.display();
            fault(&draft.chain, format!("{shown} is no certificate: {why}"))
        })?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => fault(
            &draft.key,
            "the key does not belong to the certificate".to_owned(),
        ),
        error => fault(&draft.key, format!("the key cannot be used: {error}")),
    })?;
    Ok(facts)
}

fn read(at: &At<String>, path: &Path) -> Result<Vec<u8>, Diagnostic> {
    fs::read(path).map_err(|error| {
        Diagnostic::error(
            Code::Unreadable,
            at.span,
            format!("cannot read {}: {error}", path.display()),
        )
        .help("on another machine than the server's, check what is here with --server NAME")
    })
}

fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let alternative = certificate
        .subject_alternative_name()
        .map_err(|error| error.to_string())?;
    let names = alternative
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            _ => None,
        })
        .collect();
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Facts {
        names,
        not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
    })
}

/// What there is to say of when a certificate expires. One that has expired is a fault of the site, but keeps no
/// server from starting: a restart must not make things worse, and a new certificate is taken up while it runs.
pub(super) fn expiry(
    at: &At<String>,
    what: &str,
    not_after: SystemTime,
    look_at: LookAt<'_>,
) -> Option<Diagnostic> {
    let code = Code::Certificate;
    match not_after.duration_since(SystemTime::now()) {
        Err(_) => {
            let message = format!("{what} has expired");
            Some(match look_at {
                LookAt::Server(_) => Diagnostic::warning(code, at.span, message),
                LookAt::Text | LookAt::Everything => Diagnostic::error(code, at.span, message),
            })
        }
        Ok(remaining) if remaining < SOON => {
            let days = remaining.as_secs() / (24 * 3600);
            let message = format!("{what} expires in {days} days");
            Some(Diagnostic::warning(code, at.span, message))
        }
        Ok(_) => None,
    }
}
