//! `stoa check`: the model, the sample data and the static content.

use serde_json::{Value, json};
use stoa_model::application::{self, Application};
use stoa_model::diagnostic::Diagnostics;
use stoa_runtime::pages::Theme;
use stoa_runtime::sample_data::{self, SampleDataError};
use stoa_web::static_content::{Config, Snapshot};

use super::{print, show};
use crate::command_line::{Check, Format};
use crate::failure::{Exit, Failure, chain};
use crate::{Result, demonstration};

/// A fault outside the model.
struct Fault {
    code: &'static str,
    message: String,
}

pub(crate) fn run(arguments: &Check) -> Result<()> {
    let (application, diagnostics) = match application::load(&arguments.app) {
        Ok(loaded) => (Some(loaded.application), loaded.warnings),
        Err(faults) => (None, faults),
    };
    let theme = Theme::load(&arguments.app).err();
    // Sample data can be judged by a valid model only.
    let faults = application
        .as_ref()
        .map(beyond_the_model)
        .unwrap_or_default();
    match arguments.format {
        Format::Json => print(&format!(
            "{:#}",
            as_json(&diagnostics, theme.as_ref(), &faults)
        )),
        Format::Text => {
            show(&diagnostics);
            if let Some(theme) = &theme {
                show(theme);
            }
            for fault in &faults {
                eprintln!("error[{}]: {}", fault.code, fault.message);
            }
            if let Some(application) = &application
                && faults.is_empty()
                && theme.is_none()
            {
                print(&summary(application));
            }
        }
    }
    if application.is_some() && faults.is_empty() && theme.is_none() {
        Ok(())
    } else {
        Err(Failure::reported(Exit::Configuration))
    }
}

fn beyond_the_model(application: &Application) -> Vec<Fault> {
    let mut faults = Vec::new();
    let demonstration = application.manifest.demonstration.as_ref();
    faults.extend(
        demonstration
            .and_then(|section| demonstration::fault(section, &application.model))
            .map(|message| Fault {
                code: "demonstration",
                message,
            }),
    );
    let sample_data = |message| Fault {
        code: "sample-data",
        message,
    };
    match sample_data::read(&application.model, &application.folder.join("data")) {
        Ok(_) => {}
        Err(SampleDataError::Faults(lines)) => faults.extend(lines.into_iter().map(sample_data)),
        Err(error) => faults.push(sample_data(chain(&error))),
    }
    let web = application.folder.join("web");
    if web.exists()
        && let Err(error) = Snapshot::load(&web, &Config::default(), None)
    {
        faults.push(Fault {
            code: "static-content",
            message: chain(&error),
        });
    }
    faults
}

fn as_json(diagnostics: &Diagnostics, theme: Option<&Diagnostics>, faults: &[Fault]) -> Value {
    let mut json = diagnostics.to_json();
    if let Value::Array(list) = &mut json {
        if let Some(Value::Array(theme)) = theme.map(Diagnostics::to_json) {
            list.extend(theme);
        }
        list.extend(faults.iter().map(
            |fault| json!({ "severity": "error", "code": fault.code, "message": fault.message }),
        ));
    }
    json
}

fn summary(application: &Application) -> String {
    let model = &application.model;
    format!(
        "{}: valid ({} entities, {} collections, {} enumerations, {} user roles)",
        application.manifest.name,
        model
            .entities
            .iter()
            .filter(|entity| !entity.is_of_system())
            .count(),
        super::collections(model),
        model.enumerations.len(),
        model.roles.len(),
    )
}
