//! Writes rows as JSON, the simplest way there is.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use stoa_model::model::{EntityId, Model, NavigationId};
use stoa_model::query::{Query, Row, RowWriter, Selection};
use stoa_model::value::{Value, ValueRef};

/// Names of a selection's members, by node.
#[derive(Clone, Default)]
struct Node {
    attributes: Vec<String>,
    navigation: String,
}

/// Keeps rows as JSON.
pub(crate) struct Recorder {
    nodes: Vec<Node>,
    open: Vec<Json>,
    pub(crate) root: Json,
    /// Values to continue after.
    pub(crate) next: Option<Vec<Value>>,
    /// Types of the root's rows.
    pub(crate) kinds: Vec<EntityId>,
    /// Versions and keys of the root's rows.
    pub(crate) versions: Vec<Option<i64>>,
    bytes: usize,
}

impl Recorder {
    pub(crate) fn new(model: &Arc<Model>, query: &Query) -> Self {
        let mut nodes = Vec::new();
        describe(model, &query.selection, String::new(), &mut nodes);
        Self {
            nodes,
            open: Vec::new(),
            root: Json::Null,
            next: None,
            kinds: Vec::new(),
            versions: Vec::new(),
            bytes: 0,
        }
    }

    /// Puts a finished thing where it belongs.
    fn put(&mut self, node: usize, value: Json) {
        let name = self.nodes[node].navigation.clone();
        match self.open.last_mut() {
            None => self.root = value,
            Some(Json::Array(items)) => items.push(value),
            Some(Json::Object(members)) => {
                members.insert(name, value);
            }
            Some(_) => unreachable!("only collections and rows are open"),
        }
    }
}

fn describe(model: &Model, selection: &Selection, navigation: String, nodes: &mut Vec<Node>) {
    if nodes.len() <= selection.node {
        nodes.resize(selection.node + 1, Node::default());
    }
    let entity = &model[selection.entity];
    let own = selection
        .attributes
        .iter()
        .map(|&id| entity[id].name.clone());
    let specialised = selection
        .specialised
        .iter()
        .map(|&(owner, id)| model[owner][id].name.clone());
    nodes[selection.node] = Node {
        attributes: own.chain(specialised).collect(),
        navigation,
    };
    for expand in &selection.expands {
        let NavigationId(id) = expand.navigation;
        let name = entity.navigations[id as usize]
            .name
            .clone()
            .unwrap_or_default();
        describe(model, &expand.selection, name, nodes);
    }
}

impl RowWriter for Recorder {
    fn begin_collection(&mut self, node: usize, count: Option<u64>) {
        if let Some(count) = count {
            let name = format!("{}@count", self.nodes[node].navigation);
            if let Some(Json::Object(members)) = self.open.last_mut() {
                members.insert(name, json!(count));
            }
        }
        self.open.push(json!([]));
    }

    fn end_collection(&mut self, node: usize, next: Option<&[Value]>) {
        let rows = self.open.pop().unwrap();
        if node == 0 {
            self.next = next.map(<[Value]>::to_vec);
        } else if next.is_some()
            && let Some(Json::Object(members)) = self.open.last_mut()
        {
            members.insert(format!("{}@next", self.nodes[node].navigation), json!(true));
        }
        self.put(node, rows);
    }

    fn begin_row(&mut self, node: usize, row: Row<'_>) {
        if node == 0 {
            self.kinds.push(row.entity);
            self.versions.push(row.version);
        }
        assert!(!row.key.is_empty() && row.key.iter().all(|part| *part != ValueRef::Null));
        self.open.push(json!({}));
    }

    fn value(&mut self, node: usize, position: usize, value: ValueRef<'_>) {
        let name = self.nodes[node].attributes[position].clone();
        let value = shown(value);
        self.bytes += name.len() + 8;
        if let Some(Json::Object(members)) = self.open.last_mut() {
            members.insert(name, value);
        }
    }

    fn null_target(&mut self, node: usize) {
        self.put(node, Json::Null);
    }

    fn count_only(&mut self, node: usize, count: u64) {
        self.put(node, json!(count));
    }

    fn end_row(&mut self, node: usize) {
        let row = self.open.pop().unwrap();
        self.put(node, row);
    }

    fn written(&self) -> usize {
        self.bytes
    }
}

fn shown(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Boolean(value) => json!(value),
        ValueRef::Integer(value) => json!(value),
        ValueRef::Decimal(value) => json!(value.to_string()),
        ValueRef::Text(value) => json!(value),
        ValueRef::DateTime(value) => json!(format!("@{value}")),
        ValueRef::Date(value) => json!(format!("day {value}")),
        ValueRef::Time(value) => json!(format!("time {value}")),
        ValueRef::Duration(value) => json!(format!("duration {value}")),
        ValueRef::Uuid(value) => json!(value.to_string()),
        ValueRef::Binary(value) => json!(format!("{value:?}")),
        ValueRef::Json(value) => serde_json::from_str(value).unwrap(),
    }
}

/// One column of the root's rows.
pub(crate) fn column(root: &Json, name: &str) -> Vec<Json> {
    root.as_array()
        .unwrap()
        .iter()
        .map(|row| {
            row.as_object()
                .and_then(|row: &Map<String, Json>| row.get(name))
                .cloned()
                .unwrap_or(Json::Null)
        })
        .collect()
}
