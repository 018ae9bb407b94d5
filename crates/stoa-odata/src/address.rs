//! URLs that we write: keys, canonical paths of rows, context paths. Relative to the service root.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use stoa_model::model::{Entity, EntityId, Model, Navigation};
use stoa_model::query::Source;
use stoa_model::value::{ScalarType, Value, ValueRef};

use crate::json::text::write_plain;

/// Everything but the unreserved characters of RFC 3986 is encoded.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Whether the entity has an entity set: contained entities live in their container only.
#[must_use]
pub fn has_entity_set(model: &Model, entity: &Entity) -> bool {
    entity.container.is_none()
        && entity
            .base
            .is_none_or(|base| has_entity_set(model, &model[base]))
}

/// Appends `(1)` or `(OrderID=1,ProductID=2)`, percent-encoded.
pub fn write_key<'a>(
    out: &mut String,
    entity: &Entity,
    key: impl ExactSizeIterator<Item = ValueRef<'a>>,
) {
    let single = key.len() == 1;
    out.push('(');
    for (position, value) in key.enumerate() {
        let Some(attribute) = entity.key.get(position).map(|id| &entity[*id]) else {
            break;
        };
        if position > 0 {
            out.push(',');
        }
        if !single {
            out.push_str(&attribute.name);
            out.push('=');
        }
        write_literal(out, value, attribute.scalar_type);
    }
    out.push(')');
}

/// Appends a value as a literal of a URL.
pub(crate) fn write_literal(out: &mut String, value: ValueRef<'_>, scalar_type: ScalarType) {
    let mut plain = Vec::new();
    write_plain(&mut plain, value);
    let quoted = matches!(
        scalar_type,
        ScalarType::String | ScalarType::Enumeration(_) | ScalarType::Json | ScalarType::File
    );
    match (value, quoted) {
        (ValueRef::Null, _) => out.push_str("null"),
        (_, true) => {
            out.push('\'');
            for part in percent_encode(&plain, KEY) {
                // Quotes are doubled; both become %27 pairs, which every server decodes alike.
                out.push_str(&part.replace("%27", "%27%27"));
            }
            out.push('\'');
        }
        (ValueRef::Binary(_), _) => {
            out.push_str("binary'");
            out.extend(percent_encode(&plain, KEY));
            out.push('\'');
        }
        (ValueRef::Duration(_), _) => {
            out.push_str("duration'");
            out.extend(percent_encode(&plain, KEY));
            out.push('\'');
        }
        _ => out.extend(percent_encode(&plain, KEY)),
    }
}

/// Path of a row of an entity with an entity set: `Orders(1)`.
#[must_use]
pub fn canonical(model: &Model, entity: EntityId, key: &[Value]) -> String {
    let entity = &model[entity];
    let mut path = entity.collection.clone();
    write_key(&mut path, entity, key.iter().map(Value::as_ref));
    path
}

/// The collection or row that an answer is about, for its context URL and for the URLs of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextPath {
    /// `Orders`, or `Orders(1)/Lines` for contained rows.
    pub collection: String,
    /// The rows are reached by a contained to-one navigation: their URL has no key of its own.
    pub keyless: bool,
    /// `/Namespace.Type` where the path narrows the rows by a type; empty otherwise. It stands in context URLs
    /// and before the navigations of a row, not in the row's identity.
    pub cast: String,
}

impl ContextPath {
    /// The same with rows narrowed to a type; unchanged if none is given.
    #[must_use]
    pub fn narrowed(mut self, model: &Model, to: Option<EntityId>) -> Self {
        if let Some(to) = to {
            self.cast = format!("/{}.{}", model.name, model[to].name);
        }
        self
    }
}

/// Where the rows of a query stand: their entity set, or the path of their container.
///
/// `entity` is the type of the source's rows.
#[must_use]
pub fn context_path(model: &Model, entity: EntityId, source: &Source) -> ContextPath {
    let set = |entity: EntityId| ContextPath {
        collection: model[entity].collection.clone(),
        keyless: false,
        cast: String::new(),
    };
    match source {
        Source::All | Source::Key(_) => set(entity),
        Source::Where { from, .. } => context_path(model, entity, from),
        Source::Related {
            entity: from_entity,
            from,
            navigation,
            ..
        } => {
            let navigation = &model[*from_entity][*navigation];
            if has_entity_set(model, &model[navigation.target]) {
                // The rows may be asked for as a specialisation, which has a set of its own.
                return set(entity);
            }
            let mut collection = row_path(model, *from_entity, from);
            collection.push('/');
            collection.push_str(navigation_segment(navigation));
            ContextPath {
                collection,
                keyless: !navigation.many,
                cast: String::new(),
            }
        }
    }
}

fn navigation_segment(navigation: &Navigation) -> &str {
    navigation.name.as_deref().unwrap_or_default()
}

/// Path of the one row of a source, as canonical as can be said without reading it.
#[must_use]
pub fn row_path(model: &Model, entity: EntityId, source: &Source) -> String {
    match source {
        Source::All => model[entity].collection.clone(),
        Source::Where { from, .. } => row_path(model, entity, from),
        Source::Key(key) => canonical(model, entity, key),
        Source::Related {
            entity: from_entity,
            from,
            navigation,
            key,
        } => {
            let navigation = &model[*from_entity][*navigation];
            let target = &model[navigation.target];
            if let Some(key) = key
                && has_entity_set(model, target)
            {
                return canonical(model, navigation.target, key);
            }
            let mut path = row_path(model, *from_entity, from);
            path.push('/');
            path.push_str(navigation_segment(navigation));
            if let Some(key) = key {
                write_key(&mut path, target, key.iter().map(Value::as_ref));
            }
            path
        }
    }
}
