//! OpenAPI 3.1 of the service, as a reader sees it: for tools that know no OData.
//!
//! Made from a view ([`stoa_model::access::Access::view`]): paths, operations and properties that the
//! reader may not use are not in it.

mod paths;
mod schemas;

use serde_json::{Map, Value, json};
use stoa_model::model::Model;

use crate::metadata::Document;

/// What the model does not say about the service.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Name of the application for people.
    pub title: &'a str,
    /// For people.
    pub description: Option<&'a str>,
    /// Version of the application.
    pub version: Option<&'a str>,
    /// URL of the service, absolute or from the server's root.
    pub server: &'a str,
}

/// The document; it stays the same as long as the view does.
#[must_use]
pub fn document(view: &Model, about: &About<'_>) -> Document {
    let mut info = object([
        ("title", about.title.into()),
        ("version", about.version.unwrap_or("0").into()),
    ]);
    if let Some(description) = about.description {
        info.insert("description".to_owned(), description.into());
    }
    let document = object([
        ("openapi", "3.1.0".into()),
        ("info", info.into()),
        (
            "servers",
            json!([{ "url": about.server.trim_end_matches('/') }]),
        ),
        (
            "security",
            json!([{ "session": [] }, { "bearer": [] }, { "basic": [] }]),
        ),
        ("tags", paths::tags(view)),
        ("paths", paths::all(view)),
        (
            "components",
            json!({
                "schemas": schemas::all(view),
                "parameters": paths::parameters(),
                "responses": { "error": error_response() },
                "securitySchemes": {
                    "session": {
                        "type": "apiKey",
                        "in": "cookie",
                        "name": "__Host-stoa",
                        "description": "Session of somebody who has signed in.",
                    },
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "Token.",
                    },
                    "basic": {
                        "type": "http",
                        "scheme": "basic",
                        "description": "Name of the user, with a token as password.",
                    },
                },
            }),
        ),
    ]);
    Document::new(
        Value::Object(document).to_string().into_bytes(),
        "application/json",
    )
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn error_response() -> Value {
    let detail = json!({
        "type": "object",
        "properties": {
            "code": { "type": "string" },
            "message": { "type": "string" },
            "target": { "type": "string" },
        },
        "required": ["code", "message"],
    });
    let mut error = detail.clone();
    error["properties"]["details"] = json!({ "type": "array", "items": detail });
    json!({
        "description": "Not done; the code says why.",
        "content": { "application/json": { "schema": {
            "type": "object",
            "properties": { "error": error },
            "required": ["error"],
        } } },
    })
}

#[cfg(test)]
mod tests;
