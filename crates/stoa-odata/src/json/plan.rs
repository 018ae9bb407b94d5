//! What is the same for every row of a query's shape.

use stoa_model::model::{Attribute, Entity, EntityId, Model, Navigation, Purpose};
use stoa_model::query::Selection;
use stoa_model::value::ScalarType;

use super::text::write_escaped;
use crate::address::has_entity_set;
use crate::negotiate::{Format, MetadataLevel, Version};

/// What the rows of an answer show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Their properties.
    Entities,
    /// Only their URLs (`/$ref`).
    References,
}

/// Names and choices of an answer's payload, made once for a shape of query and a format, and shared.
#[derive(Debug)]
pub struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) format: Format,
    pub(super) content: Content,
    /// `(id,Customer(Name))` behind the collection in the context URL; empty without `$select` and
    /// `$expand`. Escaped for a JSON string.
    pub(super) select_list: String,
    /// Prefix of control information: `@odata.` or `@`.
    pub(super) prefix: &'static str,
    pub(super) types: Vec<TypeName>,
}

/// One selection of the query.
#[derive(Debug)]
pub(super) struct Node {
    /// `,"Lines":` of the expand that this node is, empty for the root.
    pub(super) key: Vec<u8>,
    /// `,"Lines@odata.count":`
    pub(super) count_key: Vec<u8>,
    /// `,"Lines@odata.nextLink":`
    pub(super) next_key: Vec<u8>,
    /// The navigation of the parent leads to many rows.
    pub(super) many: bool,
    pub(super) entity: EntityId,
    /// Keys of the values, specialised ones behind the others.
    pub(super) values: Vec<ValueKey>,
    /// `@odata.id` is written: the client cannot compute it.
    pub(super) writes_id: bool,
    /// URLs of the rows are needed, for themselves or for what they contain.
    pub(super) tracks_path: bool,
    /// Path segment of the parent's navigation, `None` if the rows have an entity set of their own.
    pub(super) contained_in: Option<String>,
    /// Entity set and key names for the rows' URLs.
    pub(super) address: Address,
    /// Navigations for `metadata=full`.
    pub(super) navigations: Vec<String>,
}

#[derive(Debug)]
pub(super) struct ValueKey {
    /// `,"Name":`, with control information before it where the format asks for that.
    pub(super) key: Vec<u8>,
    /// Numbers stand as strings.
    pub(super) quoted: bool,
    /// The content is not part of the payload.
    pub(super) skipped: bool,
}

/// What a row's URL is made of.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) set: String,
    pub(super) key_names: Vec<(String, ScalarType)>,
}

/// `,"@odata.type":"#ns.Name"` for each entity, by its id.
#[derive(Debug)]
pub(super) struct TypeName {
    pub(super) member: Vec<u8>,
}

impl Plan {
    /// Plans the payload of a selection.
    #[must_use]
    pub fn new(model: &Model, selection: &Selection, format: Format, content: Content) -> Self {
        let prefix = match format.version {
            Version::V4_0 => "@odata.",
            Version::V4_01 => "@",
        };
        let mut plan = Self {
            nodes: Vec::new(),
            format,
            content,
            select_list: String::new(),
            prefix,
            types: model
                .entities
                .iter()
                .map(|entity| TypeName {
                    member: format!(",\"{prefix}type\":\"#{}.{}\"", model.name, entity.name)
                        .into_bytes(),
                })
                .collect(),
        };
        plan.add(model, selection, None);
        if content == Content::Entities {
            let mut list = String::new();
            write_select_list(model, selection, &mut list);
            let mut escaped = Vec::new();
            write_escaped(&mut escaped, &list);
            plan.select_list = String::from_utf8(escaped).unwrap_or_default();
        }
        plan
    }

    /// Adds a node and those below it; whether URLs of its parent's rows are needed.
    fn add(&mut self, model: &Model, selection: &Selection, parent: Option<&Navigation>) -> bool {
        let entity = &model[selection.entity];
        let full = self.format.metadata == MetadataLevel::Full;
        let has_set = has_entity_set(model, entity);
        let name = parent.and_then(|navigation| navigation.name.as_deref());
        let member = |suffix: &str| {
            let name = name.unwrap_or_default();
            member_key(&format!("{name}{}{suffix}", self.prefix))
        };
        let has_whole_key = entity
            .key
            .iter()
            .all(|key| selection.attributes.contains(key));
        let writes_id = full
            || self.content == Content::References
            || (self.format.metadata == MetadataLevel::Minimal && !has_whole_key);
        let mut values =
            Vec::with_capacity(selection.attributes.len() + selection.specialised.len());
        for id in &selection.attributes {
            values.push(self.value_key(model, entity, &entity[*id]));
        }
        for (special, id) in &selection.specialised {
            let special = &model[*special];
            values.push(self.value_key(model, special, &special[*id]));
        }
        let many = parent.is_some_and(|navigation| navigation.many);
        let node = Node {
            key: name.map(member_key).unwrap_or_default(),
            count_key: member("count"),
            next_key: member("nextLink"),
            many,
            entity: selection.entity,
            values,
            writes_id,
            tracks_path: false,
            contained_in: (!has_set).then(|| name.unwrap_or_default().to_owned()),
            address: Address {
                set: entity.collection.clone(),
                key_names: entity
                    .key
                    .iter()
                    .map(|id| (entity[*id].name.clone(), entity[*id].scalar_type))
                    .collect(),
            },
            navigations: if full {
                entity
                    .navigations
                    .iter()
                    .filter(|navigation| navigation.reach.is_readable())
                    .filter_map(|navigation| navigation.name.clone())
                    .collect()
            } else {
                Vec::new()
            },
        };
        let place = self.nodes.len();
        debug_assert_eq!(place, selection.node, "selections are numbered in preorder");
        self.nodes.push(node);
        let mut needed_below = false;
        for expand in &selection.expands {
            let navigation = &entity[expand.navigation];
            needed_below |= self.add(model, &expand.selection, Some(navigation));
            needed_below |= navigation.many && expand.paged && !expand.count_only;
        }
        let tracks = writes_id || needed_below;
        self.nodes[place].tracks_path = tracks;
        // Rows without a set of their own stand below their parent.
        tracks && !has_set
    }

    fn value_key(&self, model: &Model, entity: &Entity, attribute: &Attribute) -> ValueKey {
        let mut key = Vec::new();
        if self.format.metadata == MetadataLevel::Full
            && let Some(type_name) = full_type_name(model, attribute.scalar_type)
        {
            key.extend_from_slice(b",\"");
            write_escaped(&mut key, &attribute.name);
            key.extend_from_slice(self.prefix.as_bytes());
            key.extend_from_slice(b"type\":\"#");
            key.extend_from_slice(type_name.as_bytes());
            key.push(b'"');
        }
        debug_assert!(
            attribute.purpose != Purpose::Version,
            "{} selects its version",
            entity.name
        );
        key.extend_from_slice(&member_key(&attribute.name));
        ValueKey {
            key,
            quoted: self.format.ieee754_compatible
                && matches!(
                    attribute.scalar_type,
                    ScalarType::Long | ScalarType::Decimal { .. }
                ),
            skipped: attribute.scalar_type == ScalarType::File,
        }
    }
}

/// `,"name":`
fn member_key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 4);
    key.extend_from_slice(b",\"");
    write_escaped(&mut key, name);
    key.extend_from_slice(b"\":");
    key
}

/// Name of a type whose values do not tell it by themselves.
fn full_type_name(model: &Model, scalar_type: ScalarType) -> Option<String> {
    Some(match scalar_type {
        ScalarType::String | ScalarType::Boolean | ScalarType::Json | ScalarType::File => {
            return None;
        }
        ScalarType::Enumeration(id) => format!("{}.{}", model.name, model[id].name),
        other => crate::metadata::edm_name(other)
            .trim_start_matches("Edm.")
            .to_owned(),
    })
}

/// Whether the selection has everything that a request without `$select` gets.
fn is_everything(entity: &Entity, selection: &Selection) -> bool {
    entity
        .attributes
        .iter()
        .enumerate()
        .all(|(position, attribute)| {
            attribute.purpose == Purpose::Version
                || !attribute.reach.is_readable()
                || attribute.scalar_type == ScalarType::File
                || selection.attributes.iter().any(|id| id.index() == position)
        })
}

/// The select list of a context URL (OData 4.01 Part 1 §10.8 to §10.11).
fn write_select_list(model: &Model, selection: &Selection, out: &mut String) {
    let entity = &model[selection.entity];
    let everything = is_everything(entity, selection);
    if everything && selection.expands.is_empty() {
        return;
    }
    out.push('(');
    let start = out.len();
    let separate = |out: &mut String| {
        if out.len() > start {
            out.push(',');
        }
    };
    if !everything {
        for id in &selection.attributes {
            separate(out);
            out.push_str(&entity[*id].name);
        }
        for (special, id) in &selection.specialised {
            let special = &model[*special];
            separate(out);
            out.push_str(&format!(
                "{}.{}/{}",
                model.name, special.name, special[*id].name
            ));
        }
    }
    for expand in &selection.expands {
        if expand.count_only {
            continue;
        }
        separate(out);
        out.push_str(
            entity[expand.navigation]
                .name
                .as_deref()
                .unwrap_or_default(),
        );
        let before = out.len();
        write_select_list(model, &expand.selection, out);
        if out.len() == before {
            out.push_str("()");
        }
    }
    if out.len() == start {
        out.pop();
    } else {
        out.push(')');
    }
}
