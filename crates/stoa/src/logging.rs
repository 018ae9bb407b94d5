//! The log: text for people, JSON for programs.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::command_line::LogFormat;

/// Target of the line for each request.
pub(crate) const ACCESS: &str = "stoa::access";

/// Whether the log is JSON.
pub(crate) fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

/// Starts logging to stderr. `filter` was found valid before.
pub(crate) fn start(filter: &str, json: bool, access_log: bool) -> Result<(), TryInitError> {
    let mut filter = EnvFilter::try_new(filter).unwrap_or_default();
    let access = if access_log {
        "stoa::access=info"
    } else {
        "stoa::access=off"
    };
    if let Ok(directive) = access.parse::<Directive>() {
        filter = filter.add_directive(directive);
    }
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
