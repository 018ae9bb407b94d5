//! The real pipeline on a real database, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Request as HttpRequest;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value as Json};
use stoa_model::application::{Application, load_from_sources};
use stoa_model::model::RoleId;
use stoa_model::value::Value;
use stoa_runtime::Environment;
use stoa_runtime::identity::{Caller, Identity, Means, Settings, UserId};
use stoa_store::{Config, Store};
use stoa_testing::postgres::TestDatabase;
use tempfile::TempDir;

use crate::data::{Database, RowId};
use crate::generate::name_of;
use crate::judge::{Judge, Reader};
use crate::model::{EntityId, Model, NAMESPACE, Navigation, ROOT, Shape};
use crate::request::{Action, Body, Given, Http, Path, Request, Step};
use crate::value::{SHADES, Scalar, plain};

/// Origin that requests name.
pub(crate) const ORIGIN: &str = "http://court.example/odata/";

/// Which database a court is held on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// An application in motion.
pub(crate) struct Court {
    environment: Environment,
    store: Store,
    folder: TempDir,
    _database: Option<TestDatabase>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or(Json::Null)
    }

    /// Stable code of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

fn application(folder: &TempDir, model: &Model) -> Result<Application, String> {
    let sources = vec![
        ("app.toml".to_owned(), model.manifest()),
        ("model/court.toml".to_owned(), model.toml()),
    ];
    load_from_sources(folder.path(), sources)
        .map(|loaded| loaded.application)
        .map_err(|faults| faults.to_string())
}

impl Court {
    /// A new database with the structure of a model, and no rows.
    pub(crate) async fn open(kind: Kind, model: &Model) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let application = application(&folder, model)?;
        let (url, database) = match kind {
            Kind::Sqlite => {
                let file = folder.path().join("data.sqlite");
                (format!("sqlite:{}", file.display()), None)
            }
            Kind::Postgres => {
                let database = stoa_testing::postgres::database().await.unwrap();
                (database.url.clone(), Some(database))
            }
        };
        let url = url.parse().unwrap();
        stoa_schema::apply(&url, &application.model, stoa_schema::Options::default())
            .await
            .map_err(|error| error.to_string())?;
        let config = Config {
            connections: 4,
            reading_connections: 2,
            reader_threads: 1,
            ..Config::default()
        };
        let store = Store::open(&url, config).await.unwrap();
        let environment = serve(application, &store, &folder).await;
        Ok(Self {
            environment,
            store,
            folder,
            _database: database,
        })
    }

    /// Serves the same structure with other rules.
    pub(crate) async fn rule(&mut self, model: &Model) -> Result<(), String> {
        let application = application(&self.folder, model)?;
        self.environment = serve(application, &self.store, &self.folder).await;
        Ok(())
    }

    /// A user, as the pipeline is told of them.
    fn caller(&self, model: &Model, data: &Database, reader: &Reader) -> Caller {
        let described = self.environment.model();
        let names: Vec<&str> = if reader.is_root {
            vec![ROOT]
        } else {
            reader.roles.iter().map(String::as_str).collect()
        };
        let mut roles: Vec<RoleId> = (0_u32..)
            .zip(&described.roles)
            .filter(|(_, role)| names.contains(&role.name.as_str()))
            .map(|(id, _)| RoleId(id))
            .collect();
        roles.sort_unstable();
        let judge = Judge::new(model, data, reader);
        let values: Arc<[Value]> = described
            .user
            .values
            .iter()
            .map(|value| {
                let path: Vec<String> = value.path.split('/').map(str::to_owned).collect();
                stored(&judge.user(&path))
            })
            .collect();
        let user = reader.user.and_then(|row| match &data.rows[&row].key {
            Scalar::Uuid(id) => Some(UserId(*id)),
            _ => None,
        });
        Caller {
            user,
            name: Arc::from(if user.is_some() {
                "somebody"
            } else {
                "anonymous"
            }),
            roles: roles.into(),
            values,
            means: if user.is_some() {
                Means::AccessToken
            } else {
                Means::Anonymous
            },
            address: None,
        }
    }

    /// Sends a request in the name of a user.
    pub(crate) async fn send(
        &self,
        model: &Model,
        data: &Database,
        reader: &Reader,
        http: &Http,
    ) -> Answer {
        self.send_as(Some(self.caller(model, data, reader)), http)
            .await
    }

    /// Sends a request; in nobody's name if there is no caller.
    pub(crate) async fn send_as(&self, caller: Option<Caller>, http: &Http) -> Answer {
        let mut request = HttpRequest::builder()
            .method(http.method)
            .uri(format!("{ORIGIN}{}", http.url));
        for (name, value) in &http.headers {
            request = request.header(*name, value);
        }
        let mut request = request
            .body(Full::new(Bytes::from(http.body.clone())))
            .unwrap();
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let (parts, body) = self.environment.respond(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Follows `nextLink` to the end: one answer with the rows of all pages.
    pub(crate) async fn walk(
        &self,
        model: &Model,
        data: &Database,
        reader: &Reader,
        http: &Http,
        page: usize,
    ) -> Answer {
        let mut answer = self.send(model, data, reader, http).await;
        let mut rows = Vec::new();
        let mut first = None;
        for _ in 0..1000 {
            let mut json = answer.json();
            let Some(given) = json["value"].as_array().cloned() else {
                return answer;
            };
            if given.len() > page {
                answer.text = format!("a page has {} rows: {}", given.len(), answer.text);
                return answer;
            }
            rows.extend(given);
            let next = json["@odata.nextLink"].as_str().map(str::to_owned);
            if let Some(object) = json.as_object_mut() {
                object.remove("@odata.nextLink");
            }
            first.get_or_insert(json);
            let Some(next) = next else { break };
            let Some(url) = next.strip_prefix(ORIGIN) else {
                answer.text = format!("a link leads elsewhere: {next}");
                return answer;
            };
            let next = Http {
                url: url.to_owned(),
                ..http.clone()
            };
            answer = self.send(model, data, reader, &next).await;
        }
        let mut whole = first.unwrap_or(Json::Null);
        whole["value"] = Json::Array(rows);
        answer.text = whole.to_string();
        answer
    }

    /// Every row, as somebody sees it who may see everything.
    pub(crate) async fn state(&self, model: &Model, data: &Database) -> Result<State, String> {
        let root = Reader::root();
        let mut state = State::new();
        for entity in model.ids() {
            if model.entities[entity].is_system || model.container(entity).is_some() {
                continue;
            }
            let expand = state_expand(model, entity);
            let mut url = model.entities[entity].collection.clone();
            if !expand.is_empty() {
                url.push_str(&format!("?$expand={}", expand.join(",")));
            }
            let http = Http {
                method: "GET",
                url,
                headers: Vec::new(),
                body: String::new(),
            };
            let answer = self.send(model, data, &root, &http).await;
            let json = answer.json();
            let Some(rows) = json["value"].as_array() else {
                return Err(format!("the state cannot be read: {http:?}: {answer:?}"));
            };
            for row in rows {
                let special = format!("#{NAMESPACE}.{}", model.entities[entity].name);
                if row.get("@odata.type").is_none_or(|name| *name == special) {
                    collect(model, entity, row, None, &mut state);
                }
            }
        }
        Ok(state)
    }

    /// Puts rows into an empty database.
    pub(crate) async fn load(&self, model: &Model, data: &Database) -> Result<(), String> {
        let root = Reader::root();
        let mut there: Vec<RowId> = Vec::new();
        let mut late: Vec<Request> = Vec::new();
        let mut waiting: Vec<RowId> = data.rows.keys().copied().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            for id in std::mem::take(&mut waiting) {
                let row = &data.rows[&id];
                let is_ready = row.references.iter().all(|(association, target)| {
                    there.contains(target) || !model.is_required(*association)
                });
                if !is_ready {
                    waiting.push(id);
                    continue;
                }
                let request = self.row_request(model, data, id, &there, &mut late);
                self.must(model, data, &root, &request).await?;
                there.push(id);
            }
            if waiting.len() == before {
                return Err("rows need each other".to_owned());
            }
        }
        for (association, holder, target) in &data.links {
            let from = Navigation {
                association: *association,
                forward: true,
            };
            let mut path = path_of(model, data, *holder);
            path.steps.push(Step {
                navigation: model.name_of(from).unwrap_or_default().to_owned(),
                key: None,
            });
            late.push(Request {
                path,
                action: Action::SetReference(name_of(data, *target)),
            });
        }
        for request in &late {
            self.must(model, data, &root, request).await?;
        }
        Ok(())
    }

    async fn must(
        &self,
        model: &Model,
        data: &Database,
        root: &Reader,
        request: &Request,
    ) -> Result<(), String> {
        let is_many = Judge::new(model, data, root).is_many(&request.path);
        let http = request.http(model, is_many);
        let answer = self.send(model, data, root, &http).await;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        Err(format!(
            "{}\n{} {}",
            http.text(),
            answer.status,
            answer.text
        ))
    }

    fn row_request(
        &self,
        model: &Model,
        data: &Database,
        id: RowId,
        there: &[RowId],
        late: &mut Vec<Request>,
    ) -> Request {
        let row = &data.rows[&id];
        let mut body = Body::default();
        let (key, _) = model.key(row.entity);
        body.members
            .push((key.to_owned(), Given::Value(row.key.clone())));
        for (_, attribute) in model.attributes(row.entity) {
            if model.shown_by(row.entity, &attribute.name).is_none() {
                let value = row.values.get(&attribute.name).cloned();
                let value = value.unwrap_or(Scalar::Null);
                if !value.is_null() || attribute.default.is_some() {
                    body.members
                        .push((attribute.name.clone(), Given::Value(value)));
                }
            }
        }
        let mut container = None;
        for (association, target) in &row.references {
            if model.is_containment(*association) {
                container = Some((*association, *target));
                continue;
            }
            let name = model.associations[*association].name.clone();
            let name = name.unwrap_or_default();
            if there.contains(target) {
                let to = Some(name_of(data, *target));
                body.members.push((name, Given::Bind(to)));
            } else {
                let mut path = path_of(model, data, id);
                path.steps.push(Step {
                    navigation: name,
                    key: None,
                });
                late.push(Request {
                    path,
                    action: Action::SetReference(name_of(data, *target)),
                });
            }
        }
        let path = match container {
            Some((association, target)) => {
                let mut path = path_of(model, data, target);
                path.steps.push(Step {
                    navigation: model.associations[association]
                        .inverse
                        .clone()
                        .unwrap_or_default(),
                    key: None,
                });
                path
            }
            None => Path {
                entity: row.entity,
                key: None,
                cast: None,
                steps: Vec::new(),
            },
        };
        Request {
            path,
            action: Action::Post(body),
        }
    }
}

async fn serve(application: Application, store: &Store, folder: &TempDir) -> Environment {
    // Only its refusal of nobody is at work here: callers come with the requests.
    let model = Arc::new(application.model.clone());
    let identity = Identity::open(model, store.clone(), Settings::default())
        .await
        .unwrap();
    let files = folder.path().join("files");
    Environment::new(application, store.clone(), files, Some(identity))
}

fn path_of(model: &Model, data: &Database, row: RowId) -> Path {
    let mut random = crate::random::Random::new(0);
    let root = Reader::root();
    let judge = Judge::new(model, data, &root);
    crate::generate::requests::path_to(&mut random, &judge, row, true)
}

/// As the model's own values.
fn stored(value: &Scalar) -> Value {
    match value {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Boolean(*value),
        Scalar::Integer(value) => Value::Integer(*value),
        Scalar::Decimal(value) => Value::Decimal(*value),
        Scalar::Text(value) => Value::Text(value.clone()),
        Scalar::Shade(value) => Value::Text(SHADES[*value].to_owned()),
        Scalar::Date(value) => Value::Date(*value),
        Scalar::Instant(value) => Value::DateTime(value * 1_000_000),
        Scalar::Uuid(value) => Value::Uuid(*value),
    }
}

/// All rows by entity and key, with their values and whom they refer to.
pub(crate) type State = BTreeMap<(String, String), Json>;

/// Navigations that tell the state: references and links from the holder, contained rows with theirs.
fn state_expand(model: &Model, entity: EntityId) -> Vec<String> {
    let mut items = Vec::new();
    for (name, navigation) in model.navigations(entity) {
        let target = model.target_of(navigation);
        if model.contains(navigation) {
            let inner = state_expand(model, target);
            if inner.is_empty() {
                items.push(name);
            } else {
                items.push(format!("{name}($expand={})", inner.join(",")));
            }
        } else if navigation.forward && !model.is_containment(navigation.association) {
            items.push(format!("{name}($select={})", model.key(target).0));
        }
    }
    items
}

fn collect(
    model: &Model,
    entity: EntityId,
    row: &Json,
    container: Option<&str>,
    state: &mut State,
) {
    let mut object = Map::new();
    object.insert(
        "type".to_owned(),
        Json::from(model.entities[entity].name.as_str()),
    );
    let key_name = model.key(entity).0;
    let key = plain(&row[key_name]).to_string();
    for (_, attribute) in model.attributes(entity) {
        object.insert(attribute.name.clone(), plain(&row[&attribute.name]));
    }
    for (name, navigation) in model.navigations(entity) {
        let target = model.target_of(navigation);
        if model.contains(navigation) {
            for line in row[&name].as_array().into_iter().flatten() {
                collect(model, target, line, Some(&key), state);
            }
        } else if navigation.forward && !model.is_containment(navigation.association) {
            let target_key = model.key(target).0;
            let value = match &row[&name] {
                Json::Array(rows) => {
                    let mut keys: Vec<String> = rows
                        .iter()
                        .map(|row| plain(&row[target_key]).to_string())
                        .collect();
                    keys.sort();
                    Json::from(keys)
                }
                Json::Object(row) => Json::from(plain(&row[target_key]).to_string()),
                _ => Json::Null,
            };
            object.insert(format!("/{}", navigation.association), value);
        }
    }
    if let (Some(association), Some(container)) = (model.container(entity), container) {
        object.insert(format!("/{association}"), Json::from(container));
    }
    let root = model.entities[model.root(entity)].name.clone();
    state.insert((root, key), Json::Object(object));
}

/// What the state of a database must be, in the same form.
pub(crate) fn expected_state(model: &Model, data: &Database) -> State {
    let key = |row: RowId| plain(&data.rows[&row].key.json()).to_string();
    let mut state = State::new();
    for (id, row) in &data.rows {
        let mut object = Map::new();
        object.insert(
            "type".to_owned(),
            Json::from(model.entities[row.entity].name.as_str()),
        );
        for (_, attribute) in model.attributes(row.entity) {
            let value = data.value(model, *id, &attribute.name);
            object.insert(attribute.name.clone(), plain(&value.json()));
        }
        for (number, association) in model.associations.iter().enumerate() {
            if !model.is_a(row.entity, association.holder) {
                continue;
            }
            let value = match association.shape {
                Shape::ManyToMany => {
                    let navigation = Navigation {
                        association: number,
                        forward: true,
                    };
                    let mut keys: Vec<String> = data
                        .targets(model, *id, navigation)
                        .into_iter()
                        .map(key)
                        .collect();
                    keys.sort();
                    Json::from(keys)
                }
                Shape::Reference { .. } => row
                    .references
                    .get(&number)
                    .map_or(Json::Null, |target| Json::from(key(*target))),
            };
            object.insert(format!("/{number}"), value);
        }
        let root = model.entities[model.root(row.entity)].name.clone();
        let key = if row.is_key_unknown {
            format!("new {id}")
        } else {
            key(*id)
        };
        state.insert((root, key), Json::Object(object));
    }
    state
}

/// Gives rows whose keys the database has made those keys, by finding them among the rows that are new.
pub(crate) fn learn_keys(model: &Model, data: &mut Database, actual: &State) {
    let unknown: Vec<RowId> = data
        .rows
        .iter()
        .filter(|(_, row)| row.is_key_unknown)
        .map(|(id, _)| *id)
        .collect();
    for id in unknown {
        let expected = expected_state(model, data);
        let root = model.entities[model.root(data.rows[&id].entity)]
            .name
            .clone();
        let Some(wanted) = expected.get(&(root.clone(), format!("new {id}"))) else {
            continue;
        };
        let fits = |json: &Json| {
            wanted.as_object().is_some_and(|wanted| {
                wanted.iter().all(|(name, value)| {
                    // Other new rows are not known yet: those who refer to them are told apart by the rest.
                    json[name] == *value || *value == "null" || value.is_array()
                })
            })
        };
        let found = actual
            .iter()
            .find(|((entity, key), json)| {
                *entity == root
                    && !expected.contains_key(&(entity.clone(), key.clone()))
                    && fits(json)
            })
            .and_then(|((_, key), _)| key.trim_matches('"').parse().ok());
        if let (Some(key), Some(row)) = (found, data.rows.get_mut(&id)) {
            row.key = Scalar::Uuid(key);
            row.is_key_unknown = false;
        }
    }
}
