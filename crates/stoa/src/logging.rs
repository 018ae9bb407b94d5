//! The log: text for people, JSON for programs.

use std::io::{IsTerminal as _, stderr};
use std::path::Path;

use stoa_web::access_log::{self, AccessLog, AccessLogError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::command_line::LogFormat;

/// What follows signs somebody in.
const ONE_TIME_LINKS: &str = "/-/link/";

/// Whether the log is JSON.
pub(crate) fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

/// Starts logging to stderr. `filter` was found valid before.
pub(crate) fn start(filter: &str, json: bool) -> Result<(), TryInitError> {
    let filter = EnvFilter::try_new(filter).unwrap_or_default();
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(stderr);
        registry.with(layer).try_init()
    } else {
        let coloured = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(coloured)
            .with_target(false)
            .with_writer(stderr);
        registry.with(layer).try_init()
    }
}

/// The log of requests: beside the server's own, in the form that suits it.
pub(crate) fn start_access_log(
    json: bool,
    file: Option<&Path>,
) -> Result<AccessLog, AccessLogError> {
    AccessLog::open(access_log::Config {
        format: if json {
            access_log::Format::Json
        } else {
            access_log::Format::Combined
        },
        target: file.map_or(access_log::Target::Stderr, |file| {
            access_log::Target::File(file.to_owned())
        }),
        secrets: vec![ONE_TIME_LINKS.to_owned()],
    })
}
