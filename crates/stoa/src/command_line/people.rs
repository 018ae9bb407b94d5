//! Commands about people: users, roles, tokens, administrators, and what they did.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::Place;

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user
    #[command(
        after_help = "Example:\n  stoa user add shop anna --full-name 'Anna Berg' --role Sales\n  \
        stoa user add shop anna --kind SalesEmployee --set Region=NORDIC --role Sales --link\n  \
        pass show shop/anna | stoa user add shop anna --role Sales --password-stdin"
    )]
    Add(UserAdd),
    /// List users and their roles
    #[command(
        after_help = "Example:\n  stoa user list shop\n  stoa user list shop --role Sales --json | jq '.[].name'"
    )]
    List(UserList),
    /// Keep a user out: sessions end and tokens stop working, everywhere, before the command returns
    #[command(after_help = "Example:\n  stoa user disable shop anna")]
    Disable(UserName),
    /// Let a user in again
    #[command(after_help = "Example:\n  stoa user enable shop anna")]
    Enable(UserName),
    /// Set a user's password; all their sessions end
    #[command(after_help = "Example:\n  stoa user set-password shop anna\n  \
        pass show shop/anna | stoa user set-password shop anna --password-stdin --must-change")]
    SetPassword(UserSetPassword),
    /// Make a link that signs a user in once
    #[command(after_help = "Example:\n  stoa user link shop anna --url https://shop.example")]
    Link(UserLink),
    /// Give a user roles
    #[command(after_help = "Example:\n  stoa user grant shop anna Sales Purchasing")]
    Grant(UserRoles),
    /// Take roles from a user
    #[command(after_help = "Example:\n  stoa user revoke shop anna Purchasing")]
    Revoke(UserRoles),
    /// List the sessions of a user
    #[command(after_help = "Example:\n  stoa user sessions shop anna")]
    Sessions(UserNameList),
    /// End sessions of a user, everywhere, before the command returns
    #[command(after_help = "Example:\n  stoa user sign-out shop anna\n  \
        stoa user sign-out shop anna --session 0196f7a0-0000-7000-8000-000000000000")]
    SignOut(UserSignOut),
}

#[derive(Debug, Args)]
pub(crate) struct UserAdd {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name to sign in with; it is kept in lower case
    pub(crate) name: String,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) full_name: Option<String>,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// Role to give; more than once for several
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// Entity of the user, if the application extends `System.User`
    #[arg(long, value_name = "ENTITY")]
    pub(crate) kind: Option<String>,
    /// Attribute of that entity, or the key of what it refers to; more than once for several
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) attributes: Vec<String>,
    #[command(flatten)]
    pub(crate) first: FirstSignIn,
    /// The password must be changed at the first sign-in
    #[arg(long)]
    pub(crate) must_change: bool,
    #[command(flatten)]
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How a new user signs in. Without any of these the password is asked for on the terminal.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct FirstSignIn {
    /// Read the password from standard input: its first line
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// No password: print a link that signs in once, valid for a day; see --url
    #[arg(long)]
    pub(crate) link: bool,
    /// No password: for single sign-on, or for a user of tokens only
    #[arg(long)]
    pub(crate) no_password: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserList {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only those with this in their name, full name or e-mail address
    #[arg(long, value_name = "TEXT")]
    pub(crate) contains: Option<String>,
    /// Only those with this role
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// Only those who are kept out
    #[arg(long)]
    pub(crate) disabled: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct UserName {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct UserNameList {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct UserSetPassword {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user
    pub(crate) name: String,
    /// Read the password from standard input: its first line
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// The password must be changed at the next sign-in
    #[arg(long)]
    pub(crate) must_change: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserLink {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) link: Link,
}

#[derive(Debug, Args)]
pub(crate) struct Link {
    /// How long the link works
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) valid: Duration,
    #[command(flatten)]
    pub(crate) address: Address,
}

#[derive(Debug, Args)]
pub(crate) struct Address {
    /// Where people reach the server
    #[arg(
        long,
        value_name = "URL",
        env = "STOA_URL",
        default_value = "http://127.0.0.1:8080",
        hide_env_values = true
    )]
    pub(crate) url: String,
}

#[derive(Debug, Args)]
pub(crate) struct UserRoles {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user
    pub(crate) name: String,
    /// Roles of the application
    #[arg(required = true)]
    pub(crate) roles: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UserSignOut {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user
    pub(crate) name: String,
    /// Only this session; `stoa user sessions` lists them
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<uuid::Uuid>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// List the roles of the application, and how many users have each
    #[command(after_help = "Example:\n  stoa role list shop")]
    List(RoleList),
}

#[derive(Debug, Args)]
pub(crate) struct RoleList {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token for a program; it is shown once
    #[command(
        after_help = "Example:\n  stoa token create shop anna 'Excel, sales report'\n  \
        stoa token create shop importer 'nightly import' --write --role Purchasing --expires 365d"
    )]
    Create(TokenCreate),
    /// List tokens; their secrets are not kept
    #[command(
        after_help = "Example:\n  stoa token list shop\n  stoa token list shop --user anna --json"
    )]
    List(TokenList),
    /// End a token, everywhere, before the command returns
    #[command(
        after_help = "Example:\n  stoa token revoke shop 0196f7a0-0000-7000-8000-000000000000"
    )]
    Revoke(TokenRevoke),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user in whose name the program acts
    pub(crate) user: String,
    /// What it is for
    pub(crate) name: String,
    /// It may change data, as far as its user may; else it only reads
    #[arg(long)]
    pub(crate) write: bool,
    /// Limit it to this role of the user; more than once for several
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// How long it works
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration)]
    pub(crate) expires: Duration,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct TokenList {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only those of this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct TokenRevoke {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The token's `id`; `stoa token list` has it
    pub(crate) id: uuid::Uuid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Say what a user may do with an entity or a row, by which rules, and why
    #[command(
        after_help = "Example:\n  stoa access explain shop --user anna --entity Order\n  \
        stoa access explain shop --user anna --entity Order --key 018b89c8-ff08-7ed8-a5ae-e65417397166 --operation delete"
    )]
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the user; `anonymous` for somebody who is not signed in
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,
    /// Name of the entity or of its collection
    #[arg(long, value_name = "ENTITY")]
    pub(crate) entity: String,
    /// Key of a row, as in a URL
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// What the user wants to do
    #[arg(long, value_enum, default_value_t = Operation::Read)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    Read,
    Create,
    Update,
    Delete,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Go on and show what happens, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only from then on: `2h`, `7d` (back from now), `2026-11-01` or `2026-11-01T08:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only what this user or administrator did
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only about rows of this entity
    #[arg(long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
    /// Only about the row with this key; with --entity
    #[arg(long, value_name = "KEY", requires = "entity")]
    pub(crate) key: Option<String>,
    /// Only this kind, such as `sign-in-failure`; more than once for several
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
    /// Most entries to show: the latest
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u64,
    /// One JSON object for each entry, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Administrator {
    /// List the administrators of the site
    #[command(after_help = "Example:\n  stoa admin list shop")]
    List(RoleList),
    /// Add an administrator, and print a link that signs in once
    #[command(
        after_help = "Example:\n  stoa admin add shop kim --full-name 'Kim Holm' --url https://shop.example"
    )]
    Add(AdministratorAdd),
    /// Make a link that signs an administrator in once
    #[command(
        after_help = "Example:\n  stoa admin link shop\n  stoa admin link shop kim --valid 10m"
    )]
    Link(AdministratorLink),
    /// Keep an administrator out: sessions end everywhere before the command returns
    #[command(after_help = "Example:\n  stoa admin disable shop kim")]
    Disable(UserName),
    /// Let an administrator in again
    #[command(after_help = "Example:\n  stoa admin enable shop kim")]
    Enable(UserName),
}

#[derive(Debug, Args)]
pub(crate) struct AdministratorAdd {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name to sign in with
    pub(crate) name: String,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) full_name: Option<String>,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    #[command(flatten)]
    pub(crate) link: Link,
}

#[derive(Debug, Args)]
pub(crate) struct AdministratorLink {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the administrator
    #[arg(default_value = crate::first_start::ADMINISTRATOR)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) link: Link,
}

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `90s`, `15m`, `12h`, `30d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time: write 15m, 12h or 30d");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("30d", 2_592_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "h",
            "0d",
            "-1h",
            "1",
            "1w",
            "1.5h",
            "99999999999d",
            "1é",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
