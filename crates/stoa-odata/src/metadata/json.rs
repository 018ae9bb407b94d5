//! CSDL in JSON (OData CSDL JSON 4.01).

use serde_json::{Map, Number, Value, json};
use stoa_model::model::{Attribute, Entity, Enumeration, Model, Navigation};

use super::annotation::{self, Annotation, Constant, VOCABULARIES};
use super::{
    bindings, entity_sets, entity_types, enumerations, facets, is_never_empty, on_delete,
    own_attributes, own_navigations, partner_name, referential_constraint, type_name,
};
use crate::negotiate::Version;

/// The document.
pub(super) fn write(model: &Model, version: Version) -> Vec<u8> {
    let mut references = Map::new();
    for (alias, namespace, uri) in VOCABULARIES {
        let uri = format!("{}.json", uri.trim_end_matches(".xml"));
        references.insert(
            uri,
            json!({"$Include": [{"$Namespace": namespace, "$Alias": alias}]}),
        );
    }
    let mut schema = Map::new();
    for enumeration in enumerations(model) {
        schema.insert(enumeration.name.clone(), enumeration_type(enumeration));
    }
    for entity in entity_types(model) {
        schema.insert(entity.name.clone(), entity_type(model, entity));
    }
    let mut container = object([("$Kind", "EntityContainer".into())]);
    for entity in entity_sets(model) {
        container.insert(entity.collection.clone(), entity_set(model, entity));
    }
    annotate(&mut container, "", &annotation::of_container());
    schema.insert("Container".to_owned(), container.into());
    let mut document = object([
        ("$Version", version.as_str().into()),
        (
            "$EntityContainer",
            format!("{}.Container", model.name).into(),
        ),
        ("$Reference", references.into()),
    ]);
    document.insert(model.name.clone(), schema.into());
    Value::Object(document).to_string().into_bytes()
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn enumeration_type(enumeration: &Enumeration) -> Value {
    let mut members = object([("$Kind", "EnumType".into())]);
    for (value, member) in enumeration.members.iter().enumerate() {
        members.insert(member.name.clone(), value.into());
        annotate(
            &mut members,
            &member.name,
            &annotation::of_member(&member.name, &member.label),
        );
    }
    annotate(&mut members, "", &annotation::of_enumeration(enumeration));
    members.into()
}

fn entity_type(model: &Model, entity: &Entity) -> Value {
    let mut members = object([("$Kind", "EntityType".into())]);
    match entity.base {
        Some(base) => {
            let base = format!("{}.{}", model.name, model[base].name);
            members.insert("$BaseType".to_owned(), base.into());
        }
        None => {
            let key: Vec<Value> = entity
                .key
                .iter()
                .map(|key| entity[*key].name.clone().into())
                .collect();
            members.insert("$Key".to_owned(), key.into());
        }
    }
    for attribute in own_attributes(model, entity) {
        members.insert(attribute.name.clone(), property(model, entity, attribute));
    }
    for (name, navigation) in own_navigations(model, entity) {
        members.insert(
            name.to_owned(),
            navigation_property(model, entity, name, navigation),
        );
    }
    annotate(&mut members, "", &annotation::of_entity(entity));
    members.into()
}

fn property(model: &Model, entity: &Entity, attribute: &Attribute) -> Value {
    let facets = facets(attribute);
    let mut members = Map::new();
    let kind = type_name(model, attribute.scalar_type);
    if kind != "Edm.String" {
        members.insert("$Type".to_owned(), kind.into());
    }
    if facets.nullable {
        members.insert("$Nullable".to_owned(), true.into());
    }
    if let Some(length) = facets.max_length {
        members.insert("$MaxLength".to_owned(), length.into());
    }
    if let Some(precision) = facets.precision {
        members.insert("$Precision".to_owned(), precision.into());
    }
    if let Some(scale) = facets.scale {
        members.insert("$Scale".to_owned(), scale.into());
    }
    if let Some(default) = facets.default {
        members.insert("$DefaultValue".to_owned(), default.into());
    }
    annotate(
        &mut members,
        "",
        &annotation::of_attribute(entity, attribute),
    );
    members.into()
}

fn navigation_property(
    model: &Model,
    entity: &Entity,
    name: &str,
    navigation: &Navigation,
) -> Value {
    let mut members = object([("$Kind", "NavigationProperty".into())]);
    if navigation.many {
        members.insert("$Collection".to_owned(), true.into());
    }
    let target = format!("{}.{}", model.name, model[navigation.target].name);
    members.insert("$Type".to_owned(), target.into());
    if !navigation.many && !is_never_empty(navigation) {
        members.insert("$Nullable".to_owned(), true.into());
    }
    if let Some(partner) = partner_name(model, navigation) {
        members.insert("$Partner".to_owned(), partner.into());
    }
    if navigation.contained {
        members.insert("$ContainsTarget".to_owned(), true.into());
    }
    let constraint = referential_constraint(model, entity, navigation);
    if !constraint.is_empty() {
        let pairs: Map<String, Value> = constraint
            .into_iter()
            .map(|(own, referred)| (own.to_owned(), referred.into()))
            .collect();
        members.insert("$ReferentialConstraint".to_owned(), pairs.into());
    }
    if let Some(action) = on_delete(model, navigation) {
        members.insert("$OnDelete".to_owned(), action.into());
    }
    annotate(
        &mut members,
        "",
        &annotation::of_navigation(name, navigation),
    );
    members.into()
}

fn entity_set(model: &Model, entity: &Entity) -> Value {
    let mut members = object([
        ("$Collection", true.into()),
        ("$Type", format!("{}.{}", model.name, entity.name).into()),
    ]);
    let bound: Map<String, Value> = bindings(model, entity)
        .into_iter()
        .map(|(path, target)| (path, target.into()))
        .collect();
    if !bound.is_empty() {
        members.insert("$NavigationPropertyBinding".to_owned(), bound.into());
    }
    annotate(&mut members, "", &annotation::of_entity_set(model, entity));
    members.into()
}

/// Adds annotations of the member `of`, or of the object itself when it is empty.
fn annotate(members: &mut Map<String, Value>, of: &str, annotations: &[Annotation]) {
    for annotation in annotations {
        members.insert(
            format!("{of}@{}", annotation.term),
            value(&annotation.value),
        );
    }
}

fn value(constant: &Constant) -> Value {
    match constant {
        Constant::Text(text)
        | Constant::Date(text)
        | Constant::DateTime(text)
        | Constant::Duration(text)
        | Constant::TimeOfDay(text)
        | Constant::NavigationPath(text) => text.as_str().into(),
        // The type is known from the term.
        Constant::Member(text) => text.rsplit('/').next().unwrap_or_default().into(),
        Constant::Records(records) => records.iter().map(value).collect(),
        Constant::Truth(value) => (*value).into(),
        Constant::Number(text) => number(text),
        Constant::Paths(paths) => paths.iter().map(String::as_str).collect(),
        Constant::Record(record) => Value::Object(
            record
                .iter()
                .map(|(name, constant)| ((*name).to_owned(), value(constant)))
                .collect(),
        ),
    }
}

/// A number as a number, if it survives 64-bit floating point; else as text, which CSDL allows for
/// `Edm.Decimal` and `Edm.Int64`.
fn number(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    match text.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) if text.len() <= 15 => number.into(),
        _ => text.into(),
    }
}
