//! `stoa site`: check a site's file, and take out what one server may know.

use std::fs;
use std::path::Path;

use stoa_model::diagnostic::Diagnostics;

use super::{print, show};
use crate::Result;
use crate::command_line::Format;
use crate::command_line::sites::{Site, SiteCheck, SiteExtract};
use crate::failure::{Exit, Failure};
use crate::private_files;
use crate::site_file::{self, LookAt, SiteFile, extract};

pub(crate) fn run(command: &Site) -> Result<()> {
    match command {
        Site::Check(arguments) => check(arguments),
        Site::Extract(arguments) => take_out(arguments),
    }
}

/// Loads a site's file, and shows its faults and warnings on stderr.
pub(crate) fn load(path: &Path, look_at: LookAt<'_>) -> Result<SiteFile> {
    match site_file::load(path, look_at) {
        Ok(loaded) => {
            show(&loaded.warnings);
            Ok(loaded.site)
        }
        Err(faults) => {
            show(&faults);
            Err(Failure::reported(Exit::Configuration))
        }
    }
}

fn check(arguments: &SiteCheck) -> Result<()> {
    let look_at = match &arguments.server {
        Some(name) => LookAt::Server(name),
        None => LookAt::Everything,
    };
    let (site, faults) = match site_file::load(&arguments.site, look_at) {
        Ok(loaded) => (Some(loaded.site), loaded.warnings),
        Err(faults) => (None, faults),
    };
    if let (Some(site), Some(name)) = (&site, &arguments.server) {
        site.server(name)?;
    }
    report(site.as_ref(), &faults, arguments.format);
    match site {
        Some(_) => Ok(()),
        None => Err(Failure::reported(Exit::Configuration)),
    }
}

fn report(site: Option<&SiteFile>, faults: &Diagnostics, format: Format) {
    match format {
        Format::Json => print(&format!("{:#}", faults.to_json())),
        Format::Text => {
            show(faults);
            if let Some(site) = site {
                print(&summary(site));
            }
        }
    }
}

fn summary(site: &SiteFile) -> String {
    let web = site.servers.iter().filter(|server| server.web.is_some());
    let app = site.servers.iter().filter(|server| server.app.is_some());
    format!(
        "{}: valid ({} servers: {} web, {} app; {} environments)",
        site.name,
        site.servers.len(),
        web.count(),
        app.count(),
        site.environments.len(),
    )
}

fn take_out(arguments: &SiteExtract) -> Result<()> {
    let site = load(&arguments.site, LookAt::Text)?;
    if let Some(reader) = &site.extracted_for {
        return Err(Failure::new(
            Exit::Configuration,
            format!(
                "{} was itself extracted, for the server {reader}",
                arguments.site.display()
            ),
        )
        .hint("extract from the file of the whole site"));
    }
    let server = site.server(&arguments.server)?;
    let failure = |error: &dyn std::fmt::Display| {
        let shown = arguments.site.display();
        Failure::new(
            Exit::Failure,
            format!("cannot extract from {shown}: {error}"),
        )
    };
    let text = fs::read_to_string(&arguments.site).map_err(|error| failure(&error))?;
    let text = extract::extract(&text, &site, server).map_err(|error| failure(&error))?;
    let Some(output) = &arguments.output else {
        print(&text);
        return Ok(());
    };
    // It can hold the address of a database.
    private_files::make_file(output)
        .and_then(|()| fs::write(output, &text))
        .map_err(|error| {
            Failure::new(
                Exit::CannotCreate,
                format!("cannot write {}: {error}", output.display()),
            )
        })
}
