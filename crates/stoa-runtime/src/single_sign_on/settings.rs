//! The file that says which providers people sign in with: read whole, all faults reported together.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openidconnect::url::Url;
use stoa_model::diagnostic::{Code, Diagnostic, Diagnostics, SourceFile, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::identity::external::Unknown;
use crate::nearest::nearest;

/// Most bytes of the file, and of a file with a secret.
const FILE_BYTES: u64 = 1024 * 1024;
/// Most providers.
const PROVIDERS: usize = 20;
/// Most characters of a provider's name: what a session keeps of it.
const NAME: usize = 40;

const KEYS: [&str; 19] = [
    "name",
    "label",
    "issuer",
    "client_id",
    "client_secret",
    "client_secret_file",
    "client_secret_env",
    "scopes",
    "users",
    "name_claim",
    "create_users",
    "match_names",
    "roles_claim",
    "roles",
    "administrators_claim",
    "administrators",
    "api_audience",
    "clock_skew_seconds",
    "timeout_seconds",
];

/// Something that nobody may read in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientSecret(…)")
    }
}

/// The providers of an environment.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// In the order of the sign-in page.
    pub providers: Vec<ProviderSettings>,
}

/// A provider, as the site knows it.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Short name, for URLs and sessions.
    pub name: String,
    /// For people.
    pub label: String,
    /// Its `iss`, exactly.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What proves that we are it; none: a public client, PKCE alone protects the code.
    pub client_secret: Option<ClientSecret>,
    /// Asked for at the sign-in; `openid` is always among them.
    pub scopes: Vec<String>,
    /// Users of the application may sign in with it.
    pub users: bool,
    /// Claim with the name that a new user gets; none: `preferred_username`, else the e-mail address.
    pub name_claim: Option<String>,
    /// Whoever is not known yet gets a user.
    pub create_users: bool,
    /// A user of the same name is taken for the same person.
    pub match_names: bool,
    /// Claim with what `roles` maps.
    pub roles_claim: Option<String>,
    /// Value of the claim → role of the application.
    pub roles: BTreeMap<String, String>,
    /// Claim that says who is an administrator of the site.
    pub administrators_claim: Option<String>,
    /// Values of that claim that make one.
    pub administrators: Vec<String>,
    /// Audiences of access tokens for the data service; empty: none are accepted.
    pub api_audience: Vec<String>,
    /// By how much clocks may differ.
    pub clock_skew: Duration,
    /// How long the provider may take to answer.
    pub timeout: Duration,
}

impl ProviderSettings {
    /// What to do with people whom the provider knows and we do not.
    #[must_use]
    pub fn unknown(&self) -> Unknown {
        match (self.create_users, self.match_names) {
            (true, true) => Unknown::MatchNameOrCreate,
            (true, false) => Unknown::Create,
            (false, true) => Unknown::MatchName,
            (false, false) => Unknown::Refuse,
        }
    }
}

impl Settings {
    /// Reads the file. `roles` are the roles that the application has.
    ///
    /// # Errors
    /// All faults, with their places.
    pub fn load(path: &Path, roles: &[&str]) -> Result<Self, Diagnostics> {
        let shown = path.display().to_string();
        let unreadable = |reason: &dyn fmt::Display| {
            let message = format!("`{shown}` cannot be read: {reason}");
            let fault = Diagnostic::error(Code::Unreadable, None, message);
            Diagnostics::new(Arc::default(), vec![fault])
        };
        let size = fs::metadata(path)
            .map_err(|error| unreadable(&error))?
            .len();
        if size > FILE_BYTES {
            return Err(unreadable(&format!("it has more than {FILE_BYTES} bytes")));
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_text(&shown, &text, folder, roles, &|name| {
            std::env::var(name).ok()
        })
    }

    /// Reads the text of such a file; files with secrets are relative to `folder`.
    ///
    /// # Errors
    /// All faults, with their places.
    pub fn from_text(
        name: &str,
        text: &str,
        folder: &Path,
        roles: &[&str],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Diagnostics> {
        let file = SourceFile::new(name.to_owned(), masked(text));
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut faults: Vec<Diagnostic> = errors
            .iter()
            .map(|error| {
                let span = Span::new(0, error.span().unwrap_or(0..0));
                Diagnostic::error(Code::Syntax, span, format!("not TOML: {}", error.message()))
            })
            .collect();
        let mut settings = Self::default();
        for (key, value) in table.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("provider", DeValue::Array(tables)) => {
                    if tables.len() > PROVIDERS {
                        let message = format!("at most {PROVIDERS} providers are possible");
                        let span = Span::new(0, key.span());
                        faults.push(Diagnostic::error(Code::TooMany, span, message));
                    }
                    for provider in tables.iter().take(PROVIDERS) {
                        let mut reader = Reader {
                            folder,
                            roles,
                            environment,
                            faults: &mut faults,
                        };
                        settings.providers.extend(reader.provider(provider));
                    }
                }
                ("provider", _) => {
                    let span = Span::new(0, key.span());
                    let message = "`provider` must be a list of tables";
                    faults.push(
                        Diagnostic::error(Code::WrongType, span, message)
                            .help("write `[[provider]]` above each of them"),
                    );
                }
                (other, _) => {
                    let span = Span::new(0, key.span());
                    let message = format!("unknown key `{other}`");
                    faults.push(
                        Diagnostic::error(Code::UnknownKey, span, message)
                            .help("everything stands below `[[provider]]`"),
                    );
                }
            }
        }
        settings.check_together(table.get_ref(), &mut faults);
        if faults.is_empty() {
            Ok(settings)
        } else {
            Err(Diagnostics::new(Arc::from([file]), faults))
        }
    }

    /// What providers must not have in common.
    fn check_together(&self, table: &DeTable<'_>, faults: &mut Vec<Diagnostic>) {
        let Some(DeValue::Array(tables)) = table.get("provider").map(Spanned::get_ref) else {
            if faults.is_empty() {
                let message = "there is no provider in this file";
                faults.push(
                    Diagnostic::error(Code::MissingKey, None, message)
                        .help("add a table `[[provider]]`"),
                );
            }
            return;
        };
        let text = |table: &Spanned<DeValue<'_>>, key: &str| {
            let value = table.get_ref().get(key)?;
            Some((value.get_ref().as_str()?.to_owned(), value.span()))
        };
        for key in ["name", "issuer"] {
            let mut seen = Vec::new();
            for provider in tables.iter() {
                let Some((value, span)) = text(provider, key) else {
                    continue;
                };
                if seen.contains(&value) {
                    let message = format!("another provider has this {key}");
                    let span = Span::new(0, span);
                    faults.push(Diagnostic::error(Code::DuplicateName, span, message));
                } else {
                    seen.push(value);
                }
            }
        }
    }
}

struct Reader<'a> {
    folder: &'a Path,
    roles: &'a [&'a str],
    environment: &'a dyn Fn(&str) -> Option<String>,
    faults: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn fault(&mut self, code: Code, span: std::ops::Range<usize>, message: impl Into<String>) {
        let span = Span::new(0, span);
        self.faults.push(Diagnostic::error(code, span, message));
    }

    fn help(&mut self, help: &str) {
        if let Some(fault) = self.faults.pop() {
            self.faults.push(fault.help(help));
        }
    }

    fn provider(&mut self, value: &Spanned<DeValue<'_>>) -> Option<ProviderSettings> {
        let span = value.span();
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(Code::WrongType, span, "a provider is a table");
            return None;
        };
        for key in table.keys() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                let near = nearest(key.get_ref(), KEYS.iter().copied());
                let span = Span::new(0, key.span());
                let message = format!("unknown key `{}`", key.get_ref());
                self.faults
                    .push(Diagnostic::error(Code::UnknownKey, span, message).nearest(near));
            }
        }
        let name = self.required(table, "name", &span);
        if let Some((name, span)) = &name
            && !is_name(name)
        {
            self.fault(
                Code::InvalidName,
                span.clone(),
                format!("a provider's name has up to {NAME} of a-z, 0-9 and -"),
            );
        }
        let issuer = self.required(table, "issuer", &span);
        if let Some((issuer, span)) = &issuer {
            self.check_issuer(issuer, span);
        }
        let client_id = self.required(table, "client_id", &span);
        let client_secret = self.secret(table);
        let mut scopes = self
            .texts(table, "scopes")
            .unwrap_or_else(|| ["openid", "profile", "email"].map(str::to_owned).to_vec());
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        let users = self.flag(table, "users").unwrap_or(true);
        let (roles_claim, roles) = self.roles(table);
        let (administrators_claim, administrators) = self.administrators(table);
        let api_audience = self.texts(table, "api_audience").unwrap_or_default();
        if let Some((client_id, _)) = &client_id
            && api_audience.contains(client_id)
        {
            let at = table
                .get("api_audience")
                .map_or(span.clone(), Spanned::span);
            self.fault(
                Code::Contradiction,
                at,
                "`api_audience` must not be the `client_id`",
            );
            self.help(
                "tokens for that audience say who signed in; register the data service as an API (a \
                 resource) of its own at the provider",
            );
        }
        if !users && administrators_claim.is_none() && api_audience.is_empty() {
            self.fault(
                Code::Contradiction,
                span.clone(),
                "nobody can use this provider",
            );
            self.help(
                "leave out `users = false`, or give `administrators_claim` or `api_audience`",
            );
        }
        let label = self.text(table, "label").map(|(label, _)| label);
        let name_claim = self.text(table, "name_claim").map(|(claim, _)| claim);
        let create_users = self.flag(table, "create_users").unwrap_or(false);
        let match_names = self.flag(table, "match_names").unwrap_or(false);
        let clock_skew = self
            .seconds(table, "clock_skew_seconds", 0..=300)
            .unwrap_or(60);
        let timeout = self.seconds(table, "timeout_seconds", 1..=60).unwrap_or(10);
        let (name, issuer, client_id) = (name?.0, issuer?.0, client_id?.0);
        Some(ProviderSettings {
            label: label.unwrap_or_else(|| name.clone()),
            name,
            issuer,
            client_id,
            client_secret,
            scopes,
            users,
            name_claim,
            create_users,
            match_names,
            roles_claim,
            roles,
            administrators_claim,
            administrators,
            api_audience,
            clock_skew: Duration::from_secs(clock_skew),
            timeout: Duration::from_secs(timeout),
        })
    }

    fn check_issuer(&mut self, issuer: &str, span: &std::ops::Range<usize>) {
        let message = match Url::parse(issuer) {
            Err(error) => format!("no URL: {error}"),
            Ok(url) if !super::outgoing::is_allowed(&url) => {
                "an issuer is reached by https (http only on this machine)".to_owned()
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "an issuer has no `?` and no `#`".to_owned()
            }
            Ok(_) => return,
        };
        self.fault(Code::InvalidValue, span.clone(), message);
    }

    fn secret(&mut self, table: &DeTable<'_>) -> Option<ClientSecret> {
        const WAYS: [&str; 3] = ["client_secret", "client_secret_file", "client_secret_env"];
        let given: Vec<_> = WAYS
            .iter()
            .filter(|key| table.contains_key(**key))
            .collect();
        if let [_, second, ..] = given.as_slice() {
            let span = table.get(**second).map_or(0..0, Spanned::span);
            self.fault(Code::Contradiction, span, "the secret is given twice");
            return None;
        }
        let (value, span) = self.text(table, given.first()?)?;
        let secret = match **given.first()? {
            "client_secret" => value,
            "client_secret_file" => {
                let path: PathBuf = self.folder.join(&value);
                let is_small = fs::metadata(&path).is_ok_and(|file| file.len() <= FILE_BYTES);
                match fs::read_to_string(&path) {
                    Ok(text) if is_small => text.trim_end_matches(['\r', '\n']).to_owned(),
                    Ok(_) => {
                        self.fault(
                            Code::FileTooLarge,
                            span,
                            "this file is no secret: too large",
                        );
                        return None;
                    }
                    Err(error) => {
                        let message = format!("`{}` cannot be read: {error}", path.display());
                        self.fault(Code::Unreadable, span, message);
                        return None;
                    }
                }
            }
            _ => match (self.environment)(&value) {
                Some(secret) => secret,
                None => {
                    let message = format!("the environment has no variable `{value}`");
                    self.fault(Code::InvalidValue, span, message);
                    return None;
                }
            },
        };
        if secret.is_empty() {
            self.fault(Code::InvalidValue, span, "the secret is empty");
            return None;
        }
        Some(ClientSecret(secret))
    }

    fn roles(&mut self, table: &DeTable<'_>) -> (Option<String>, BTreeMap<String, String>) {
        let claim = self.text(table, "roles_claim").map(|(claim, _)| claim);
        let mut roles = BTreeMap::new();
        let Some(value) = table.get("roles") else {
            if claim.is_some() {
                let span = table.get("roles_claim").map_or(0..0, Spanned::span);
                self.fault(Code::MissingKey, span, "`roles_claim` needs `roles`");
                self.help("map values of the claim to roles: `roles = { sales-team = \"Sales\" }`");
            }
            return (claim, roles);
        };
        let DeValue::Table(map) = value.get_ref() else {
            self.fault(
                Code::WrongType,
                value.span(),
                "`roles` must be a table of values of the claim and roles",
            );
            return (claim, roles);
        };
        if claim.is_none() {
            self.fault(
                Code::MissingKey,
                value.span(),
                "`roles` needs `roles_claim`: the claim whose values it maps",
            );
        }
        for (given, role) in map {
            let Some(name) = role.get_ref().as_str() else {
                self.fault(Code::WrongType, role.span(), "a role is named by a text");
                continue;
            };
            if !self.roles.contains(&name) {
                let near = nearest(name, self.roles.iter().copied());
                let message = format!("the application has no role `{name}`");
                let span = Span::new(0, role.span());
                self.faults
                    .push(Diagnostic::error(Code::UnknownRole, span, message).nearest(near));
            }
            roles.insert(given.get_ref().to_string(), name.to_owned());
        }
        (claim, roles)
    }

    fn administrators(&mut self, table: &DeTable<'_>) -> (Option<String>, Vec<String>) {
        let claim = self
            .text(table, "administrators_claim")
            .map(|(claim, _)| claim);
        let values = self.texts(table, "administrators").unwrap_or_default();
        let at = |key: &str| table.get(key).map_or(0..0, Spanned::span);
        match (&claim, values.is_empty()) {
            (Some(_), true) => {
                self.fault(
                    Code::MissingKey,
                    at("administrators_claim"),
                    "`administrators_claim` needs `administrators`: the values that make somebody one",
                );
            }
            (None, false) => {
                self.fault(
                    Code::MissingKey,
                    at("administrators"),
                    "`administrators` needs `administrators_claim`: the claim that has these values",
                );
            }
            _ => {}
        }
        (claim, values)
    }

    fn required(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        span: &std::ops::Range<usize>,
    ) -> Option<(String, std::ops::Range<usize>)> {
        if !table.contains_key(key) {
            self.fault(
                Code::MissingKey,
                span.clone(),
                format!("the key `{key}` is missing"),
            );
            return None;
        }
        let (text, span) = self.text(table, key)?;
        if text.is_empty() {
            self.fault(Code::InvalidValue, span, format!("`{key}` is empty"));
            return None;
        }
        Some((text, span))
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<(String, std::ops::Range<usize>)> {
        let value = table.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), value.span())),
            None => {
                let message = format!("`{key}` must be a text");
                self.fault(Code::WrongType, value.span(), message);
                None
            }
        }
    }

    fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<String>> {
        let value = table.get(key)?;
        let list = match value.get_ref() {
            DeValue::Array(list) => list
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect::<Option<Vec<String>>>(),
            _ => None,
        };
        if list.is_none() {
            let message = format!("`{key}` must be a list of texts");
            self.fault(Code::WrongType, value.span(), message);
        }
        list
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            let message = format!("`{key}` must be true or false");
            self.fault(Code::WrongType, value.span(), message);
        }
        flag
    }

    fn seconds(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = table.get(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!(
                "`{key}` must be a whole number from {} to {}",
                range.start(),
                range.end()
            );
            self.fault(Code::OutOfRange, value.span(), message);
        }
        number
    }
}

/// The text as faults may show it: without what `client_secret` is, and with everything in its place.
fn masked(text: &str) -> String {
    const KEY: &str = "client_secret";
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let value = line.match_indices(KEY).find_map(|(at, _)| {
            let rest = line[at + KEY.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
            rest.starts_with('=').then(|| line.len() - rest.len() + 1)
        });
        let (shown, hidden) = line.split_at(value.unwrap_or(line.len()));
        masked.push_str(shown);
        for character in hidden.chars() {
            if character.is_whitespace() {
                masked.push(character);
            } else {
                masked.extend(std::iter::repeat_n('*', character.len_utf8()));
            }
        }
    }
    masked
}

fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[provider]]
        name = "company"
        label = "Company login"
        issuer = "https://login.example.com/realms/company"
        client_id = "stoa"
        client_secret_env = "SECRET"
        roles_claim = "groups"
        roles = { sales-team = "Sales", boss = "Management" }
        create_users = true
        administrators_claim = "groups"
        administrators = ["it"]
        api_audience = ["https://shop.example.com"]
    "#;

    fn read(text: &str) -> Result<Settings, Diagnostics> {
        let environment = |name: &str| (name == "SECRET").then(|| "very secret".to_owned());
        Settings::from_text(
            "sign-in.toml",
            text,
            Path::new("/nowhere"),
            &["Sales", "Management"],
            &environment,
        )
    }

    #[test]
    fn a_provider() {
        let settings = read(GOOD).unwrap();
        let provider = &settings.providers[0];
        assert_eq!(provider.label, "Company login");
        assert_eq!(provider.scopes, ["openid", "profile", "email"]);
        assert_eq!(provider.roles["sales-team"], "Sales");
        assert!(provider.users && provider.create_users && !provider.match_names);
        assert_eq!(provider.clock_skew, Duration::from_secs(60));
        let secret = provider.client_secret.as_ref().unwrap();
        assert_eq!(secret.expose(), "very secret");
        assert!(!format!("{settings:?}").contains("very secret"));
    }

    #[test]
    fn all_faults_with_their_places() {
        let text = r#"[[provider]]
name = "Company Login"
issuer = "http://login.example.com"
client_id = 1
client_secret_file = "secret"
role_claim = "groups"
roles = { sales = "Seles" }
administrators = ["it"]
clock_skew_seconds = 1000
scopes = "openid"

[[provider]]
name = "second"
issuer = "https://login.example.com/?a"
client_id = "stoa"
client_secret_env = "MISSING"
api_audience = ["stoa"]

[[provider]]
name = "second"
issuer = "https://third.example.com"
client_id = ""
users = false
"#;
        let faults = read(text).unwrap_err().to_string();
        insta::assert_snapshot!(faults, @r#"
            error[invalid-name]: a provider's name has up to 40 of a-z, 0-9 and -
             --> sign-in.toml:2:8
              |
            2 | name = "Company Login"
              |        ^^^^^^^^^^^^^^^

            error[invalid-value]: an issuer is reached by https (http only on this machine)
             --> sign-in.toml:3:10
              |
            3 | issuer = "http://login.example.com"
              |          ^^^^^^^^^^^^^^^^^^^^^^^^^^

            error[wrong-type]: `client_id` must be a text
             --> sign-in.toml:4:13
              |
            4 | client_id = 1
              |             ^

            error[unreadable]: `/nowhere/secret` cannot be read: No such file or directory (os error 2)
             --> sign-in.toml:5:22
              |
            5 | client_secret_file = "secret"
              |                      ^^^^^^^^

            error[unknown-key]: unknown key `role_claim`
             --> sign-in.toml:6:1
              |
            6 | role_claim = "groups"
              | ^^^^^^^^^^
              |
              = help: did you mean `roles_claim`?

            error[missing-key]: `roles` needs `roles_claim`: the claim whose values it maps
             --> sign-in.toml:7:9
              |
            7 | roles = { sales = "Seles" }
              |         ^^^^^^^^^^^^^^^^^^^

            error[unknown-role]: the application has no role `Seles`
             --> sign-in.toml:7:19
              |
            7 | roles = { sales = "Seles" }
              |                   ^^^^^^^
              |
              = help: did you mean `Sales`?

            error[missing-key]: `administrators` needs `administrators_claim`: the claim that has these values
             --> sign-in.toml:8:18
              |
            8 | administrators = ["it"]
              |                  ^^^^^^

            error[out-of-range]: `clock_skew_seconds` must be a whole number from 0 to 300
             --> sign-in.toml:9:22
              |
            9 | clock_skew_seconds = 1000
              |                      ^^^^

            error[wrong-type]: `scopes` must be a list of texts
              --> sign-in.toml:10:10
               |
            10 | scopes = "openid"
               |          ^^^^^^^^

            error[invalid-value]: an issuer has no `?` and no `#`
              --> sign-in.toml:14:10
               |
            14 | issuer = "https://login.example.com/?a"
               |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

            error[invalid-value]: the environment has no variable `MISSING`
              --> sign-in.toml:16:21
               |
            16 | client_secret_env = "MISSING"
               |                     ^^^^^^^^^

            error[contradiction]: `api_audience` must not be the `client_id`
              --> sign-in.toml:17:16
               |
            17 | api_audience = ["stoa"]
               |                ^^^^^^^^
               |
               = help: tokens for that audience say who signed in; register the data service as an API (a resource) of its own at the provider

            error[contradiction]: nobody can use this provider
              --> sign-in.toml:19:1
               |
            19 | [[provider]]
               | ^^^^^^^^^^^^
               |
               = help: leave out `users = false`, or give `administrators_claim` or `api_audience`

            error[duplicate-name]: another provider has this name
              --> sign-in.toml:20:8
               |
            20 | name = "second"
               |        ^^^^^^^^

            error[invalid-value]: `client_id` is empty
              --> sign-in.toml:22:13
               |
            22 | client_id = ""
               |             ^^

            16 errors
            "#);
    }

    #[test]
    fn what_is_no_such_file() {
        insta::assert_snapshot!(read("").unwrap_err(), @r#"
            error[missing-key]: there is no provider in this file
             |
             = help: add a table `[[provider]]`

            1 error
            "#);
        insta::assert_snapshot!(read("[provider]\nname = 1\n").unwrap_err(), @r#"
            error[wrong-type]: `provider` must be a list of tables
             --> sign-in.toml:1:2
              |
            1 | [provider]
              |  ^^^^^^^^
              |
              = help: write `[[provider]]` above each of them

            1 error
            "#);
        insta::assert_snapshot!(read("[[provider]\n").unwrap_err(), @r#"
            error[missing-key]: the key `name` is missing
             --> sign-in.toml:1:1
              |
            1 | [[provider]
              | ^^

            error[missing-key]: the key `issuer` is missing
             --> sign-in.toml:1:1
              |
            1 | [[provider]
              | ^^

            error[missing-key]: the key `client_id` is missing
             --> sign-in.toml:1:1
              |
            1 | [[provider]
              | ^^

            error[syntax]: not TOML: unclosed array table, expected `]`
             --> sign-in.toml:1:12
              |
            1 | [[provider]
              |            ^

            4 errors
            "#);
        assert!(Settings::load(Path::new("/nowhere/at-all.toml"), &[]).is_err());
    }

    #[test]
    fn faults_show_no_secret() {
        for line in [
            "client_secret = \"s3cr€t",
            "client_secret=[\"s3cr€t\"]",
            "'client_secret' = [ 's3cr€t' ]",
        ] {
            let text = format!(
                "[[provider]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"b\"\n{line}\nscopes = 1\n"
            );
            let faults = read(&text).unwrap_err().to_string();
            assert!(faults.contains("sign-in.toml:5:"), "{faults}");
            assert!(!faults.contains("s3cr"), "{faults}");
        }
    }

    #[test]
    fn a_secret_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "from a file\n").unwrap();
        let path = folder.path().join("sign-in.toml");
        fs::write(
            &path,
            "[[provider]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"b\"\nclient_secret_file = \"secret\"\n",
        )
        .unwrap();
        let settings = Settings::load(&path, &[]).unwrap();
        let secret = settings.providers[0].client_secret.as_ref().unwrap();
        assert_eq!(secret.expose(), "from a file");
    }
}
