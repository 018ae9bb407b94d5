//! Every table of the guide's page on access rules, request by request, on both databases.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use stoa_model::application::{Application, load_from_sources};
use stoa_model::model::{Model, RoleId};
use stoa_model::value::Value;
use stoa_runtime::identity::{Caller, Means, UserId};
use stoa_runtime::{Environment, sample_data};
use stoa_store::{Config, DatabaseUrl, Store};
use tempfile::TempDir;
use uuid::Uuid;

/// Name, roles, region.
const USERS: [(&str, &[&str], Option<&str>); 5] = [
    ("Ann", &["Sales"], Some("North")),
    ("Bob", &["Sales", "Shipping"], Some("South")),
    ("Cem", &["Sales"], None),
    ("Gil", &["Shipping"], None),
    ("Mia", &["Manager"], None),
];

fn id(name: &str) -> Uuid {
    let position = USERS.iter().position(|(user, ..)| *user == name).unwrap();
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001 + position as u128)
}

struct Page {
    model: String,
    examples: Vec<Example>,
}

#[derive(Default)]
struct Example {
    title: String,
    application: String,
    rules: String,
    /// Who, request, answer.
    requests: Vec<[String; 3]>,
}

fn page() -> Page {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/access-rules.md");
    let text = std::fs::read_to_string(file).unwrap();
    let mut page = Page {
        model: String::new(),
        examples: Vec::new(),
    };
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("### ") {
            page.examples.push(Example {
                title: title.to_owned(),
                ..Example::default()
            });
        } else if line == "```toml" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let block = block.join("\n");
            match page.examples.last_mut() {
                None if block.starts_with("# model/") => page.model = block,
                None => {}
                Some(example) if block.starts_with("# app.toml") => example.application = block,
                Some(example) => example.rules.push_str(&block),
            }
        } else if let (Some(example), Some(row)) =
            (page.examples.last_mut(), line.strip_prefix("| "))
            && !line.starts_with("| who |")
        {
            let cells: Vec<String> = row
                .trim_end_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect();
            example.requests.push(cells.try_into().unwrap());
        }
    }
    page
}

struct Shop {
    environment: Environment,
    model: Arc<Model>,
    _folder: TempDir,
}

impl Shop {
    async fn open(page: &Page, example: &Example, database: Option<&DatabaseUrl>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let load = || -> Application {
            let sources = vec![
                (
                    "app.toml".to_owned(),
                    format!("name = \"Shop\"\n{}", example.application),
                ),
                (
                    "model/shop.toml".to_owned(),
                    format!("{}\n{}", page.model, example.rules),
                ),
            ];
            match load_from_sources(folder.path(), sources) {
                Ok(loaded) => loaded.application,
                Err(faults) => panic!("{}: {faults}", example.title),
            }
        };
        let application = load();
        let url = database.cloned().unwrap_or_else(|| {
            format!("sqlite:{}", folder.path().join("data.sqlite").display())
                .parse()
                .unwrap()
        });
        stoa_schema::apply(&url, &application.model, stoa_schema::Options::default())
            .await
            .unwrap();
        let store = Store::open(&url, Config::default()).await.unwrap();
        let environment = Environment::new(application, store, folder.path().join("files"), None);
        let model = Arc::clone(environment.model());
        let rows = sample_data::read(&model, &data(folder.path())).unwrap();
        sample_data::load(environment.store(), &model, rows, None)
            .await
            .unwrap();
        Self {
            environment,
            model,
            _folder: folder,
        }
    }

    fn caller(&self, who: &str) -> Option<Caller> {
        let role = |name: &str| {
            let position = self.model.roles.iter().position(|role| role.name == name);
            RoleId(u32::try_from(position.unwrap()).unwrap())
        };
        let user = USERS.iter().find(|(name, ..)| *name == who);
        let Some((name, roles, region)) = user else {
            assert_eq!(who, "nobody");
            return self.model.anonymous.map(|role| Caller {
                user: None,
                name: "anonymous".into(),
                roles: Arc::from([role]),
                values: self.model.user.values.iter().map(|_| Value::Null).collect(),
                means: Means::Anonymous,
                address: None,
            });
        };
        let mut roles: Vec<RoleId> = roles.iter().map(|name| role(name)).collect();
        roles.sort_unstable();
        let values =
            self.model
                .user
                .values
                .iter()
                .map(|value| match (value.path.as_str(), region) {
                    ("id" | "", _) => Value::Uuid(id(name)),
                    ("Region", Some(region)) => Value::Text((*region).to_owned()),
                    ("Region", None) => Value::Null,
                    (other, _) => panic!("the test knows nothing of $user/{other}"),
                });
        Some(Caller {
            user: Some(UserId(id(name))),
            name: (*name).into(),
            roles: roles.into(),
            values: values.collect(),
            means: Means::AccessToken,
            address: None,
        })
    }

    /// The answer, in the words of the page.
    async fn answer(&self, who: &str, request: &str) -> String {
        let request = USERS.iter().fold(request.to_owned(), |text, (name, ..)| {
            text.replace(&format!("${}", name.to_lowercase()), &id(name).to_string())
        });
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, body) = match rest.find(" {") {
            Some(at) => (&rest[..at], rest[at + 1..].to_owned()),
            None => (rest, String::new()),
        };
        let path = path.replace(' ', "%20").replace('ü', "%C3%BC");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://shop.example/odata/{path}"))
            .header("content-type", "application/json");
        if matches!(method, "PATCH" | "DELETE") {
            request = request.header("if-match", "*");
        }
        if let Some(caller) = self.caller(who) {
            request = request.extension(caller);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (parts, body) = self.environment.respond(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let mut answer = parts.status.as_u16().to_string();
        if parts.status == StatusCode::OK {
            words(&mut answer, &bytes);
        } else if parts.status.is_client_error() && parts.status != StatusCode::NOT_FOUND {
            let error: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let target = error["error"]["target"].as_str().unwrap_or_default();
            let detail = &error["error"]["details"][0]["target"];
            let target = detail.as_str().unwrap_or(target);
            let target = if target.starts_with('$') {
                // The option is the target; the message names the property.
                let message = error["error"]["message"].as_str().unwrap_or_default();
                ["Credit", "Customer"]
                    .into_iter()
                    .find(|name| message.contains(name))
                    .unwrap_or(message)
            } else {
                target
            };
            write!(answer, " {target}").unwrap();
        }
        answer.trim_end().to_owned()
    }
}

/// Values of the rows, in order.
fn words(answer: &mut String, bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        write!(answer, " {}", String::from_utf8_lossy(bytes)).unwrap();
        return;
    };
    let rows = json.get("value").and_then(|value| value.as_array());
    for row in rows.map_or(std::slice::from_ref(&json), Vec::as_slice) {
        let Some(members) = row.as_object() else {
            write!(answer, " {row}").unwrap();
            continue;
        };
        for (name, value) in members {
            let is_shown = !name.contains('@') && name != "createdAt" && name != "changedAt";
            if is_shown {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let text = text.strip_suffix(".0").map(str::to_owned).unwrap_or(text);
                write!(answer, " {text}").unwrap();
            }
        }
    }
}

fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    let mut employees = "id,Name,Region\n".to_owned();
    for (name, _, region) in USERS {
        writeln!(
            employees,
            "{},{},{}",
            id(name),
            name.to_lowercase(),
            region.unwrap_or_default()
        )
        .unwrap();
    }
    let (ann, bob) = (id("Ann"), id("Bob"));
    let files = [
        ("Employees.csv", employees),
        (
            "Customers.csv",
            "Code,Name,Region,Credit\nN1,Nordcafé,North,100\nS1,Südmarkt,South,200\nX1,Unknown,,300\n".to_owned(),
        ),
        (
            "Customer.Team.csv",
            format!("Customer,Team\nN1,{ann}\nN1,{bob}\nS1,{bob}\n"),
        ),
        (
            "Orders.csv",
            format!("Number,Status,Customer,TakenBy\n1,Draft,N1,{ann}\n2,Draft,S1,{bob}\n3,Sent,S1,{bob}\n"),
        ),
        ("Line.csv", "Position,Product,Order\n11,Coffee,1\n12,Sugar,1\n".to_owned()),
    ];
    for (name, text) in files {
        std::fs::write(data.join(name), text).unwrap();
    }
    data
}

async fn run(postgres: bool) {
    let page = page();
    assert_eq!(page.examples.len(), 10, "ten worked examples");
    let mut wrong = String::new();
    for example in &page.examples {
        assert!(
            example.requests.len() > 2,
            "{} is hardly tested",
            example.title
        );
        let database = if postgres {
            Some(stoa_testing::postgres::database().await.unwrap())
        } else {
            None
        };
        let url = database
            .as_ref()
            .map(|database| database.url.parse().unwrap());
        let shop = Shop::open(&page, example, url.as_ref()).await;
        for [who, request, expected] in &example.requests {
            let answer = shop.answer(who, request).await;
            if answer != *expected {
                writeln!(
                    wrong,
                    "{}: {who}: {request}\n   says {expected}\n   gets {answer}",
                    example.title
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn the_examples_of_the_guide_hold_on_sqlite() {
    run(false).await;
}

#[tokio::test]
async fn the_examples_of_the_guide_hold_on_postgres() {
    run(true).await;
}
