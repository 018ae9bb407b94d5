//! NextLinks.

use std::fmt::{self, Write as _};

use stoa_model::expression::syntax::Node;
use stoa_model::model::{EntityId, Model};
use stoa_model::value::Value;

use crate::skiptoken;
use crate::url::{OptionName, Options, Url, decode_segment};

/// Makes the nextLinks of an answer.
#[derive(Clone, Debug)]
pub struct Paging {
    path: String,
    query: String,
    nodes: Vec<NodePage>,
}

/// How the rest of one collection of an answer is asked for.
#[derive(Clone, Debug)]
pub(super) struct NodePage {
    pub(super) fingerprint: u64,
    /// Rows of `$top` that are left after this page.
    pub(super) top_left: Option<u64>,
    /// Below the parent's row; empty for the root.
    pub(super) segment: String,
    /// Encoded options; those of the root are the request's.
    pub(super) options: String,
}

impl NodePage {
    pub(super) fn root(fingerprint: u64) -> Self {
        Self {
            fingerprint,
            top_left: None,
            segment: String::new(),
            options: String::new(),
        }
    }
}

impl Paging {
    pub(super) fn new(url: &Url, nodes: Vec<NodePage>) -> Self {
        Self {
            path: url.raw_path.clone(),
            query: url.raw_query.clone(),
            nodes,
        }
    }

    /// URL of the rows of a collection that come after the row with these values of its order.
    ///
    /// `root` is the external URL of the service with a slash at its end; `node` the collection's
    /// [`stoa_model::query::Selection::node`]; `parent` the path of the row that has the collection, empty
    /// for the root's.
    #[must_use]
    pub fn next_link(&self, root: &str, node: usize, parent: &str, after: &[Value]) -> String {
        let mut link = String::with_capacity(root.len() + self.path.len() + self.query.len() + 64);
        link.push_str(root);
        let Some(page) = self.nodes.get(node) else {
            return link;
        };
        if node == 0 {
            link.push_str(&self.path);
            link.push('?');
            for part in self
                .query
                .split('&')
                .filter(|part| !part.is_empty() && !is_replaced(part))
            {
                link.push_str(part);
                link.push('&');
            }
        } else {
            link.push_str(parent);
            link.push('/');
            link.push_str(&page.segment);
            link.push('?');
            if !page.options.is_empty() {
                link.push_str(&page.options);
                link.push('&');
            }
        }
        if let Some(top) = page.top_left {
            // Writing to a String does not fail.
            let _ = write!(link, "$top={top}&");
        }
        link.push_str("$skiptoken=");
        link.push_str(&skiptoken::encode(page.fingerprint, after));
        link
    }
}

/// Options that a nextLink has new values for.
fn is_replaced(part: &str) -> bool {
    let name = part.split('=').next().unwrap_or_default();
    let Ok(name) = decode_segment(name) else {
        return false;
    };
    let option = OptionName::find(name.strip_prefix('$').unwrap_or(&name));
    matches!(
        option,
        Some(OptionName::Top | OptionName::Skip | OptionName::SkipToken)
    )
}

/// Fingerprint of what a token belongs to: entity, filter and order, by their texts.
///
/// By text and not by ids, so that a token survives a new release of the model.
pub(super) fn fingerprint(
    model: &Model,
    entity: EntityId,
    options: &Options,
    filters: &[Node],
) -> u64 {
    fingerprint_parts(
        &model[entity].name,
        options,
        options.alias_texts.iter(),
        filters,
    )
}

pub(super) fn fingerprint_parts<'t>(
    entity: &str,
    options: &Options,
    aliases: impl Iterator<Item = &'t (String, String)>,
    filters: &[Node],
) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.part(entity);
    hash.part(options.text(OptionName::Filter).unwrap_or_default());
    hash.part(options.text(OptionName::OrderBy).unwrap_or_default());
    for (name, text) in aliases {
        hash.part(name);
        hash.part(text);
    }
    for filter in filters {
        // Writing to the hash does not fail.
        let _ = write!(hash, "{filter}");
        hash.part("");
    }
    hash.0
}

struct Fnv(u64);

impl Fnv {
    fn part(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        // No text has this byte, so that parts do not run together.
        self.bytes(&[0xff]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
