//! JSON Schema of the application's files.

use serde_json::Value;

use super::keys;
use crate::document::schema;

/// Schema of `app.toml`.
#[must_use]
pub fn application() -> Value {
    schema("Stoa application (app.toml)", &keys::APPLICATION)
}

/// Schema of `model/*.toml`.
#[must_use]
pub fn model() -> Value {
    schema("Stoa model (model/*.toml)", &keys::MODEL)
}
