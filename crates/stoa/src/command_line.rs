//! Commands and flags. Each flag is defined here once; the help, the environment names and the guide follow.

pub(crate) mod people;
pub(crate) mod sites;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failure; 64 wrong command line, setting or model; 65 the data does not fit the model or would \
be lost; 69 database unreachable or address in use; 73 a file or folder cannot be written; 75 somebody else is at \
work, try later.";

/// Turns a model into a running application.
#[derive(Debug, Parser)]
#[command(
    name = "stoa",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = concat!("Example:\n  stoa new shop && stoa run shop\n"),
    after_long_help = format!("Example:\n  stoa new shop && stoa run shop\n\n{EXIT_CODES}")
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a small application that runs at once
    #[command(after_help = "Example:\n  stoa new shop\n  stoa run shop")]
    New(New),
    /// Check a whole application and show all faults
    #[command(
        after_help = "Example:\n  stoa check shop\n  stoa check shop --format json | jq '.[].message'"
    )]
    Check(Check),
    /// Serve an application
    #[command(
        after_help = "Example:\n  stoa run shop\n  stoa run shop --listen 127.0.0.1:9000 --watch\n  \
        STOA_DATABASE=postgres://shop:secret@db/shop stoa run shop --data /var/lib/shop",
        after_long_help = format!("Example:\n  stoa run shop\n  stoa run shop --listen 127.0.0.1:9000 --watch\n  \
        STOA_DATABASE=postgres://shop:secret@db/shop stoa run shop --data /var/lib/shop\n\n{EXIT_CODES}")
    )]
    Run(Run),
    /// See and make changes of the database structure
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa db plan shop\n  stoa db apply shop\n  \
        stoa db init --database postgres://postgres@db/shop"
    )]
    Db {
        #[command(subcommand)]
        command: Db,
    },
    /// Add users, give them roles, keep them out
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa user add shop anna --role Sales\n  stoa user list shop"
    )]
    User {
        #[command(subcommand)]
        command: people::User,
    },
    /// See the roles of the application
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa role list shop"
    )]
    Role {
        #[command(subcommand)]
        command: people::Role,
    },
    /// Let programs in: Excel, Power BI, scripts
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa token create shop anna 'Excel, sales report'"
    )]
    Token {
        #[command(subcommand)]
        command: people::Token,
    },
    /// See what the access rules come to
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa access explain shop --user anna --entity Order"
    )]
    Access {
        #[command(subcommand)]
        command: people::Access,
    },
    /// Read the audit trail: who signed in, who changed what
    #[command(
        after_help = "Example:\n  stoa audit shop --since 1d\n  stoa audit shop --follow --json\n  \
        stoa audit shop --entity Order --key 018b89c8-ff08-7ed8-a5ae-e65417397166"
    )]
    Audit(people::Audit),
    /// Administrators of the site, who are no users of the application
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa admin link shop\n  stoa admin add shop kim"
    )]
    Admin {
        #[command(subcommand)]
        command: people::Administrator,
    },
    /// Check the file of a site of several servers, and take out what one of them may know
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa site check stoa.toml\n  stoa site extract stoa.toml --server web1 --output web1.toml"
    )]
    Site {
        #[command(subcommand)]
        command: sites::Site,
    },
    /// Certificates with which the servers of a site know each other
    #[command(
        arg_required_else_help = true,
        after_help = "Example:\n  stoa trust init stoa.toml\n  stoa trust issue stoa.toml\n  stoa trust show stoa.toml"
    )]
    Trust {
        #[command(subcommand)]
        command: sites::Trust,
    },
    /// Serve one server of a site, in its roles
    #[command(
        after_help = "Example:\n  stoa serve --site stoa.toml --server web1\n  \
        STOA_SITE=/etc/stoa/stoa.toml STOA_SERVER=app1 stoa serve"
    )]
    Serve(sites::Serve),
    /// Show how a server of a site is: instances, environments, links
    #[command(
        after_help = "Example:\n  stoa status web1 --site stoa.toml\n  stoa status web1 --json | jq '.instances[].state'"
    )]
    Status(sites::Status),
    /// Let the instances of an app server finish, and ask them nothing new
    #[command(after_help = "Example:\n  stoa drain app1 --site stoa.toml")]
    Drain(sites::ServerOfSite),
    /// Let the instances of an app server be asked again
    #[command(after_help = "Example:\n  stoa undrain app1 --site stoa.toml")]
    Undrain(sites::ServerOfSite),
    /// Show the page for maintenance instead of an environment, at one web server
    #[command(
        after_help = "Example:\n  stoa maintenance on production web1\n  stoa maintenance off production web1"
    )]
    Maintenance(sites::Maintenance),
    /// Print the JSON Schema of the files of an application or a site, for editors
    #[command(
        after_help = "Example:\n  stoa schema model > model.schema.json\n  stoa schema site > site.schema.json"
    )]
    Schema(Schema),
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// Folder to make; its last part becomes the application's name
    pub(crate) name: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Folder of the application
    pub(crate) app: PathBuf,
    /// How to show the faults: for people on stderr, or as a JSON array on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which files: `app.toml`, those under `model/`, or a site's `stoa.toml`
    #[arg(value_enum, default_value_t = SchemaOf::Model)]
    pub(crate) of: SchemaOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    App,
    Model,
    Site,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Show what would change in the database, and why
    #[command(after_help = "Example:\n  stoa db plan shop --database postgres://shop@db/shop")]
    Plan(DbPlan),
    /// Change the database; a new one gets the sample data
    #[command(after_help = "Example:\n  stoa db apply shop --allow-data-loss")]
    Apply(DbApply),
    /// Make a PostgreSQL database with an owner for `stoa db apply` and a user with few rights for `stoa run`
    ///
    /// Makes what is not there: the database, a role that owns its tables and changes their structure, and a role
    /// that can only read and write rows (of the audit trail: read and add). Existing tables of Stoa become the
    /// owner's. Nobody else may connect afterwards. Strong passwords are made and shown once. Doing it again changes
    /// nothing.
    #[command(
        after_help = "Passwords of your own: STOA_OWNER_PASSWORD and STOA_RUNTIME_PASSWORD, or files.\n\nExample:\n  \
        stoa db init --database postgres://postgres@db/shop\n  \
        stoa db init --database postgres://postgres@db/shop --owner shop_owner --runtime shop --new-passwords\n  \
        STOA_DATABASE=postgres://postgres:secret@db/northwind stoa db init examples/northwind"
    )]
    Init(DbInit),
}

#[derive(Debug, Args)]
pub(crate) struct DbInit {
    /// Folder of the application: needed only if it uses tables of others (`external = true`)
    pub(crate) app: Option<PathBuf>,
    /// Address of the database to make, for a superuser or a role with CREATEROLE and CREATEDB:
    /// postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(
        long,
        value_name = "URL",
        env = "STOA_DATABASE",
        hide_env_values = true
    )]
    pub(crate) database: Option<String>,
    /// Role that owns the tables [default: DATABASE_owner]
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// Role that serves requests [default: DATABASE_runtime]
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
    /// File whose first line is the owner's password, instead of a new one
    #[arg(long, value_name = "FILE")]
    pub(crate) owner_password_file: Option<PathBuf>,
    /// File whose first line is the runtime's password, instead of a new one
    #[arg(long, value_name = "FILE")]
    pub(crate) runtime_password_file: Option<PathBuf>,
    /// Give existing roles new passwords, too
    #[arg(long)]
    pub(crate) new_passwords: bool,
    /// How to show what was done: for people, or as JSON
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DbPlan {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How to show the plan: for people, or as JSON
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DbApply {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Make changes that lose data, too
    #[arg(long)]
    pub(crate) allow_data_loss: bool,
}

/// The application and where its data is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Folder of the application
    pub(crate) app: PathBuf,
    /// Folder for the embedded database and uploaded files [default: APP/.stoa]
    #[arg(long, value_name = "DIR", env = "STOA_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// Database: sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE [default: sqlite:DATA/data.sqlite]
    #[arg(
        long,
        value_name = "URL",
        env = "STOA_DATABASE",
        hide_env_values = true
    )]
    pub(crate) database: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Address to serve at
    #[arg(
        long,
        value_name = "ADDR",
        env = "STOA_LISTEN",
        default_value = "127.0.0.1:8080",
        hide_env_values = true
    )]
    pub(crate) listen: String,
    /// Reload the application when its files change, without losing a request
    #[arg(long, env = "STOA_WATCH", hide_env_values = true)]
    pub(crate) watch: bool,
    /// A proxy that adds TLS stands in front: what it says of the client is believed (`X-Forwarded-For`,
    /// `X-Forwarded-Proto`, `X-Forwarded-Host`), and an address that other machines reach may be served
    #[arg(long, env = "STOA_BEHIND_TLS", hide_env_values = true)]
    pub(crate) behind_tls: bool,
    /// Name under which people reach the server, besides the machine's own; more than once for several
    #[arg(
        long = "host",
        value_name = "NAME",
        env = "STOA_HOST",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) hosts: Vec<String>,
    /// OpenID providers to sign in with: a file [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "STOA_SIGN_IN",
        hide_env_values = true
    )]
    pub(crate) sign_in: Option<PathBuf>,
    /// Make the application's users for demonstration, whose password everybody knows: on loopback, in a
    /// database of their own only
    #[arg(long, env = "STOA_DEMO_USERS", hide_env_values = true)]
    pub(crate) demo_users: bool,
    /// Make changes of the database that lose data, too
    #[arg(long, env = "STOA_ALLOW_DATA_LOSS", hide_env_values = true)]
    pub(crate) allow_data_loss: bool,
    /// Loopback address for metrics and health, or `off`
    #[arg(
        long,
        value_name = "ADDR",
        env = "STOA_ADMIN",
        default_value = "127.0.0.1:9090",
        hide_env_values = true
    )]
    pub(crate) admin: String,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// What every server is told, alone or as one of a site.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    /// What to log: error, warn, info, debug, trace, or a list like `info,stoa_store=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "STOA_LOG",
        default_value = "info",
        hide_env_values = true
    )]
    pub(crate) log: String,
    /// How to log: `auto` is text on a terminal and JSON otherwise
    #[arg(long, value_enum, value_name = "FORMAT", env = "STOA_LOG_FORMAT", default_value_t = LogFormat::Auto,
        hide_env_values = true)]
    pub(crate) log_format: LogFormat,
    /// Log a line for each request
    #[arg(long, env = "STOA_ACCESS_LOG", hide_env_values = true)]
    pub(crate) access_log: bool,
    /// Seconds that requests in flight get to finish when the server is told to stop
    #[arg(
        long,
        value_name = "SECONDS",
        env = "STOA_DRAIN_SECONDS",
        default_value_t = 30,
        hide_env_values = true
    )]
    pub(crate) drain_seconds: u64,
    /// Mebibytes of static content to hold in memory; what is beyond is streamed from disk
    #[arg(
        long,
        value_name = "MIB",
        env = "STOA_WEB_MEMORY_MIB",
        default_value_t = 64,
        hide_env_values = true
    )]
    pub(crate) web_memory_mib: u64,
    /// Most connections at once
    #[arg(
        long,
        value_name = "NUMBER",
        env = "STOA_CONNECTIONS",
        default_value_t = 10_000,
        hide_env_values = true
    )]
    pub(crate) connections: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn is_well_formed() {
        CommandLine::command().debug_assert();
    }

    /// The guide names every flag and every environment variable.
    #[test]
    fn the_guide_is_complete() {
        let guide = include_str!("../../../docs/guide/operating.md");
        let command = CommandLine::command();
        let run = command.find_subcommand("run").unwrap();
        for argument in run.get_arguments() {
            for name in [
                argument.get_long().map(|long| format!("`--{long}")),
                argument
                    .get_env()
                    .map(|name| format!("`{}`", name.to_str().unwrap())),
            ]
            .into_iter()
            .flatten()
            .filter(|name| !matches!(name.as_str(), "`--help" | "`--version"))
            {
                assert!(
                    guide.contains(&name),
                    "docs/guide/operating.md does not name {name}"
                );
            }
        }
    }
}
