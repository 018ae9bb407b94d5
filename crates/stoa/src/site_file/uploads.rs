//! Uploaded files where several app servers serve an environment: each must find what another one has stored.

use stoa_model::application;
use stoa_model::diagnostic::{Code, Diagnostic};
use stoa_model::value::ScalarType;

use super::draft::Draft;
use super::{LookAt, Serves, SiteFile};

/// Warns of environments whose uploaded files would be on one of their app servers only.
pub(super) fn judge(
    draft: &Draft,
    site: &SiteFile,
    look_at: LookAt<'_>,
    faults: &mut Vec<Diagnostic>,
) {
    for (draft, environment) in draft.environments.iter().zip(&site.environments) {
        let Serves::Application(application) = &environment.serves else {
            continue;
        };
        let servers: Vec<&str> = site
            .app_servers_of(environment)
            .map(|server| server.name.as_str())
            .collect();
        let is_looked_at = match look_at {
            LookAt::Text => false,
            LookAt::Everything => true,
            LookAt::Server(name) => servers.contains(&name),
        };
        if !is_looked_at || servers.len() < 2 || environment.data.is_some() {
            continue;
        }
        // Whoever is to serve it tells what is wrong with the application.
        let Ok(loaded) = application::load(&application.folder) else {
            continue;
        };
        let mut attributes = loaded.application.model.entities.iter().flat_map(|entity| {
            let attributes = entity.attributes.iter();
            attributes.map(move |attribute| (entity, attribute))
        });
        let file = attributes.find(|(_, attribute)| attribute.scalar_type == ScalarType::File);
        if let Some((entity, attribute)) = file {
            faults.push(
                Diagnostic::warning(
                    Code::Contradiction,
                    draft.name.span,
                    format!(
                        "each app server of `{}` ({}) would keep uploaded files, such as {}/{}, for itself",
                        environment.name,
                        servers.join(", "),
                        entity.name,
                        attribute.name,
                    ),
                )
                .help("give the environment a `data` folder that all of them mount at the same place"),
            );
        }
    }
}
