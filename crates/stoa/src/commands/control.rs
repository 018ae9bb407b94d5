//! Commands to a server of a site that runs on this machine: status, drain, maintenance.

use http::Method;
use serde_json::Value;

use super::listing::{plain, table};
use super::{print, show};
use crate::Result;
use crate::command_line::sites::{Maintenance, ServerOfSite, Status, Switch};
use crate::failure::{Exit, Failure};
use crate::serve::control;
use crate::site_file::{self, LookAt};

fn ask(place: &ServerOfSite, method: Method, target: &str) -> Result<Value> {
    let loaded = site_file::load(&place.site, LookAt::Text).map_err(|faults| {
        show(&faults);
        Failure::reported(Exit::Configuration)
    })?;
    let server = loaded.site.server(place.name())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start: {error}")))?;
    runtime.block_on(control::ask(&server.data, method, target))
}

pub(crate) fn status(arguments: &Status) -> Result<()> {
    let status = ask(&arguments.place, Method::GET, "/status")?;
    if arguments.json {
        print(&status.to_string());
        return Ok(());
    }
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    for server in list("servers") {
        print(&format!(
            "server {} of site {}, roles {}, version {}, up {} s; {} requests/s, p50 {} ms, p99 {} ms",
            cell(&server["name"]),
            cell(&status["site"]),
            cell(&server["roles"]),
            cell(&server["version"]),
            cell(&server["uptime_seconds"]),
            cell(&server["pace"]["requests_per_second"]),
            cell(&server["pace"]["p50_milliseconds"]),
            cell(&server["pace"]["p99_milliseconds"])
        ));
    }
    section(
        "environments",
        [
            "name", "hosts", "ready", "requests", "repeated", "failed", "refused",
        ],
        &list("environments"),
    );
    section(
        "certificates",
        [
            "names",
            "from",
            "expires",
            "days_left",
            "problem",
            "next_try",
        ],
        &list("certificates"),
    );
    section("sessions", ["environment", "living"], &list("sessions"));
    section(
        "instances",
        [
            "id",
            "server",
            "environments",
            "state",
            "in_flight",
            "open",
            "attached_seconds",
        ],
        &list("instances"),
    );
    section(
        "links",
        [
            "environment",
            "web_server",
            "address",
            "state",
            "connections",
            "idle_connections",
            "reason",
        ],
        &list("links"),
    );
    Ok(())
}

/// A table with a column for each of these members.
fn section<const N: usize>(title: &str, members: [&str; N], values: &[Value]) {
    if values.is_empty() {
        return;
    }
    let rows: Vec<[String; N]> = values
        .iter()
        .map(|value| members.map(|member| cell(&value[member])))
        .collect();
    print(&format!("\n{title}\n{}", table(members, &rows)));
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

pub(crate) fn drain(arguments: &ServerOfSite) -> Result<()> {
    transition(
        arguments,
        "/drain",
        "finish what they have begun, and are asked nothing new",
    )
}

pub(crate) fn undrain(arguments: &ServerOfSite) -> Result<()> {
    transition(arguments, "/undrain", "are asked again")
}

fn transition(arguments: &ServerOfSite, target: &str, outcome: &str) -> Result<()> {
    let answer = ask(arguments, Method::POST, target)?;
    match answer["instances"].as_u64() {
        Some(0) | None => Err(Failure::new(
            Exit::Configuration,
            format!(
                "{} has no instances that web servers ask over links",
                arguments.name()
            ),
        )
        .hint("a web server drains when it is told to stop: SIGTERM")),
        Some(instances) => {
            print(&format!(
                "{instances} instances of {} {outcome}",
                arguments.name()
            ));
            Ok(())
        }
    }
}

pub(crate) fn maintain(arguments: &Maintenance) -> Result<()> {
    let switch = match arguments.switch {
        Switch::On => "on",
        Switch::Off => "off",
    };
    let environment = &arguments.environment;
    ask(
        &arguments.place,
        Method::POST,
        &format!("/maintenance/{environment}/{switch}"),
    )?;
    print(&format!(
        "maintenance of {environment} is {switch} at {}",
        arguments.place.name()
    ));
    Ok(())
}
