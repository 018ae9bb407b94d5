//! A database with users, and values of [`Identity`] on it as servers and commands have them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use stoa_model::access::Actor;
use stoa_model::application::load_from_sources;
use stoa_model::model::Model;
use stoa_runtime::identity::password::Cost;
use stoa_runtime::identity::throttle::{Limits, Rate};
use stoa_runtime::identity::{
    Caller, Client, Identity, NewUser, Principal, Refusal, Secret, Settings, SignedIn, User,
};
use stoa_store::{Config, DatabaseUrl, Store};
use stoa_testing::postgres::TestDatabase;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "dawn-harbour-violet-42";
pub(crate) const OTHER_PASSWORD: &str = "marble-engine-quiet-17";

const MODEL: &str = r#"
[role.Sales]
[role.Manager]

[entity.Region]
key = ["Code"]
[entity.Region.attributes]
Code = { type = "String", length = 10, required = true }
Name = { type = "String", length = 40 }

[entity.Department.attributes]
Name = { type = "String", length = 40 }
[entity.Department.associations]
Region = { to = "Region" }

[entity.Employee]
extends = "System.User"
[entity.Employee.attributes]
Badge = { type = "String", length = 5, required = true }
Level = { type = "Integer", minimum = 1 }
Salary = { type = "Decimal", precision = 10, scale = 2 }
Manager = { type = "Boolean", default = false }
[entity.Employee.associations]
Department = { to = "Department" }
Home = { to = "Region" }

[entity.Order.attributes]
Note = { type = "String", length = 40 }
[entity.Order.associations]
Owner = { to = "System.User", on_delete = "prevent", inverse = "Orders" }

[[entity.Order.access]]
role = "Sales"
read = "*"
where = "Owner eq $user and $user/Level gt 1 and $user/Department/Region/Name eq Note and $user/Name ne null"
"#;

pub(crate) struct Site {
    pub(crate) url: DatabaseUrl,
    pub(crate) model: Arc<Model>,
    pub(crate) database: Option<TestDatabase>,
    _folder: Option<TempDir>,
}

/// Settings of tests: cheap hashes, throttling only where a test asks for it.
pub(crate) fn settings() -> Settings {
    let many = Rate {
        burst: 100_000,
        every: Duration::from_millis(1),
    };
    Settings {
        instance: Some("test".to_owned()),
        password_cost: Cost {
            memory: 64,
            passes: 1,
            lanes: 1,
        },
        throttle: Limits {
            known: many,
            pair: many,
            account: many,
            address: many,
            flood: many,
            ..Limits::default()
        },
        hashes_waiting: 1000,
        ..Settings::default()
    }
}

pub(crate) fn model(access: &str) -> Arc<Model> {
    let sources = vec![
        ("app.toml".to_owned(), format!("name = \"Shop\"\n{access}")),
        ("model/shop.toml".to_owned(), MODEL.to_owned()),
    ];
    match load_from_sources(std::path::Path::new(""), sources) {
        Ok(loaded) => Arc::new(loaded.application.model),
        Err(faults) => panic!("{faults}"),
    }
}

impl Site {
    async fn new(
        url: DatabaseUrl,
        database: Option<TestDatabase>,
        folder: Option<TempDir>,
    ) -> Self {
        let model = model("");
        stoa_schema::apply(&url, &model, stoa_schema::Options::default())
            .await
            .unwrap();
        Self {
            url,
            model,
            database,
            _folder: folder,
        }
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("site.db").display());
        Self::new(url.parse().unwrap(), None, Some(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        let database = stoa_testing::postgres::database().await.unwrap();
        let url = database.url.parse().unwrap();
        Self::new(url, Some(database), None).await
    }

    /// As another process would have it: with connections of its own.
    pub(crate) async fn open(&self, settings: Settings) -> Identity {
        let store = Store::open(&self.url, Config::default()).await.unwrap();
        Identity::open(Arc::clone(&self.model), store, settings)
            .await
            .unwrap()
    }

    /// A server.
    pub(crate) async fn server(&self) -> Identity {
        self.open(settings()).await
    }

    /// A command.
    pub(crate) async fn command(&self) -> Identity {
        self.open(Settings {
            instance: None,
            ..settings()
        })
        .await
    }
}

/// Who does it.
pub(crate) fn by() -> Actor {
    Actor {
        name: "test".to_owned(),
        ..Actor::default()
    }
}

pub(crate) fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

pub(crate) fn client(from: &str) -> Client {
    Client {
        address: address(from),
        ..Client::default()
    }
}

/// Headers of a browser that has a session.
pub(crate) fn with_session(token: &Secret) -> HeaderMap {
    headers(&[
        ("host", "localhost:8080"),
        ("cookie", &format!("stoa={}", token.expose())),
    ])
}

/// Headers of a browser in which an administrator has a session.
pub(crate) fn with_administrator(token: &Secret) -> HeaderMap {
    headers(&[
        ("host", "localhost:8080"),
        ("cookie", &format!("stoa-admin={}", token.expose())),
    ])
}

pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

pub(crate) async fn add(identity: &Identity, name: &str, roles: &[&str]) -> User {
    let user = NewUser {
        name: name.to_owned(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        password: Some(PASSWORD.to_owned()),
        ..NewUser::default()
    };
    identity.add_user(user, &by()).await.unwrap()
}

pub(crate) async fn sign_in(identity: &Identity, name: &str) -> SignedIn {
    identity
        .sign_in(name, PASSWORD, &client("192.0.2.1"))
        .await
        .unwrap()
}

pub(crate) async fn caller(identity: &Identity, token: &Secret) -> Result<Caller, Refusal> {
    identity
        .caller(&with_session(token), address("192.0.2.1"))
        .await
}

/// Names of the roles of a caller.
pub(crate) fn roles(identity: &Identity, caller: &Caller) -> Vec<String> {
    caller
        .roles
        .iter()
        .map(|role| identity.model().roles[role.index()].name.clone())
        .collect()
}

/// Reads that the identity's store has done.
pub(crate) fn reads(identity: &Identity) -> u64 {
    identity
        .store()
        .statistics()
        .reads
        .count
        .load(Ordering::Relaxed)
}

pub(crate) fn is_refused(outcome: &Result<Caller, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::NotSignedIn | Refusal::InvalidToken))
}

pub(crate) fn principal(user: &User) -> Principal {
    Principal::User(user.id)
}
