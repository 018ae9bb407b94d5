//! Rules of sense: what a site's file says must fit together. Looks at no other file.

mod environments;
mod servers;

use std::collections::HashMap;
use std::path::Path;

use stoa_link::trust::is_label;
use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::document::{At, nearest};

use super::draft::{AcmeDraft, Draft, EnvironmentDraft, ServerDraft};

/// Names that files or folders of the product's own have where others are named by the site's file: of what, and what
/// the name is for.
const RESERVED: &[(&str, &str, &str)] = &[
    (
        "server",
        "authority",
        "the certificates of the site's authority have this name",
    ),
    (
        "server",
        "acme",
        "the key of the account for certificates has this name",
    ),
    (
        "environment",
        "content",
        "copies of static content are kept under this name",
    ),
    (
        "environment",
        "certificates",
        "certificates are kept under this name",
    ),
];

/// Adds what is wrong.
pub(super) fn judge(draft: &Draft, folder: &Path, faults: &mut Vec<Diagnostic>) {
    let mut judge = Judge {
        draft,
        folder,
        faults,
    };
    judge.names();
    judge.site();
    servers::judge(&mut judge);
    environments::judge(&mut judge);
}

struct Judge<'a> {
    draft: &'a Draft,
    folder: &'a Path,
    faults: &'a mut Vec<Diagnostic>,
}

impl<'a> Judge<'a> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.faults.push(diagnostic);
    }

    /// The file says all of this server that there is to say.
    fn is_whole(&self, server: &ServerDraft) -> bool {
        let for_whom = self.draft.extracted_for.as_ref();
        for_whom.is_none_or(|name| name.value == server.name.value)
    }

    /// The server that the file was extracted for.
    fn reader(&self) -> Option<&'a ServerDraft> {
        let name = &self.draft.extracted_for.as_ref()?.value;
        let mut servers = self.draft.servers.iter();
        servers.find(|server| server.name.value == *name)
    }

    /// The file was extracted for a server that is no app server.
    fn is_for_web_only(&self) -> bool {
        self.reader().is_some_and(|server| !server.is_app())
    }

    fn app_servers(&self) -> impl Iterator<Item = &'a ServerDraft> + use<'a> {
        self.draft.servers.iter().filter(|server| server.is_app())
    }

    fn web_servers(&self) -> impl Iterator<Item = &'a ServerDraft> + use<'a> {
        self.draft.servers.iter().filter(|server| server.is_web())
    }

    fn app_servers_of(
        &self,
        environment: &'a EnvironmentDraft,
    ) -> impl Iterator<Item = &'a ServerDraft> + use<'a> {
        let name = &environment.name.value;
        self.app_servers().filter(move |server| {
            let app = server.app.as_ref();
            let listed = app.and_then(|app| app.environments.as_ref());
            listed.is_none_or(|listed| listed.value.iter().any(|listed| listed.value == *name))
        })
    }

    fn names(&mut self) {
        let draft = self.draft;
        let servers = draft.servers.iter().map(|server| (&server.name, "server"));
        let environments = draft.environments.iter();
        let environments = environments.map(|environment| (&environment.name, "environment"));
        let site = draft.name.iter().map(|name| (name, "site"));
        for (name, what) in site.chain(servers).chain(environments) {
            let shown: String = name.value.chars().take(100).collect();
            if !is_label(&name.value) {
                self.push(
                    Diagnostic::error(
                        Code::InvalidName,
                        name.span,
                        format!("`{shown}` is no name of a {what}"),
                    )
                    .help("names have 1 to 63 of a–z, 0–9 and -, with no - at either end"),
                );
            } else if let Some((_, _, why)) = RESERVED
                .iter()
                .find(|(of, reserved, _)| *of == what && name.value == *reserved)
            {
                self.push(
                    Diagnostic::error(
                        Code::ReservedName,
                        name.span,
                        format!("no {what} can be named `{shown}`"),
                    )
                    .label(*why),
                );
            }
        }
    }

    fn site(&mut self) {
        let draft = self.draft;
        if let Some(name) = &draft.extracted_for
            && self.reader().is_none()
        {
            let names = draft
                .servers
                .iter()
                .map(|server| server.name.value.as_str());
            self.push(
                Diagnostic::error(
                    Code::UnknownServer,
                    name.span,
                    format!("there is no server `{}`", name.value),
                )
                .nearest(nearest(&name.value, names)),
            );
        }
        if let Some(acme) = &draft.acme {
            self.acme(acme);
        }
        let span = draft.name.as_ref().map(|name| name.span);
        let has_roles = draft.servers.iter().all(|server| !server.roles.is_empty());
        for (role, what, is_there) in [
            ("web", "no web server", self.web_servers().next().is_some()),
            ("app", "no app server", self.app_servers().next().is_some()),
        ] {
            if !is_there && has_roles {
                self.push(
                    Diagnostic::error(Code::MissingKey, span, format!("the site has {what}"))
                        .help(format!(
                            "give a server the role: roles = [\"{role}\"], or [\"web\", \"app\"] for both"
                        )),
                );
            }
        }
    }

    fn acme(&mut self, acme: &At<AcmeDraft>) {
        if let Some(agreed) = &acme.value.terms_agreed
            && !agreed.value
        {
            self.push(
                Diagnostic::error(
                    Code::Contradiction,
                    agreed.span,
                    "no authority gives certificates to those who do not agree to its terms",
                )
                .help(
                    "read them (those of Let's Encrypt are at https://letsencrypt.org/repository/) and write \
                     terms_agreed = true; or remove `[site.acme]`",
                ),
            );
        }
        let mut web = self.web_servers().filter_map(|server| server.web.as_ref());
        if self.draft.extracted_for.is_none()
            && web.all(|web| web.https.is_none() && !web.is_partial)
        {
            self.push(
                Diagnostic::warning(
                    Code::Contradiction,
                    acme.span,
                    "no web server needs a certificate",
                )
                .help("give one `https`, such as \"0.0.0.0:443\"; or remove `[site.acme]`"),
            );
        }
    }
}

/// Reports what is in a list twice.
fn repeated<'a, T: std::hash::Hash + Eq + ToString + 'a>(
    list: impl IntoIterator<Item = &'a At<T>>,
    faults: &mut Vec<Diagnostic>,
) {
    let mut seen = HashMap::new();
    for item in list {
        if let Some(first) = seen.insert(&item.value, item.span) {
            faults.push(
                Diagnostic::error(
                    Code::Repeated,
                    item.span,
                    format!("`{}` is given twice", item.value.to_string()),
                )
                .related(Some(first), "first here"),
            );
        }
    }
}
