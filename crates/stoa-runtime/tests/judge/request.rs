//! Requests: as trees that can be made smaller, and as HTTP.

use serde_json::{Map, Value as Json, json};

use crate::expression::Expression;
use crate::model::{EntityId, Model, NAMESPACE};
use crate::value::Scalar;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: Path,
    pub(crate) action: Action,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Metadata,
    /// Somebody who is nobody asks.
    Unknown,
    Read(Part, Options),
    /// To a collection: of an entity set or behind a navigation.
    Post(Body),
    Patch(Body),
    Put(Body),
    /// PUT with `If-None-Match: *`.
    PutNew(Body),
    Delete,
    /// PATCH with an ETag that no row has.
    PatchStale(Body),
    /// PUT or POST of `$ref`: the path ends with a navigation.
    SetReference(RowName),
    /// DELETE of `$ref`, with `$id` for one of many.
    RemoveReference(Option<RowName>),
    PutProperty(String, Scalar),
    DeleteProperty(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Rows,
    Count,
    References,
    Property(String),
    Value(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) entity: EntityId,
    pub(crate) key: Option<Scalar>,
    pub(crate) cast: Option<EntityId>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) navigation: String,
    pub(crate) key: Option<Scalar>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) select: Option<Vec<String>>,
    pub(crate) filter: Option<Expression>,
    /// True for descending.
    pub(crate) order: Vec<(Expression, bool)>,
    pub(crate) top: Option<usize>,
    pub(crate) skip: Option<usize>,
    pub(crate) count: bool,
    pub(crate) expand: Vec<Expand>,
    /// `Prefer: maxpagesize`, of the request as a whole.
    pub(crate) page: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Expand {
    pub(crate) navigation: String,
    pub(crate) counts_only: bool,
    pub(crate) options: Options,
}

/// A row of an entity set, by its key; it need not exist.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowName {
    pub(crate) entity: EntityId,
    pub(crate) key: Scalar,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    /// `@odata.type`
    pub(crate) entity: Option<EntityId>,
    pub(crate) members: Vec<(String, Given)>,
    /// `Prefer: return=…`
    pub(crate) answer: Answer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Answer {
    #[default]
    Default,
    Minimal,
    Representation,
}

#[derive(Clone, Debug)]
pub(crate) enum Given {
    Value(Scalar),
    /// `Nav@odata.bind` to one row, or null.
    Bind(Option<RowName>),
    /// `Nav@odata.bind` to several rows.
    BindMany(Vec<RowName>),
    /// `Nav: [{"@odata.id": …}]`: all that there are to be.
    Replace(Vec<RowName>),
    Row(Body),
    Rows(Vec<Body>),
}

/// What goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) method: &'static str,
    /// Path and query below the service root, encoded.
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Path {
    pub(crate) fn text(&self, model: &Model) -> String {
        let mut out = model.entities[self.entity].collection.clone();
        let key = |key: &Option<Scalar>, out: &mut String| {
            if let Some(key) = key {
                out.push_str(&format!("({})", key.literal()));
            }
        };
        key(&self.key, &mut out);
        if let Some(cast) = self.cast {
            out.push_str(&format!("/{NAMESPACE}.{}", model.entities[cast].name));
        }
        for step in &self.steps {
            out.push('/');
            out.push_str(&step.navigation);
            key(&step.key, &mut out);
        }
        out
    }
}

impl RowName {
    pub(crate) fn text(&self, model: &Model) -> String {
        format!(
            "{}({})",
            model.entities[self.entity].collection,
            self.key.literal()
        )
    }
}

impl Options {
    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if let Some(select) = &self.select {
            texts.push(format!("$select={}", select.join(",")));
        }
        if let Some(filter) = &self.filter {
            texts.push(format!("$filter={}", filter.text()));
        }
        if !self.order.is_empty() {
            let terms: Vec<String> = self
                .order
                .iter()
                .map(|(term, descending)| {
                    format!("{}{}", term.text(), if *descending { " desc" } else { "" })
                })
                .collect();
            texts.push(format!("$orderby={}", terms.join(",")));
        }
        if let Some(top) = self.top {
            texts.push(format!("$top={top}"));
        }
        if let Some(skip) = self.skip {
            texts.push(format!("$skip={skip}"));
        }
        if self.count {
            texts.push("$count=true".to_owned());
        }
        if !self.expand.is_empty() {
            let items: Vec<String> = self.expand.iter().map(Expand::text).collect();
            texts.push(format!("$expand={}", items.join(",")));
        }
        texts
    }
}

impl Expand {
    fn text(&self) -> String {
        if self.counts_only {
            let filter = self.options.filter.as_ref();
            return match filter {
                Some(filter) => format!("{}/$count($filter={})", self.navigation, filter.text()),
                None => format!("{}/$count", self.navigation),
            };
        }
        let options = self.options.texts();
        if options.is_empty() {
            self.navigation.clone()
        } else {
            format!("{}({})", self.navigation, options.join(";"))
        }
    }
}

impl Body {
    pub(crate) fn json(&self, model: &Model) -> Json {
        let mut object = Map::new();
        if let Some(entity) = self.entity {
            let name = &model.entities[entity].name;
            object.insert(
                "@odata.type".to_owned(),
                json!(format!("#{NAMESPACE}.{name}")),
            );
        }
        let texts =
            |rows: &[RowName]| -> Vec<String> { rows.iter().map(|row| row.text(model)).collect() };
        for (name, given) in &self.members {
            match given {
                Given::Value(value) => object.insert(name.clone(), value.json()),
                Given::Bind(row) => object.insert(
                    format!("{name}@odata.bind"),
                    row.as_ref()
                        .map_or(Json::Null, |row| json!(row.text(model))),
                ),
                Given::BindMany(rows) => {
                    object.insert(format!("{name}@odata.bind"), json!(texts(rows)))
                }
                Given::Replace(rows) => object.insert(
                    name.clone(),
                    texts(rows)
                        .into_iter()
                        .map(|text| json!({"@odata.id": text}))
                        .collect(),
                ),
                Given::Row(body) => object.insert(name.clone(), body.json(model)),
                Given::Rows(bodies) => object.insert(
                    name.clone(),
                    bodies.iter().map(|body| body.json(model)).collect(),
                ),
            };
        }
        Json::Object(object)
    }
}

impl Request {
    /// Which kind of request it is, for counting.
    pub(crate) fn kind(&self) -> &'static str {
        let has_steps = !self.path.steps.is_empty();
        match &self.action {
            Action::Metadata => "metadata",
            Action::Unknown => "nobody",
            Action::Read(part, options) => match part {
                Part::Rows if options.page.is_some() => "read pages",
                Part::Rows if !options.expand.is_empty() => "read expand",
                Part::Rows if has_steps => "read navigation",
                Part::Rows if self.path.cast.is_some() => "read cast",
                Part::Rows if self.path.key.is_some() => "read key",
                Part::Rows if options.filter.is_some() => "read filter",
                Part::Rows if !options.order.is_empty() => "read order",
                Part::Rows if options.select.is_some() => "read select",
                Part::Rows => "read collection",
                Part::Count => "read count",
                Part::References => "read references",
                Part::Property(_) => "read property",
                Part::Value(_) => "read value",
            },
            Action::Post(_) if has_steps => "post navigation",
            Action::Post(body) => match body.depth() {
                0 => "post",
                1 => "post bind",
                _ => "post deep",
            },
            Action::Patch(body) => match body.depth() {
                0 => "patch",
                1 => "patch bind",
                _ => "patch deep",
            },
            Action::PatchStale(_) => "patch stale",
            Action::Put(_) => "put",
            Action::PutNew(_) => "upsert",
            Action::Delete => "delete",
            Action::SetReference(_) => "set reference",
            Action::RemoveReference(_) => "remove reference",
            Action::PutProperty(..) => "put property",
            Action::DeleteProperty(_) => "delete property",
        }
    }

    pub(crate) fn is_write(&self) -> bool {
        !matches!(
            self.action,
            Action::Metadata | Action::Unknown | Action::Read(..)
        )
    }

    /// As HTTP; `is_many`: the path's end is a collection.
    pub(crate) fn http(&self, model: &Model, is_many: bool) -> Http {
        let path = self.path.text(model);
        let any = || vec![("if-match", "*".to_owned())];
        let mut http = Http {
            method: "GET",
            url: path.clone(),
            headers: Vec::new(),
            body: String::new(),
        };
        let mut options = Vec::new();
        match &self.action {
            Action::Metadata => http.url = "$metadata".to_owned(),
            Action::Unknown => {}
            Action::Read(part, given) => {
                http.url = match part {
                    Part::Rows => path,
                    Part::Count => format!("{path}/$count"),
                    Part::References => format!("{path}/$ref"),
                    Part::Property(name) => format!("{path}/{name}"),
                    Part::Value(name) => format!("{path}/{name}/$value"),
                };
                options = given.texts();
                if let Some(page) = given.page {
                    http.headers.push(("prefer", format!("maxpagesize={page}")));
                }
            }
            Action::Post(body) => http.write("POST", Vec::new(), body, model),
            Action::Patch(body) => http.write("PATCH", any(), body, model),
            Action::PatchStale(body) => http.write(
                "PATCH",
                vec![("if-match", "W/\"987654\"".to_owned())],
                body,
                model,
            ),
            Action::Put(body) => http.write("PUT", any(), body, model),
            Action::PutNew(body) => {
                let headers = vec![("if-none-match", "*".to_owned())];
                http.write("PUT", headers, body, model);
            }
            Action::Delete => {
                http.method = "DELETE";
                http.headers = any();
            }
            Action::SetReference(row) => {
                http.method = if is_many { "POST" } else { "PUT" };
                http.url = format!("{path}/$ref");
                http.body = json!({"@odata.id": row.text(model)}).to_string();
            }
            Action::RemoveReference(row) => {
                http.method = "DELETE";
                http.url = format!("{path}/$ref");
                options.extend(row.as_ref().map(|row| format!("$id={}", row.text(model))));
            }
            Action::PutProperty(name, value) => {
                http.method = "PUT";
                http.url = format!("{path}/{name}");
                http.headers = any();
                http.body = json!({"value": value.json()}).to_string();
            }
            Action::DeleteProperty(name) => {
                http.method = "DELETE";
                http.url = format!("{path}/{name}");
                http.headers = any();
            }
        }
        http.url = encoded(&http.url);
        if !options.is_empty() {
            let options: Vec<String> = options.iter().map(|option| encoded(option)).collect();
            http.url = format!("{}?{}", http.url, options.join("&"));
        }
        if !http.body.is_empty() {
            http.headers
                .push(("content-type", "application/json".to_owned()));
        }
        http
    }
}

impl Body {
    /// 0: values only, 1: references, 2: nested rows.
    fn depth(&self) -> usize {
        self.members
            .iter()
            .map(|(_, given)| match given {
                Given::Value(_) => 0,
                Given::Bind(_) | Given::BindMany(_) | Given::Replace(_) => 1,
                Given::Row(_) | Given::Rows(_) => 2,
            })
            .max()
            .unwrap_or(0)
    }
}

impl Http {
    fn write(
        &mut self,
        method: &'static str,
        mut headers: Vec<(&'static str, String)>,
        body: &Body,
        model: &Model,
    ) {
        match body.answer {
            Answer::Default => {}
            Answer::Minimal => headers.push(("prefer", "return=minimal".to_owned())),
            Answer::Representation => headers.push(("prefer", "return=representation".to_owned())),
        }
        self.method = method;
        self.headers = headers;
        self.body = body.json(model).to_string();
    }

    pub(crate) fn text(&self) -> String {
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("\n{name}: {value}"))
            .collect();
        let url = decoded(&self.url);
        format!("{} {url}{}\n{}", self.method, headers.concat(), self.body)
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$/()=,:;'*!@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn urls_are_encoded() {
    assert_eq!(encoded("$filter=A eq 'ö'"), "$filter=A%20eq%20'%C3%B6'");
    assert_eq!(decoded("A%20eq%20'%C3%B6'"), "A eq 'ö'");
}
