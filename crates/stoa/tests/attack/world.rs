//! A small bank with a server in front, its people, and what an attacker has in hand: the means of one user
//! with few rights.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value as Json, json};
use stoa_testing::client::{Answer, Client};
use stoa_testing::postgres::{self, TestDatabase};
use stoa_testing::process::{self, Launch, Server};
use tempfile::TempDir;

const MANIFEST: &str = r#"
name = "Bank"
label = "Bank"
"#;

/// Clerks work for the customers of their branch, the auditor reads, the boss does everything.
const MODEL: &str = r#"
[role.Clerk]
[role.Auditor]
[role.Boss]

[entity.Branch]
collection = "Branches"
key = ["Code"]
[entity.Branch.attributes]
Code = { type = "String", length = 8, required = true }
[[entity.Branch.access]]
role = "Clerk"
read = "*"
[[entity.Branch.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"

[entity.Employee]
extends = "System.User"
collection = "Employees"
[entity.Employee.attributes]
Salary = { type = "Integer" }
[entity.Employee.associations]
Branch = { to = "Branch", inverse = "Employees" }
[[entity.Employee.access]]
role = "Boss"
read = "*"
write = ["Salary", "Branch"]
[[entity.Employee.access]]
role = "Clerk"
read = ["FullName", "Branch"]
where = "id eq $user/id"

[entity.Customer]
collection = "Customers"
audit = true
[entity.Customer.attributes]
Name   = { type = "String", length = 80, required = true }
Phone  = { type = "String", length = 30 }
Limit  = { type = "Integer", default = 100 }
Rating = { type = "String", length = 10, unique = true }
Photo  = { type = "File", length = 100000 }
[entity.Customer.associations]
Branch   = { to = "Branch", required = true, inverse = "Customers", on_delete = "prevent" }
Accounts = { to = "Account", many = true, contained = true, inverse = "Customer" }
Tags     = { to = "Tag", many_to_many = true, inverse = "Customers" }
[[entity.Customer.access]]
role = "Clerk"
create = true
read = ["Name", "Phone", "Photo", "Branch", "Accounts", "Tags"]
write = ["Name", "Phone", "Photo", "Branch", "Tags"]
where = "Branch/Code eq $user/Branch/Code"
[[entity.Customer.access]]
role = "Auditor"
read = "*"
[[entity.Customer.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"

[entity.Account]
[entity.Account.attributes]
Number  = { type = "Integer", required = true }
Balance = { type = "Integer", required = true, default = 0 }
[[entity.Account.access]]
role = "Clerk"
read = ["Number", "Customer"]
where = "Customer/Branch/Code eq $user/Branch/Code"
[[entity.Account.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"

[entity.Tag]
collection = "Tags"
key = ["Word"]
[entity.Tag.attributes]
Word = { type = "String", length = 20, required = true }
[[entity.Tag.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"

# No rule: nobody sees it.
[entity.Secret]
collection = "Secrets"
[entity.Secret.attributes]
Text = { type = "String", length = 80 }
"#;

/// Good enough for everybody here.
pub(crate) const PASSWORD: &str = "roofed colonnade 57 columns";

/// A running bank.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) application: TempDir,
    pub(crate) data: TempDir,
    /// None: SQLite.
    database: Option<TestDatabase>,
    /// Of the boss, for writing.
    pub(crate) boss: String,
    /// A customer of the clerk's branch, and one of another.
    pub(crate) own: String,
    pub(crate) other: String,
}

impl World {
    /// The bank with `cleo`, clerk of NORTH, and `bill`, its boss; both with passwords.
    pub(crate) async fn new() -> Self {
        Self::started(|launch| launch).await
    }

    /// The bank on SQLite and on PostgreSQL.
    pub(crate) async fn both() -> [Self; 2] {
        let database = postgres::database().await.unwrap();
        [
            Self::new().await,
            Self::begun(|launch| launch, Some(database)).await,
        ]
    }

    /// With further settings of the server.
    pub(crate) async fn started(set: impl FnOnce(Launch) -> Launch) -> Self {
        Self::begun(set, None).await
    }

    async fn begun(set: impl FnOnce(Launch) -> Launch, database: Option<TestDatabase>) -> Self {
        let application = process::application(&[
            ("app.toml", MANIFEST),
            ("model/bank.toml", MODEL),
            ("web/index.html", "<!doctype html><title>Bank</title>"),
        ])
        .unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut launch = Launch::new(application.path()).data(data.path());
        if let Some(database) = &database {
            launch = launch.database(&database.url);
        }
        let server = set(launch).start().await.unwrap();
        let client = server.client().unwrap();
        let mut world = Self {
            server,
            client,
            application,
            data,
            database,
            boss: String::new(),
            own: String::new(),
            other: String::new(),
        };
        world.add_user("bill", &["Boss"], &[]);
        world.boss = world.token("bill", &["--write"]);
        for code in ["NORTH", "SOUTH"] {
            world.create("Branches", &json!({ "Code": code })).await;
        }
        world.create("Tags", &json!({ "Word": "good" })).await;
        world.add_user("cleo", &["Clerk"], &["--set", "Branch=NORTH"]);
        let customer = |name: &str, branch: &str, rating: &str| {
            json!({
                "Name": name, "Phone": "+1 555", "Rating": rating, "Limit": 700,
                "Branch@odata.bind": format!("Branches('{branch}')"),
                "Accounts": [{ "Number": 1, "Balance": 4711 }],
            })
        };
        world.own = world
            .create("Customers", &customer("Nadia", "NORTH", "gold"))
            .await;
        world.other = world
            .create("Customers", &customer("Sully", "SOUTH", "lead"))
            .await;
        world
    }

    /// Runs a command on the bank, beside its server.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> std::process::Output {
        use std::io::Write as _;
        let mut command = Command::new(env!("CARGO_BIN_EXE_stoa"));
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"STOA_") {
                command.env_remove(name);
            }
        }
        let (words, rest) = match arguments {
            ["audit", ..] => arguments.split_at(1),
            _ => arguments.split_at(2),
        };
        if let Some(database) = &self.database {
            command.env("STOA_DATABASE", &database.url);
        }
        let mut child = command
            .args(words)
            .arg(self.application.path())
            .args(rest)
            .arg("--data")
            .arg(self.data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// What a command that must succeed prints.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> String {
        let output = self.command(arguments, input);
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Adds an employee with [`PASSWORD`].
    pub(crate) fn add_user(&self, name: &str, roles: &[&str], more: &[&str]) {
        let mut arguments = vec![
            "user",
            "add",
            name,
            "--kind",
            "Employee",
            "--password-stdin",
        ];
        for role in roles {
            arguments.extend(["--role", role]);
        }
        arguments.extend(more);
        self.run(&arguments, PASSWORD);
    }

    /// A new token.
    pub(crate) fn token(&self, user: &str, more: &[&str]) -> String {
        let mut arguments = vec!["token", "create", user, "test"];
        arguments.extend(more);
        self.run(&arguments, "")
    }

    /// A request with a token.
    pub(crate) async fn with_token(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("If-Match", "*")];
        let headers = if matches!(method, Method::GET | Method::POST) {
            &headers[..1]
        } else {
            &headers[..]
        };
        self.client
            .send(method, &format!("/odata/{path}"), headers, body)
            .await
            .unwrap()
    }

    /// What a token reads; the status is as expected.
    pub(crate) async fn read(&self, token: &str, path: &str, status: u16) -> Json {
        let answer = self.with_token(token, Method::GET, path, None).await;
        let answer = answer
            .expect_status(status)
            .context(path.to_owned())
            .unwrap();
        serde_json::from_slice(&answer.body).unwrap_or(Json::Null)
    }

    /// A row made by the boss; its `id`, if it has one.
    pub(crate) async fn create(&self, collection: &str, row: &Json) -> String {
        let answer = self
            .with_token(&self.boss, Method::POST, collection, Some(row))
            .await;
        let answer = answer.expect_status(201).unwrap();
        answer.json().unwrap()["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// A browser without any cookie.
    pub(crate) fn browser(&self) -> Browser {
        Browser {
            client: self.client.clone(),
            origin: format!("http://{}", self.server.address()),
            cookies: Vec::new(),
        }
    }

    /// A browser in which somebody has signed in.
    pub(crate) async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in("/-/sign-in", name, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }
}

/// Keeps cookies and says where its requests come from, as browsers do.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    client: Client,
    pub(crate) origin: String,
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    /// Value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let (_, value) = self.cookies.iter().find(|(given, _)| given == name)?;
        Some(value)
    }

    /// Any request, as a page of this origin sends it.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, Vec<u8>)>,
    ) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut all = Vec::from(headers);
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        let answer = self
            .client
            .send_bytes(method, path, &all, body)
            .await
            .unwrap();
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(given, _)| given != name);
            if !value.is_empty() && !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(
            Method::GET,
            path,
            &[("Sec-Fetch-Site", "same-origin")],
            None,
        )
        .await
    }

    /// Sends JSON to the data service as a script of a page of this origin does.
    pub(crate) async fn json(&mut self, method: Method, path: &str, body: &Json) -> Answer {
        let body = ("application/json", body.to_string().into_bytes());
        let headers = [("Sec-Fetch-Site", "same-origin"), ("If-Match", "*")];
        let headers = if method == Method::POST {
            &headers[..1]
        } else {
            &headers[..]
        };
        self.send(method, path, headers, Some(body)).await
    }

    /// Sends a form as it came with its page: the hidden token is taken from there.
    pub(crate) async fn form(&mut self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let form = self.get(page).await;
        let token = hidden_token(&form.text()).unwrap_or_default();
        let mut all = vec![("token", token.as_str())];
        all.extend(fields);
        self.bare_form(page, &all, &[("Sec-Fetch-Site", "same-origin")])
            .await
    }

    /// Sends a form just so.
    pub(crate) async fn bare_form(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let body = (
            "application/x-www-form-urlencoded",
            body.join("&").into_bytes(),
        );
        self.send(Method::POST, path, headers, Some(body)).await
    }

    pub(crate) async fn sign_in(&mut self, page: &str, name: &str, password: &str) -> Answer {
        self.form(page, &[("name", name), ("password", password)])
            .await
    }

    /// Opens a one-time link and goes on without a new password.
    pub(crate) async fn follow_link(&mut self, link: &str) -> Result<Answer> {
        let path = link.strip_prefix("http://").context("no link")?;
        let path = path.find('/').map(|at| &path[at..]).context("no path")?;
        let answer = self.form(path, &[("skip", "yes")]).await;
        ensure!(answer.status == 303, "{}: {}", answer.status, answer.text());
        Ok(answer)
    }
}

/// The token of the first form of a page.
pub(crate) fn hidden_token(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("name=\"token\" value=\"")?;
    let (token, _) = rest.split_once('"')?;
    Some(token.to_owned())
}

/// Percent-encoded, every byte that could mean something.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
