//! An environment with users and pages.

use std::sync::Arc;
use std::time::Duration;

use stoa_model::access::Actor;
use stoa_model::application::load_from_sources;
use stoa_runtime::identity::password::Cost;
use stoa_runtime::identity::throttle::{Limits, Rate};
use stoa_runtime::identity::{Administrator, Identity, NewUser, Principal, Settings, User};
use stoa_runtime::pages::{Pages, Theme};
use stoa_store::{Config, Store};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "dawn-harbour-violet-42";
pub(crate) const OTHER_PASSWORD: &str = "marble-engine-quiet-17";

const MODEL: &str = r#"
[role.Sales]
[role.Manager]
[entity.Order.attributes]
Note = { type = "String", length = 40 }
"#;

pub(crate) struct Site {
    pub(crate) identity: Identity,
    pub(crate) pages: Pages,
    _folder: TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = vec![
            (
                "app.toml".to_owned(),
                "name = \"Shop\"\nlabel = \"The <Shop>\"\n".to_owned(),
            ),
            ("model/shop.toml".to_owned(), MODEL.to_owned()),
        ];
        let application = match load_from_sources(folder.path(), sources) {
            Ok(loaded) => loaded.application,
            Err(faults) => panic!("{faults}"),
        };
        let url = format!("sqlite:{}", folder.path().join("data.sqlite").display())
            .parse()
            .unwrap();
        stoa_schema::apply(&url, &application.model, stoa_schema::Options::default())
            .await
            .unwrap();
        let store = Store::open(&url, Config::default()).await.unwrap();
        let model = Arc::new(application.model);
        let identity = Identity::open(model, store, settings()).await.unwrap();
        Self {
            pages: Pages::new(
                &application.manifest.label,
                Theme::default(),
                identity.clone(),
            ),
            identity,
            _folder: folder,
        }
    }

    pub(crate) async fn add(&self, name: &str, roles: &[&str]) -> User {
        let user = NewUser {
            name: name.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            password: Some(PASSWORD.to_owned()),
            ..NewUser::default()
        };
        self.identity.add_user(user, &by()).await.unwrap()
    }

    pub(crate) async fn add_administrator(&self, name: &str) -> Administrator {
        let added = self
            .identity
            .add_administrator(name, None, None, &by())
            .await
            .unwrap();
        self.identity
            .set_password(Principal::Administrator(added.id), PASSWORD, false, &by())
            .await
            .unwrap();
        added
    }
}

pub(crate) fn by() -> Actor {
    Actor {
        name: "test".to_owned(),
        ..Actor::default()
    }
}

fn settings() -> Settings {
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
        ..Settings::default()
    }
}
