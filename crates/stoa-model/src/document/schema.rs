//! JSON Schema (draft 2020-12) of files, so that editors complete and check while typing. Made from the keys that the
//! reader knows, so the two agree.

use serde_json::{Map, Value, json};

use super::section::{Form, Key, Section};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Names of entities, attributes and the like (OData's SimpleIdentifier).
const IDENTIFIER: &str = r"^[\p{L}_][\p{L}\p{N}_]{0,127}$";
/// Labels of DNS names.
const LABEL: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// The schema of a file whose root is this section.
#[must_use]
pub fn schema(title: &str, root: &'static Section) -> Value {
    let mut schema = section(root);
    let mut document = json!({ "$schema": DRAFT, "title": title });
    if let (Some(document), Some(schema)) = (document.as_object_mut(), schema.as_object_mut()) {
        document.append(schema);
    }
    document
}

fn section(section: &'static Section) -> Value {
    let properties: Map<String, Value> = section
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let mut schema = json!({
        "type": "object",
        "description": section.about,
        "properties": properties,
        "additionalProperties": false,
    });
    if !section.required.is_empty() {
        schema["required"] = json!(section.required);
    }
    schema
}

fn property(key: &'static Key) -> Value {
    let mut schema = form(&key.form);
    schema["description"] = json!(key.about);
    if !key.examples.is_empty() {
        schema["examples"] = json!(key.examples);
    }
    schema
}

fn form(form_of: &'static Form) -> Value {
    let names = || json!({ "type": "array", "items": { "type": "string" } });
    match form_of {
        Form::Text => json!({ "type": "string" }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Number(minimum, maximum) => {
            json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
        }
        Form::Choice(words) => json!({ "type": "string", "enum": words }),
        Form::Names => names(),
        Form::Choices(words) => {
            json!({ "type": "array", "items": { "type": "string", "enum": words } })
        }
        Form::NameLists => json!({ "type": "array", "items": names() }),
        Form::NamesOrAll => json!({ "anyOf": [{ "const": "*" }, names()] }),
        Form::FlagOrExpression => json!({ "type": ["boolean", "string"] }),
        Form::Literal => json!({ "type": ["string", "number", "boolean"] }),
        Form::Table(of) => section(of),
        Form::Tables(of) => json!({ "type": "array", "items": section(of) }),
        Form::Named(of) => json!({
            "type": "object",
            "propertyNames": { "pattern": IDENTIFIER },
            "additionalProperties": form(of),
        }),
        Form::Labelled(of) => json!({
            "type": "object",
            "propertyNames": { "pattern": LABEL },
            "additionalProperties": form(of),
        }),
        Form::NamedOr(of, special, form_of_special) => json!({
            "type": "object",
            "propertyNames": { "anyOf": [{ "const": special }, { "pattern": IDENTIFIER }] },
            "properties": { *special: form(form_of_special) },
            "additionalProperties": form(of),
        }),
        Form::Shorthand(of, key) => shorthand(of, key),
        Form::Shorthands(of, key) => json!({ "type": "array", "items": shorthand(of, key) }),
    }
}

/// A table, or a string that stands for a table with one key.
fn shorthand(of: &'static Section, key: &str) -> Value {
    let about = of.find(key).map_or("", |key| key.about);
    json!({ "anyOf": [{ "type": "string", "description": about }, section(of)] })
}
