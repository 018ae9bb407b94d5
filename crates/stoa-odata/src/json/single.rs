//! Answers that are one value: a property, its raw text, a count.

use stoa_model::model::Model;
use stoa_model::query::{Query, Row, RowWriter};
use stoa_model::value::{ScalarType, Value, ValueRef};

use super::text::{write_escaped, write_plain, write_value};
use crate::address::{context_path, write_key};
use crate::negotiate::{Format, MetadataLevel, Version};

/// Path of the one row of a query, relative to the service root: for context URLs of properties and for
/// `Location`.
#[must_use]
pub fn resource_path(model: &Model, query: &Query) -> String {
    crate::address::row_path(model, query.entity, &query.source)
}

/// Path of a row of this query with this key.
#[must_use]
pub fn path_of_row(model: &Model, query: &Query, key: &[Value]) -> String {
    let context = context_path(model, query.entity, &query.source);
    let mut path = context.collection;
    if !context.keyless {
        write_key(
            &mut path,
            &model[query.entity],
            key.iter().map(Value::as_ref),
        );
    }
    path
}

/// Writes `{"@odata.context":"…","value":…}` for the first attribute of the first row.
pub struct PropertyWriter {
    out: Vec<u8>,
    state: SingleState,
    format: Format,
    quoted: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct SingleState {
    found: bool,
    null: bool,
    version: Option<i64>,
}

impl PropertyWriter {
    /// `root`: external URL of the service with a slash at its end; `path`: path of the row;
    /// `property`: its name; `scalar_type`: what it holds.
    #[must_use]
    pub fn new(
        root: &str,
        path: &str,
        property: &str,
        scalar_type: ScalarType,
        format: Format,
    ) -> Self {
        let mut out = Vec::with_capacity(256);
        out.push(b'{');
        if format.metadata != MetadataLevel::None {
            out.extend_from_slice(match format.version {
                Version::V4_0 => b"\"@odata.context\":\"",
                Version::V4_01 => b"\"@context\":\"",
            });
            for part in [root, "$metadata#", path, "/", property] {
                write_escaped(&mut out, part);
            }
            out.extend_from_slice(b"\",");
        }
        out.extend_from_slice(b"\"value\":");
        Self {
            out,
            state: SingleState::default(),
            format,
            quoted: matches!(scalar_type, ScalarType::Long | ScalarType::Decimal { .. }),
        }
    }

    /// Whether there was a row.
    #[must_use]
    pub fn found(&self) -> bool {
        self.state.found
    }

    /// Whether the value is null: the answer is 204 without a body.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.state.null
    }

    /// Version of the row.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.state.version
    }

    /// The payload.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// Writes the text of the first attribute of the first row (`/$value`).
#[derive(Debug, Default)]
pub struct RawWriter {
    out: Vec<u8>,
    state: SingleState,
}

impl RawWriter {
    /// Starts an answer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there was a row.
    #[must_use]
    pub fn found(&self) -> bool {
        self.state.found
    }

    /// Whether the value is null: the answer is 204 without a body.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.state.null
    }

    /// Version of the row.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.state.version
    }

    /// The payload.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// `Content-Type` of the raw value.
    #[must_use]
    pub fn content_type(scalar_type: ScalarType) -> &'static str {
        match scalar_type {
            ScalarType::Binary => "application/octet-stream",
            ScalarType::Json => "application/json",
            _ => "text/plain;charset=utf-8",
        }
    }
}

/// The text of `$count`.
#[must_use]
pub fn count_text(count: u64) -> String {
    count.to_string()
}

impl SingleState {
    fn begin(&mut self, row: &Row<'_>) {
        self.found = true;
        self.null = true;
        self.version = row.version;
    }

    /// Whether this is the value meant.
    fn takes(&mut self, node: usize, position: usize, value: ValueRef<'_>) -> bool {
        let meant = node == 0 && position == 0 && self.null;
        if meant {
            self.null = value == ValueRef::Null;
        }
        meant
    }
}

macro_rules! single_row {
    () => {
        fn begin_collection(&mut self, _node: usize, _count: Option<u64>) {}
        fn end_collection(&mut self, _node: usize, _next: Option<&[Value]>) {}
        fn begin_row(&mut self, node: usize, row: Row<'_>) {
            if node == 0 {
                self.state.begin(&row);
            }
        }
        fn null_target(&mut self, _node: usize) {}
        fn count_only(&mut self, _node: usize, _count: u64) {}
        fn end_row(&mut self, _node: usize) {}
        fn written(&self) -> usize {
            self.out.len()
        }
    };
}

impl RowWriter for PropertyWriter {
    single_row!();
    fn value(&mut self, node: usize, position: usize, value: ValueRef<'_>) {
        if self.state.takes(node, position, value) {
            let quoted = self.quoted && self.format.ieee754_compatible;
            write_value(&mut self.out, value, quoted);
        }
    }
}

impl RowWriter for RawWriter {
    single_row!();
    fn value(&mut self, node: usize, position: usize, value: ValueRef<'_>) {
        if self.state.takes(node, position, value) {
            match value {
                // The bytes themselves: base64 is JSON's need.
                ValueRef::Binary(bytes) => self.out.extend_from_slice(bytes),
                value => write_plain(&mut self.out, value),
            }
        }
    }
}
