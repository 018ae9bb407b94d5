//! One answer: rows as they are read, into one buffer.

use std::fmt::Write as _;
use std::sync::Arc;

use stoa_model::query::{Row, RowWriter};
use stoa_model::value::{ScalarType, Value, ValueRef};

use super::plan::{Address, Content, Plan};
use super::text::{write_count, write_escaped, write_string, write_value};
use crate::address::{ContextPath, write_literal};
use crate::negotiate::MetadataLevel;

/// Gives the absolute URL of the rows after those given.
///
/// Arguments: the node of the collection; the path (relative to the service root) of the row that has
/// the collection, empty for the root; the order values of the last row given.
pub type NextLink = Box<dyn Fn(usize, &str, &[Value]) -> String + Send>;

/// Writes the payload of one answer.
pub struct Writer {
    plan: Arc<Plan>,
    answer: Answer,
}

/// The answer so far; apart from the plan, so that rows are written without counting its users.
struct Answer {
    out: Vec<u8>,
    /// External URL of the service, with a slash at its end.
    root: String,
    context: ContextPath,
    next_link: Option<NextLink>,
    /// The answer is one row, not a collection.
    single: bool,
    /// Paths of the rows being written, one behind the other, for nodes that track them.
    path: String,
    /// Start and end of the path of each row being written.
    rows: Vec<(usize, usize)>,
    /// Version of the root row, for the header `ETag`.
    version: Option<i64>,
    written_rows: u64,
}

impl Writer {
    /// Starts an answer: `root` is the external URL of the service with a slash at its end, `context`
    /// tells where the rows stand, `single` that the answer is one row.
    #[must_use]
    pub fn new(plan: Arc<Plan>, root: &str, context: ContextPath, single: bool) -> Self {
        Self {
            plan,
            answer: Answer {
                out: Vec::with_capacity(if single { 1024 } else { 16 * 1024 }),
                root: root.to_owned(),
                context,
                next_link: None,
                single,
                path: String::new(),
                rows: Vec::new(),
                version: None,
                written_rows: 0,
            },
        }
    }

    /// Uses this to make nextLinks. Without it a paged collection ends without one.
    #[must_use]
    pub fn with_next_link(mut self, next_link: NextLink) -> Self {
        self.answer.next_link = Some(next_link);
        self
    }

    /// Version of the root row, once it is written.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.answer.version
    }

    /// Rows of the root written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.answer.written_rows
    }

    /// The payload.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.answer.out
    }
}

impl Answer {
    /// `"@odata.context":"…"`, without a comma before it.
    fn write_context(&mut self, plan: &Plan) {
        self.out.push(b'"');
        self.out.extend_from_slice(plan.prefix.as_bytes());
        self.out.extend_from_slice(b"context\":\"");
        write_escaped(&mut self.out, &self.root);
        self.out.extend_from_slice(b"$metadata#");
        if plan.content == Content::References {
            self.out.extend_from_slice(if self.single {
                b"$ref"
            } else {
                b"Collection($ref)"
            });
        } else {
            write_escaped(&mut self.out, &self.context.collection);
            write_escaped(&mut self.out, &self.context.cast);
            self.out.extend_from_slice(plan.select_list.as_bytes());
            if self.single && !self.context.keyless {
                self.out.extend_from_slice(b"/$entity");
            }
        }
        self.out.push(b'"');
    }

    /// Pushes the path of a row; an empty one where nobody needs it.
    fn push_path(&mut self, plan: &Plan, node: usize, row: &Row<'_>) {
        let plan = &plan.nodes[node];
        let start = self.path.len();
        if plan.tracks_path {
            let with_key = if node == 0 {
                self.path.push_str(&self.context.collection);
                !self.context.keyless
            } else if let Some(segment) = &plan.contained_in {
                let (from, to) = self.rows.last().copied().unwrap_or_default();
                self.path.extend_from_within(from..to);
                self.path.push('/');
                self.path.push_str(segment);
                plan.many
            } else {
                self.path.push_str(&plan.address.set);
                true
            };
            if with_key {
                write_address_key(&mut self.path, &plan.address, row.key);
            }
            if node == 0 {
                self.path.push_str(&self.context.cast);
            }
        }
        self.rows.push((start, self.path.len()));
    }

    fn write_link(&mut self, suffix: &str) {
        let (start, mut end) = self.rows.last().copied().unwrap_or_default();
        if suffix.is_empty() && self.rows.len() == 1 {
            // The identity of a row does not depend on the type that it was asked for as.
            end = end.saturating_sub(self.context.cast.len()).max(start);
        }
        self.out.push(b'"');
        write_escaped(&mut self.out, &self.root);
        write_escaped(&mut self.out, &self.path[start..end]);
        write_escaped(&mut self.out, suffix);
        self.out.push(b'"');
    }

    fn write_control(&mut self, plan: &Plan, name: &str) {
        if !matches!(self.out.last(), Some(b'{')) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(plan.prefix.as_bytes());
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn write_number(&mut self, plan: &Plan, count: u64) {
        if plan.format.ieee754_compatible {
            self.out.push(b'"');
            write_count(&mut self.out, count);
            self.out.push(b'"');
        } else {
            write_count(&mut self.out, count);
        }
    }
}

/// A member's key; the comma before it falls away at the start of an object.
fn write_member(out: &mut Vec<u8>, key: &[u8]) {
    let key = if out.last() == Some(&b'{') {
        &key[1..]
    } else {
        key
    };
    out.extend_from_slice(key);
}

fn write_address_key(path: &mut String, address: &Address, key: &[ValueRef<'_>]) {
    path.push('(');
    for (position, (value, (name, scalar_type))) in key.iter().zip(&address.key_names).enumerate() {
        if position > 0 {
            path.push(',');
        }
        if address.key_names.len() > 1 {
            let _ = write!(path, "{name}=");
        }
        match (*scalar_type, *value) {
            (ScalarType::Uuid, ValueRef::Uuid(value)) => {
                let mut buffer = uuid::Uuid::encode_buffer();
                path.push_str(value.hyphenated().encode_lower(&mut buffer));
            }
            (scalar_type, value) => write_literal(path, value, scalar_type),
        }
    }
    path.push(')');
}

impl Answer {
    fn begin_collection(&mut self, plan: &Plan, node: usize, count: Option<u64>) {
        if node == 0 {
            self.out.push(b'{');
            if plan.format.metadata != MetadataLevel::None {
                self.write_context(plan);
            }
            if let Some(count) = count {
                self.write_control(plan, "count");
                self.write_number(plan, count);
            }
            write_member(&mut self.out, b",\"value\":[");
        } else {
            let node = &plan.nodes[node];
            if let Some(count) = count {
                write_member(&mut self.out, &node.count_key);
                self.write_number(plan, count);
            }
            write_member(&mut self.out, &node.key);
            self.out.push(b'[');
        }
    }

    fn end_collection(&mut self, plan: &Plan, node: usize, next: Option<&[Value]>) {
        self.out.push(b']');
        if let (Some(next), Some(next_link)) = (next, &self.next_link) {
            let (start, end) = self.rows.last().copied().unwrap_or_default();
            let url = next_link(node, &self.path[start..end], next);
            if node == 0 {
                self.write_control(plan, "nextLink");
            } else {
                self.out.extend_from_slice(&plan.nodes[node].next_key);
            }
            write_string(&mut self.out, &url);
        }
        if node == 0 {
            self.out.push(b'}');
        }
    }

    fn begin_row(&mut self, plan: &Plan, node: usize, row: Row<'_>) {
        let planned = &plan.nodes[node];
        if node == 0 {
            self.written_rows += 1;
            self.version = row.version;
        }
        if node != 0 && !planned.many {
            write_member(&mut self.out, &planned.key);
        } else if self.out.last() == Some(&b'}') {
            // A row before this one in the same array. An array cannot begin with a closed object.
            self.out.push(b',');
        }
        self.out.push(b'{');
        self.push_path(plan, node, &row);
        if plan.format.metadata == MetadataLevel::None && plan.content == Content::Entities {
            return;
        }
        if node == 0 && self.single && plan.format.metadata != MetadataLevel::None {
            self.write_context(plan);
        }
        if plan.content == Content::References {
            self.write_control(plan, "id");
            self.write_link("");
            return;
        }
        if (row.entity != planned.entity || plan.format.metadata == MetadataLevel::Full)
            && let Some(name) = plan.types.get(row.entity.index())
        {
            write_member(&mut self.out, &name.member);
        }
        if planned.writes_id {
            self.write_control(plan, "id");
            self.write_link("");
        }
        if let Some(version) = row.version {
            self.write_control(plan, "etag");
            self.out.extend_from_slice(b"\"W/\\\"");
            super::text::write_integer(&mut self.out, version);
            self.out.extend_from_slice(b"\\\"\"");
        }
        if plan.format.metadata == MetadataLevel::Full {
            self.write_control(plan, "editLink");
            self.write_link("");
            for navigation in &planned.navigations {
                for (name, suffix) in [("associationLink", "/$ref"), ("navigationLink", "")] {
                    self.out.extend_from_slice(b",\"");
                    write_escaped(&mut self.out, navigation);
                    self.out.extend_from_slice(plan.prefix.as_bytes());
                    self.out.extend_from_slice(name.as_bytes());
                    self.out.extend_from_slice(b"\":");
                    self.write_link(&format!("/{navigation}{suffix}"));
                }
            }
        }
    }

    #[inline]
    fn value(&mut self, plan: &Plan, node: usize, position: usize, value: ValueRef<'_>) {
        if plan.content == Content::References {
            return;
        }
        let planned = &plan.nodes[node].values[position];
        if planned.skipped {
            return;
        }
        write_member(&mut self.out, &planned.key);
        write_value(&mut self.out, value, planned.quoted);
    }

    fn null_target(&mut self, plan: &Plan, node: usize) {
        if plan.content == Content::References {
            return;
        }
        if node == 0 {
            self.out.extend_from_slice(b"null");
            return;
        }
        write_member(&mut self.out, &plan.nodes[node].key);
        self.out.extend_from_slice(b"null");
    }

    fn count_only(&mut self, plan: &Plan, node: usize, count: u64) {
        if plan.content == Content::References {
            return;
        }
        write_member(&mut self.out, &plan.nodes[node].count_key);
        self.write_number(plan, count);
    }

    fn end_row(&mut self) {
        self.out.push(b'}');
        if let Some((start, _)) = self.rows.pop() {
            self.path.truncate(start);
        }
    }
}

impl RowWriter for Writer {
    fn begin_collection(&mut self, node: usize, count: Option<u64>) {
        self.answer.begin_collection(&self.plan, node, count);
    }

    fn end_collection(&mut self, node: usize, next: Option<&[Value]>) {
        self.answer.end_collection(&self.plan, node, next);
    }

    fn begin_row(&mut self, node: usize, row: Row<'_>) {
        self.answer.begin_row(&self.plan, node, row);
    }

    #[inline]
    fn value(&mut self, node: usize, position: usize, value: ValueRef<'_>) {
        self.answer.value(&self.plan, node, position, value);
    }

    fn null_target(&mut self, node: usize) {
        self.answer.null_target(&self.plan, node);
    }

    fn count_only(&mut self, node: usize, count: u64) {
        self.answer.count_only(&self.plan, node, count);
    }

    fn end_row(&mut self, _node: usize) {
        self.answer.end_row();
    }

    fn written(&self) -> usize {
        self.answer.out.len()
    }
}
