//! Paths and operations.

use serde_json::{Map, Value, json};
use stoa_model::model::{Entity, Extent, Model, Purpose};
use stoa_model::value::ScalarType;

use super::schemas::{Body, of_body, of_rows, scalar};
use crate::metadata::{entity_sets, shown_name};

/// Most levels of contained rows that have paths of their own here.
const DEPTH: usize = 3;

/// Options of a collection.
const COLLECTION_OPTIONS: &[&str] = &[
    "filter", "orderby", "select", "expand", "top", "skip", "count",
];
/// Options of one row.
const ROW_OPTIONS: &[&str] = &["select", "expand"];

pub(super) fn tags(model: &Model) -> Value {
    entity_sets(model)
        .map(|entity| json!({ "name": entity.collection, "description": entity.label }))
        .collect()
}

pub(super) fn parameters() -> Value {
    let text = |name: &str, about: &str| {
        json!({
            "name": format!("${name}"),
            "in": "query",
            "description": about,
            "schema": { "type": "string" },
        })
    };
    let number = |name: &str, about: &str| {
        json!({
            "name": format!("${name}"),
            "in": "query",
            "description": about,
            "schema": { "type": "integer", "minimum": 0 },
        })
    };
    json!({
        "filter": text("filter", "Only rows that fulfil the condition."),
        "orderby": text("orderby", "Properties to order by, each with `desc` or without."),
        "select": text("select", "Properties to answer."),
        "expand": text("expand", "Navigations to answer with their rows."),
        "top": number("top", "Most rows to answer."),
        "skip": number("skip", "Rows to leave out at the start."),
        "count": {
            "name": "$count",
            "in": "query",
            "description": "Whether the number of all rows is answered too.",
            "schema": { "type": "boolean" },
        },
        "if-match": {
            "name": "If-Match",
            "in": "header",
            "required": true,
            "description": "ETag of the row as it was read, or `*`.",
            "schema": { "type": "string" },
        },
    })
}

pub(super) fn all(model: &Model) -> Value {
    let mut paths = Map::new();
    for entity in entity_sets(model) {
        let mut way = Way {
            model,
            tag: &entity.collection,
            paths: &mut paths,
        };
        way.collection(&format!("/{}", entity.collection), entity, &[], 0);
    }
    paths.into()
}

/// Adds the paths below one entity set.
struct Way<'a> {
    model: &'a Model,
    tag: &'a str,
    paths: &'a mut Map<String, Value>,
}

impl Way<'_> {
    /// A collection of rows, one of its rows, and what is below that.
    fn collection(&mut self, path: &str, entity: &Entity, parameters: &[Value], depth: usize) {
        let mut item = Map::new();
        if entity.reach.read != Extent::None {
            let answer = rows_answer(of_rows(self.model, entity));
            item.insert(
                "get".to_owned(),
                self.operation(entity, "Read", COLLECTION_OPTIONS, None, &answer),
            );
        }
        if entity.reach.create != Extent::None {
            let body = of_body(self.model, entity, Body::Create);
            let answer = if entity.reach.read == Extent::None {
                json!({ "204": { "description": "The row is there." } })
            } else {
                json!({ "201": row_answer("The row as it is now.", self.rows(entity)) })
            };
            item.insert(
                "post".to_owned(),
                self.operation(entity, "Create", &[], Some(body), &answer),
            );
        }
        self.add(path.to_owned(), item, parameters);
        self.row(path, entity, parameters, depth);
    }

    fn row(&mut self, collection: &str, entity: &Entity, outer: &[Value], depth: usize) {
        let mut parameters = outer.to_vec();
        let path = format!("{collection}({})", key(entity, depth, &mut parameters));
        let mut item = Map::new();
        if entity.reach.read != Extent::None {
            let answer = json!({ "200": row_answer("The row.", self.rows(entity)) });
            item.insert(
                "get".to_owned(),
                self.operation(entity, "Read one of", ROW_OPTIONS, None, &answer),
            );
        }
        if entity.reach.update != Extent::None {
            let body = of_body(self.model, entity, Body::Update);
            let answer = json!({ "200": row_answer("The row as it is now.", self.rows(entity)) });
            item.insert(
                "patch".to_owned(),
                self.operation(entity, "Change one of", &["if-match"], Some(body), &answer),
            );
        }
        if entity.reach.delete != Extent::None {
            let answer = json!({ "204": { "description": "The row is gone." } });
            item.insert(
                "delete".to_owned(),
                self.operation(entity, "Delete one of", &["if-match"], None, &answer),
            );
        }
        self.add(path.clone(), item, &parameters);
        if entity.reach.read != Extent::None {
            self.below(&path, entity, &parameters, depth);
        }
    }

    /// Navigations and files of a row.
    fn below(&mut self, path: &str, entity: &Entity, parameters: &[Value], depth: usize) {
        for navigation in &entity.navigations {
            let Some(name) = shown_name(navigation) else {
                continue;
            };
            let target = &self.model[navigation.target];
            let path = format!("{path}/{name}");
            if navigation.contained && navigation.many && depth < DEPTH {
                self.collection(&path, target, parameters, depth + 1);
                continue;
            }
            let mut item = Map::new();
            let (options, answer) = if navigation.many {
                (COLLECTION_OPTIONS, rows_answer(self.rows(target)))
            } else {
                let mut answer = json!({ "200": row_answer("The row.", self.rows(target)) });
                answer["204"] = json!({ "description": "There is none." });
                (ROW_OPTIONS, answer)
            };
            item.insert(
                "get".to_owned(),
                self.operation(target, "Read related", options, None, &answer),
            );
            self.add(path, item, parameters);
        }
        for attribute in &entity.attributes {
            let is_file = attribute.scalar_type == ScalarType::File
                && attribute.purpose == Purpose::Data
                && attribute.reach.is_readable();
            if !is_file {
                continue;
            }
            let content =
                json!({ "application/octet-stream": { "schema": scalar(ScalarType::File) } });
            let mut item = Map::new();
            let answer = json!({
                "200": { "description": "The content.", "content": content },
                "204": { "description": "There is none." },
            });
            item.insert(
                "get".to_owned(),
                self.operation(entity, "Read a file of", &[], None, &answer),
            );
            if attribute.reach.is_writable() {
                let answer = json!({ "204": { "description": "Done." } });
                let mut put =
                    self.operation(entity, "Replace a file of", &["if-match"], None, &answer);
                put["requestBody"] = json!({ "required": true, "content": content });
                item.insert("put".to_owned(), put);
            }
            self.add(
                format!("{path}/{}/$value", attribute.name),
                item,
                parameters,
            );
        }
    }

    fn rows(&self, entity: &Entity) -> Value {
        of_rows(self.model, entity)
    }

    fn add(&mut self, path: String, mut item: Map<String, Value>, parameters: &[Value]) {
        if item.is_empty() {
            return;
        }
        if !parameters.is_empty() {
            item.insert("parameters".to_owned(), parameters.to_vec().into());
        }
        self.paths.insert(path, item.into());
    }

    fn operation(
        &self,
        entity: &Entity,
        verb: &str,
        options: &[&str],
        body: Option<Value>,
        answers: &Value,
    ) -> Value {
        let mut responses = answers.clone();
        responses["4XX"] = json!({ "$ref": "#/components/responses/error" });
        let mut operation = json!({
            "tags": [self.tag],
            "summary": format!("{verb} {}", entity.collection),
            "responses": responses,
        });
        let has_version = entity.version.is_some();
        let parameters: Vec<Value> = options
            .iter()
            .filter(|name| **name != "if-match" || has_version)
            .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }))
            .collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(schema) = body {
            operation["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": schema } },
            });
        }
        operation
    }
}

fn row_answer(about: &str, schema: Value) -> Value {
    json!({ "description": about, "content": { "application/json": { "schema": schema } } })
}

fn rows_answer(schema: Value) -> Value {
    json!({ "200": row_answer("Rows of one page.", json!({
        "type": "object",
        "properties": {
            "@odata.count": { "type": "integer", "format": "int64" },
            "@odata.nextLink": { "type": "string", "format": "uri" },
            "value": { "type": "array", "items": schema },
        },
        "required": ["value"],
    })) })
}

/// `{id}`, or `OrderID={OrderID},Number={Number}`; adds the parameters.
fn key(entity: &Entity, depth: usize, parameters: &mut Vec<Value>) -> String {
    let single = entity.key.len() == 1;
    let mut parts = Vec::with_capacity(entity.key.len());
    for id in &entity.key {
        let attribute = &entity[*id];
        let name = if depth == 0 {
            attribute.name.clone()
        } else {
            format!("{}{}", entity.name, attribute.name)
        };
        let quote = match attribute.scalar_type {
            ScalarType::String | ScalarType::Enumeration(_) => "'",
            _ => "",
        };
        parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": scalar(attribute.scalar_type),
        }));
        parts.push(if single {
            format!("{quote}{{{name}}}{quote}")
        } else {
            format!("{}={quote}{{{name}}}{quote}", attribute.name)
        });
    }
    parts.join(",")
}
