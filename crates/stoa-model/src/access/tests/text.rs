//! Queries as text, for snapshots.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use super::super::Access;
use super::super::print::print;
use crate::application::load_from_sources;
use crate::expression::bind::Binder;
use crate::expression::{Expression, syntax};
use crate::model::{AttributeId, EntityId, Model, NavigationId, RoleId};
use crate::query::{Expand, OrderTerm, Query, ROW, Selection, Source};
use crate::value::Value;

pub(super) fn model(text: &str) -> Arc<Model> {
    let sources = [("app.toml", "name = \"shop\"\n"), ("model/shop.toml", text)];
    let sources = sources
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    match load_from_sources(Path::new(""), sources) {
        Ok(loaded) => Arc::new(loaded.application.model),
        Err(faults) => panic!("{faults}"),
    }
}

pub(super) fn entity(model: &Model, name: &str) -> EntityId {
    model.entities_by_name[name]
}

pub(super) fn roles(model: &Model, names: &[&str]) -> Vec<RoleId> {
    let position = |name: &&str| model.roles.iter().position(|role| role.name == *name);
    let ids = names.iter().map(|name| position(name).unwrap());
    ids.map(|id| RoleId(u32::try_from(id).unwrap())).collect()
}

pub(super) fn access(model: &Arc<Model>, names: &[&str]) -> Access {
    Access::new(model, &roles(model, names))
}

/// A request's condition, bound against what the reader sees.
pub(super) fn condition(view: &Model, entity: EntityId, text: &str) -> Expression {
    let node = syntax::parse(text, syntax::Limits::default()).unwrap();
    Binder::new(view, entity).boolean(&node).unwrap()
}

fn value(view: &Model, entity: EntityId, text: &str) -> Expression {
    let node = syntax::parse(text, syntax::Limits::default()).unwrap();
    Binder::new(view, entity).scalar(&node).unwrap().0
}

pub(super) fn attribute(model: &Model, entity: EntityId, name: &str) -> AttributeId {
    let all = &model[entity].attributes;
    let position = all.iter().position(|attribute| attribute.name == name);
    AttributeId(u32::try_from(position.unwrap_or_else(|| panic!("no {name}"))).unwrap())
}

pub(super) fn navigation(model: &Model, entity: EntityId, name: &str) -> NavigationId {
    let all = &model[entity].navigations;
    let position = all
        .iter()
        .position(|navigation| navigation.name.as_deref() == Some(name));
    NavigationId(u32::try_from(position.unwrap_or_else(|| panic!("no {name}"))).unwrap())
}

/// Everything of the rows of an entity.
pub(super) fn selection(model: &Model, id: EntityId) -> Selection {
    let entity = &model[id];
    let all = |count: usize| (0..u32::try_from(count).unwrap()).map(AttributeId);
    let special = entity.specialisations.iter().flat_map(|special| {
        let attributes = &model[*special].attributes;
        all(attributes.len())
            .filter(|id| attributes[id.index()].declared_by == *special)
            .map(|id| (*special, id))
    });
    Selection {
        node: 0,
        entity: id,
        attributes: all(entity.attributes.len()).collect(),
        specialised: special.collect(),
        expands: Vec::new(),
        masks: Vec::new(),
    }
}

pub(super) fn expand(model: &Model, from: EntityId, name: &str, attributes: &[&str]) -> Expand {
    let id = navigation(model, from, name);
    let found = &model[from][id];
    let entity = found.target;
    Expand {
        navigation: id,
        condition: None,
        given: None,
        filter: None,
        order: Vec::new(),
        skip: 0,
        limit: 10,
        paged: false,
        count: false,
        count_only: false,
        selection: Selection {
            attributes: attributes
                .iter()
                .map(|name| attribute(model, entity, name))
                .collect(),
            specialised: Vec::new(),
            ..selection(model, entity)
        },
    }
}

/// A query for all of the rows, with `$filter` and `$orderby`.
pub(super) fn query(access: &Access, name: &str, filter: &str, order: &[&str]) -> Query {
    let view = access.view();
    let id = entity(access.model(), name);
    let order = order.iter().map(|text| value(view, id, text));
    let key = view[id].key.iter().map(|key| Expression::Attribute {
        from: ROW,
        path: Vec::new(),
        entity: id,
        attribute: *key,
        scalar_type: view[id][*key].scalar_type,
    });
    Query {
        entity: id,
        source: Source::All,
        single: false,
        filter: (!filter.is_empty()).then(|| condition(view, id, filter)),
        order: order
            .chain(key)
            .map(|expression| OrderTerm {
                expression,
                descending: false,
            })
            .collect(),
        after: None,
        skip: 0,
        limit: 10,
        paged: true,
        count: false,
        selection: selection(access.model(), id),
    }
}

/// A query of somebody with these roles, as the store gets it.
pub(super) fn check_query(
    text: &str,
    roles: &[&str],
    name: &str,
    filter: &str,
    order: &[&str],
) -> String {
    let model = model(text);
    let access = access(&model, roles);
    let query = query(&access, name, filter, order);
    show(&model, &access.query(query, &[]))
}

/// What rules have added to a query, and filter and order as they are now.
pub(super) fn show(model: &Model, query: &Query) -> String {
    let mut out = String::new();
    if query.source != Source::All {
        writeln!(out, "from {}", source(model, &query.source)).unwrap();
    }
    part(
        model,
        &mut out,
        "",
        query.entity,
        &query.filter,
        &query.order,
    );
    masks(model, &mut out, "", &query.selection);
    out
}

fn part(
    model: &Model,
    out: &mut String,
    indent: &str,
    entity: EntityId,
    filter: &Option<Expression>,
    order: &[OrderTerm],
) {
    if let Some(filter) = filter {
        writeln!(out, "{indent}filter {}", print(model, entity, filter)).unwrap();
    }
    for term in order {
        let text = print(model, entity, &term.expression);
        let is_key = model[entity]
            .key
            .iter()
            .any(|key| text == model[entity][*key].name);
        if !is_key {
            writeln!(out, "{indent}order {text}").unwrap();
        }
    }
}

fn masks(model: &Model, out: &mut String, indent: &str, selection: &Selection) {
    let entity = selection.entity;
    for mask in &selection.masks {
        let own = selection.attributes.get(mask.position);
        let name = match own {
            Some(id) => model[entity][*id].name.clone(),
            None => {
                let (special, id) =
                    selection.specialised[mask.position - selection.attributes.len()];
                format!("{}/{}", model[special].name, model[special][id].name)
            }
        };
        let text = print(model, entity, &mask.condition);
        writeln!(out, "{indent}{name} where {text}").unwrap();
    }
    for expand in &selection.expands {
        let name = model[entity][expand.navigation].name.as_deref().unwrap();
        write!(out, "{indent}expand {name}").unwrap();
        match &expand.condition {
            Some(condition) => {
                writeln!(out, " where {}", print(model, entity, condition)).unwrap();
            }
            None => out.push('\n'),
        }
        let indent = format!("{indent}  ");
        let target = expand.selection.entity;
        if let Some(given) = &expand.given {
            writeln!(out, "{indent}given {}", print(model, target, given)).unwrap();
        }
        part(model, out, &indent, target, &expand.filter, &expand.order);
        masks(model, out, &indent, &expand.selection);
    }
}

pub(super) fn source(model: &Model, from: &Source) -> String {
    match from {
        Source::All => "all".to_owned(),
        Source::Key(key) => format!("{}", Keys(key)),
        Source::Related {
            entity,
            from,
            navigation,
            key,
        } => {
            let name = model[*entity][*navigation].name.as_deref().unwrap_or("?");
            let key = key
                .as_ref()
                .map_or_else(String::new, |key| Keys(key).to_string());
            format!("{}.{name}{key}", source(model, from))
        }
        Source::Where {
            entity,
            from,
            condition,
        } => format!(
            "{}[{}]",
            source(model, from),
            print(model, *entity, condition)
        ),
    }
}

struct Keys<'v>(&'v [Value]);

impl std::fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(")?;
        for value in self.0 {
            match value {
                Value::Text(text) => write!(f, "{text}")?,
                Value::Integer(number) => write!(f, "{number}")?,
                other => write!(f, "{other:?}")?,
            }
        }
        write!(f, ")")
    }
}
