//! Commands about a site: its file, the certificates of its links, serving as one of its servers.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::people::Output;
use super::{Format, Serving};

#[derive(Debug, Subcommand)]
pub(crate) enum Site {
    /// Check a site's file and what it names, and show all faults
    #[command(
        after_help = "Example:\n  stoa site check stoa.toml\n  stoa site check stoa.toml --server web1\n  \
        stoa site check stoa.toml --format json | jq '.[].message'"
    )]
    Check(SiteCheck),
    /// Write the part of a site's file that one server may know
    ///
    /// For a web server: no database, no application's folder, of other servers the names only. For an app server:
    /// the environments that it serves, and how to reach the web servers.
    #[command(
        after_help = "Example:\n  stoa site extract stoa.toml --server web1 --output web1.toml\n  \
        stoa site extract stoa.toml --server web1 | ssh web1 'cat > /etc/stoa/stoa.toml'"
    )]
    Extract(SiteExtract),
}

#[derive(Debug, Args)]
pub(crate) struct SiteCheck {
    /// The site's file
    pub(crate) site: PathBuf,
    /// Look only at what this server needs, which must be on this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Option<String>,
    /// How to show the faults: for people on stderr, or as a JSON array on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct SiteExtract {
    /// The file of the whole site
    pub(crate) site: PathBuf,
    /// Name of the server
    #[arg(long, value_name = "NAME")]
    pub(crate) server: String,
    /// File to write, for its owner only [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// Make the site's authority, once
    ///
    /// Its key can make certificates for any server of the site: keep it where you run `stoa trust`, not on servers.
    #[command(after_help = "Example:\n  stoa trust init stoa.toml\n  stoa trust issue stoa.toml")]
    Init(TrustInit),
    /// Make new certificates and keys for servers, over former ones
    ///
    /// Copy NAME.pem, NAME.key and authority.pem to the server. A running server takes them up by itself. Where several
    /// web servers get certificates for HTTPS from an authority ([site.acme]), also makes acme.key, once: copy it to each.
    #[command(
        after_help = "Example:\n  stoa trust issue stoa.toml\n  stoa trust issue stoa.toml web1 app1 --days 90"
    )]
    Issue(TrustIssue),
    /// Show the certificates of servers: names, roles, environments, expiry
    #[command(
        after_help = "Example:\n  stoa trust show stoa.toml\n  stoa trust show stoa.toml web1\n  \
        stoa trust show stoa.toml --json | jq '.[].expires'"
    )]
    Show(TrustShow),
}

#[derive(Debug, Args)]
pub(crate) struct TrustInit {
    /// The site's file
    pub(crate) site: PathBuf,
    /// Days that the authority is valid
    #[arg(long, value_name = "DAYS", default_value_t = 3650,
        value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct TrustIssue {
    /// The site's file
    pub(crate) site: PathBuf,
    /// Names of servers [default: all]
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    /// Days that the certificates are valid
    #[arg(long, value_name = "DAYS", default_value_t = 365,
        value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct TrustShow {
    /// The site's file
    pub(crate) site: PathBuf,
    /// Names of servers [default: all]
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// `stoa serve`: one server of a site.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The site's file
    #[arg(long, value_name = "FILE", env = "STOA_SITE", hide_env_values = true)]
    pub(crate) site: PathBuf,
    /// Which of its servers this is
    #[arg(long, value_name = "NAME", env = "STOA_SERVER", hide_env_values = true)]
    pub(crate) server: String,
    /// Make changes of databases that lose data, too
    #[arg(long, env = "STOA_ALLOW_DATA_LOSS", hide_env_values = true)]
    pub(crate) allow_data_loss: bool,
    #[command(flatten)]
    pub(crate) serving: Serving,
    /// File for the lines of --access-log [default: stderr]; opened anew when it is moved, and at SIGHUP
    #[arg(
        long,
        value_name = "FILE",
        env = "STOA_ACCESS_LOG_FILE",
        hide_env_values = true
    )]
    pub(crate) access_log_file: Option<PathBuf>,
}

/// Which server, on this machine.
#[derive(Debug, Args)]
pub(crate) struct ServerOfSite {
    /// Name of the server, which runs on this machine
    #[arg(
        value_name = "SERVER",
        id = "named",
        required_unless_present = "server",
        conflicts_with = "server"
    )]
    named: Option<String>,
    /// The same
    #[arg(long, value_name = "NAME", env = "STOA_SERVER", hide_env_values = true)]
    server: Option<String>,
    /// The site's file
    #[arg(
        long,
        value_name = "FILE",
        env = "STOA_SITE",
        default_value = "stoa.toml",
        hide_env_values = true
    )]
    pub(crate) site: PathBuf,
}

impl ServerOfSite {
    /// Name of the server.
    pub(crate) fn name(&self) -> &str {
        // One of the two is required.
        self.named
            .as_deref()
            .or(self.server.as_deref())
            .unwrap_or_default()
    }
}

/// `stoa status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) place: ServerOfSite,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `stoa maintenance`
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    /// Show the page for maintenance, or serve again
    #[arg(value_enum)]
    pub(crate) switch: Switch,
    /// Name of the environment
    pub(crate) environment: String,
    #[command(flatten)]
    pub(crate) place: ServerOfSite,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}
