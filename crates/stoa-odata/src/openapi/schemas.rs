//! Schemas: what rows look like, and what may be given to create or change one.

use serde_json::{Map, Value, json};
use stoa_model::model::{
    Attribute, AttributeId, Entity, Enumeration, Extent, Model, Navigation, Purpose,
};
use stoa_model::value::ScalarType;

use super::object;
use crate::metadata::{
    entity_types, enumerations, is_never_empty, own_attributes, own_navigations, plain,
};

/// What a body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Create,
    Update,
}

impl Body {
    fn suffix(self) -> &'static str {
        match self {
            Self::Create => "-create",
            Self::Update => "-update",
        }
    }
}

pub(super) fn all(model: &Model) -> Value {
    let mut schemas = Map::new();
    for enumeration in enumerations(model) {
        schemas.insert(
            format!("{}.{}", model.name, enumeration.name),
            enumeration_schema(enumeration),
        );
    }
    for entity in entity_types(model) {
        let name = format!("{}.{}", model.name, entity.name);
        schemas.insert(name.clone(), row(model, entity));
        for (body, extent) in [
            (Body::Create, entity.reach.create),
            (Body::Update, entity.reach.update),
        ] {
            if extent != Extent::None {
                schemas.insert(
                    format!("{name}{}", body.suffix()),
                    given(model, entity, body),
                );
            }
        }
    }
    schemas.into()
}

/// Reference to the schema of an entity's rows.
pub(super) fn of_rows(model: &Model, entity: &Entity) -> Value {
    reference(model, &entity.name, "")
}

/// Reference to the schema of what may be given.
pub(super) fn of_body(model: &Model, entity: &Entity, body: Body) -> Value {
    reference(model, &entity.name, body.suffix())
}

fn reference(model: &Model, name: &str, suffix: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}.{name}{suffix}", model.name) })
}

fn enumeration_schema(enumeration: &Enumeration) -> Value {
    let members: Vec<&str> = enumeration
        .members
        .iter()
        .map(|member| member.name.as_str())
        .collect();
    let mut schema = object([
        ("type", "string".into()),
        ("title", enumeration.label.as_str().into()),
        ("enum", members.into()),
    ]);
    describe(&mut schema, enumeration.description.as_deref());
    schema.into()
}

fn describe(schema: &mut Map<String, Value>, description: Option<&str>) {
    if let Some(description) = description {
        schema.insert("description".to_owned(), description.into());
    }
}

/// A row as it is answered.
fn row(model: &Model, entity: &Entity) -> Value {
    let mut properties = Map::new();
    if entity.base.is_none() && entity.version.is_some() {
        properties.insert("@odata.etag".to_owned(), json!({ "type": "string" }));
    }
    for attribute in own_attributes(model, entity) {
        // The content of a file is no part of its row.
        if attribute.scalar_type == ScalarType::File {
            continue;
        }
        let nullable = !attribute.required || attribute.reach.read == Extent::Some;
        let mut schema = value(model, attribute, nullable);
        let is_computed = !attribute.is_writable() || !attribute.reach.is_writable();
        if is_computed {
            schema["readOnly"] = true.into();
        }
        properties.insert(attribute.name.clone(), schema);
    }
    for (name, navigation) in own_navigations(model, entity) {
        let target = of_rows(model, &model[navigation.target]);
        let schema = if navigation.many {
            json!({ "type": "array", "items": target })
        } else if is_never_empty(navigation) {
            target
        } else {
            json!({ "anyOf": [target, { "type": "null" }] })
        };
        properties.insert(name.to_owned(), schema);
    }
    let mut schema = object([
        ("type", "object".into()),
        ("title", entity.label.as_str().into()),
    ]);
    describe(&mut schema, entity.description.as_deref());
    schema.insert("properties".to_owned(), properties.into());
    match entity.base {
        Some(base) => json!({ "allOf": [of_rows(model, &model[base]), schema] }),
        None => schema.into(),
    }
}

/// What may be given; in contrast to rows with everything that is inherited.
fn given(model: &Model, entity: &Entity, body: Body) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for (position, attribute) in (0_u32..).zip(&entity.attributes) {
        let is_key = entity.key.contains(&AttributeId(position));
        let is_given = attribute.is_writable()
            && attribute.reach.is_writable()
            && attribute.scalar_type != ScalarType::File
            && !(is_key && body == Body::Update);
        if !is_given {
            continue;
        }
        properties.insert(
            attribute.name.clone(),
            value(model, attribute, !attribute.required),
        );
        let must_be =
            attribute.required && attribute.default.is_none() && attribute.purpose == Purpose::Data;
        // A reference may give a column that is an attribute too.
        let by_reference = entity.navigations.iter().any(|navigation| {
            matches!(&navigation.storage, stoa_model::model::Storage::Own(columns)
                if columns.iter().any(|column| column.attribute == Some(AttributeId(position))))
        });
        if must_be && !by_reference && body == Body::Create {
            required.push(&attribute.name);
        }
    }
    for navigation in &entity.navigations {
        let Some(name) = &navigation.name else {
            continue;
        };
        if navigation.reach.is_writable() {
            refer(model, name, navigation, body, &mut properties);
        }
    }
    let mut schema = object([("type", "object".into()), ("properties", properties.into())]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema.into()
}

fn refer(
    model: &Model,
    name: &str,
    navigation: &Navigation,
    body: Body,
    properties: &mut Map<String, Value>,
) {
    let target = &model[navigation.target];
    if navigation.contained {
        if navigation.many && target.reach.create != Extent::None && model.is_known(target.id) {
            let items = of_body(model, target, Body::Create);
            properties.insert(name.to_owned(), json!({ "type": "array", "items": items }));
        }
        return;
    }
    let example = if model.has_collection(target.id) {
        format!("URL of a row: {}(key).", target.collection)
    } else {
        "URL of a row.".to_owned()
    };
    let url = json!({ "type": "string", "format": "uri-reference" });
    let schema = if navigation.many {
        json!({ "type": "array", "items": url, "description": example })
    } else if navigation.required || body == Body::Create {
        json!({ "type": "string", "format": "uri-reference", "description": example })
    } else {
        json!({ "type": ["string", "null"], "format": "uri-reference", "description": example })
    };
    properties.insert(format!("{name}@odata.bind"), schema);
}

/// A value of an attribute.
fn value(model: &Model, attribute: &Attribute, nullable: bool) -> Value {
    let mut schema = match attribute.scalar_type {
        ScalarType::Enumeration(id) => {
            let of = reference(model, &model[id].name, "");
            let mut schema = if nullable {
                object([("anyOf", json!([of, { "type": "null" }]))])
            } else {
                object([("allOf", json!([of]))])
            };
            words(&mut schema, attribute);
            return schema.into();
        }
        other => scalar(other),
    };
    if let Some(kind) = schema.get("type").filter(|_| nullable).cloned() {
        schema.insert("type".to_owned(), json!([kind, "null"]));
    }
    words(&mut schema, attribute);
    if let (ScalarType::String, Some(length)) = (attribute.scalar_type, attribute.length) {
        schema.insert("maxLength".to_owned(), length.into());
    }
    if let Some(pattern) = &attribute.pattern {
        schema.insert("pattern".to_owned(), pattern.as_str().into());
    }
    if attribute.scalar_type.is_numeric() {
        for (name, bound) in [
            ("minimum", &attribute.minimum),
            ("maximum", &attribute.maximum),
        ] {
            // What 64-bit floating point cannot hold is left to the server to judge.
            let number = bound
                .as_ref()
                .and_then(|bound| plain(bound).parse::<serde_json::Number>().ok());
            if let Some(number) = number {
                schema.insert(name.to_owned(), number.into());
            }
        }
    }
    schema.into()
}

fn words(schema: &mut Map<String, Value>, attribute: &Attribute) {
    if attribute.label != attribute.name {
        schema.insert("title".to_owned(), attribute.label.as_str().into());
    }
    describe(schema, attribute.description.as_deref());
}

/// Schema of a type; none of `type` where any JSON is possible.
pub(super) fn scalar(scalar_type: ScalarType) -> Map<String, Value> {
    let formatted =
        |kind: &str, format: &str| object([("type", kind.into()), ("format", format.into())]);
    match scalar_type {
        ScalarType::String | ScalarType::Enumeration(_) => object([("type", "string".into())]),
        ScalarType::Integer => formatted("integer", "int32"),
        ScalarType::Long => formatted("integer", "int64"),
        ScalarType::Decimal { .. } => formatted("number", "decimal"),
        ScalarType::Boolean => object([("type", "boolean".into())]),
        ScalarType::DateTime => formatted("string", "date-time"),
        ScalarType::Date => formatted("string", "date"),
        ScalarType::Time => formatted("string", "time"),
        ScalarType::Duration => formatted("string", "duration"),
        ScalarType::Uuid => formatted("string", "uuid"),
        ScalarType::Binary => object([
            ("type", "string".into()),
            ("contentEncoding", "base64url".into()),
        ]),
        ScalarType::File => object([
            ("type", "string".into()),
            ("contentMediaType", "application/octet-stream".into()),
        ]),
        ScalarType::Json => Map::new(),
    }
}
