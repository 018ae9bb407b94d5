//! `$metadata` and the service document: what a model looks like to a client that does not know it.
//!
//! Made once when the model is loaded; a request gets ready bytes. [`annotations`](self) say in the
//! vocabularies of OASIS (and SAP's Common, for labels) what the model says in its own words.

mod annotation;
mod json;
mod xml;

use bytes::Bytes;
use stoa_model::model::{
    Attribute, Default, Entity, Enumeration, Extent, Model, Navigation, OnDelete, Purpose, Storage,
};
use stoa_model::value::ScalarType;

use crate::address::has_entity_set;
use crate::json::text::{write_escaped, write_plain, write_string};
use crate::negotiate::{Format, MetadataLevel, Version};

/// A payload that never changes while the model is loaded.
#[derive(Clone, Debug)]
pub struct Document {
    /// The payload.
    pub bytes: Bytes,
    /// Strong entity tag, with its quotes.
    pub etag: String,
    /// Media type.
    pub content_type: &'static str,
}

impl Document {
    pub(crate) fn new(bytes: Vec<u8>, content_type: &'static str) -> Self {
        // FNV-1a over 128 bits: a tag to tell releases of one application apart, not a signature.
        let hash = bytes.iter().fold(
            0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
            |hash, byte| {
                (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
            },
        );
        Self {
            bytes: bytes.into(),
            etag: format!("\"{hash:032x}\""),
            content_type,
        }
    }
}

/// Everything about a model that clients may ask for.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// CSDL in XML, for OData 4.0.
    pub xml_4_0: Document,
    /// CSDL in XML, for OData 4.01.
    pub xml_4_01: Document,
    /// CSDL in JSON, for OData 4.0.
    pub json_4_0: Document,
    /// CSDL in JSON, for OData 4.01.
    pub json_4_01: Document,
    /// The service document from `"value":` on.
    service: Bytes,
}

impl Metadata {
    /// Prepares everything.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        const XML: &str = "application/xml";
        const JSON: &str = "application/json";
        Self {
            xml_4_0: Document::new(xml::write(model, Version::V4_0), XML),
            xml_4_01: Document::new(xml::write(model, Version::V4_01), XML),
            json_4_0: Document::new(json::write(model, Version::V4_0), JSON),
            json_4_01: Document::new(json::write(model, Version::V4_01), JSON),
            service: service_document(model).into(),
        }
    }

    /// The document for a negotiated form.
    #[must_use]
    pub fn document(&self, version: Version, as_json: bool) -> &Document {
        match (version, as_json) {
            (Version::V4_0, false) => &self.xml_4_0,
            (Version::V4_01, false) => &self.xml_4_01,
            (Version::V4_0, true) => &self.json_4_0,
            (Version::V4_01, true) => &self.json_4_01,
        }
    }

    /// The service document; `root` is the external URL of the service with a slash at its end.
    #[must_use]
    pub fn service_document(&self, root: &str, format: Format) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.service.len() + root.len() + 40);
        out.push(b'{');
        if format.metadata != MetadataLevel::None {
            out.extend_from_slice(match format.version {
                Version::V4_0 => b"\"@odata.context\":\"",
                Version::V4_01 => b"\"@context\":\"",
            });
            write_escaped(&mut out, root);
            out.extend_from_slice(b"$metadata\",");
        }
        out.extend_from_slice(&self.service);
        out
    }
}

fn service_document(model: &Model) -> Vec<u8> {
    let mut out = b"\"value\":[".to_vec();
    let readable = entity_sets(model).filter(|entity| entity.reach.read != Extent::None);
    for (position, entity) in readable.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"name\":");
        write_string(&mut out, &entity.collection);
        if entity.label != entity.name {
            out.extend_from_slice(b",\"title\":");
            write_string(&mut out, &entity.label);
        }
        out.extend_from_slice(b",\"kind\":\"EntitySet\",\"url\":");
        write_string(&mut out, &entity.collection);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// Entities that the reader may know of.
pub(crate) fn entity_types(model: &Model) -> impl Iterator<Item = &Entity> {
    model
        .entities
        .iter()
        .filter(|entity| model.is_known(entity.id))
}

/// Entities with an entity set that the reader may know of, in model order.
pub(crate) fn entity_sets(model: &Model) -> impl Iterator<Item = &Entity> {
    model
        .entities
        .iter()
        .filter(|entity| has_known_set(model, entity))
}

fn has_known_set(model: &Model, entity: &Entity) -> bool {
    has_entity_set(model, entity) && model.has_collection(entity.id)
}

/// Enumerations that properties of the reader's have, and those that nothing has.
pub(crate) fn enumerations(model: &Model) -> impl Iterator<Item = &Enumeration> {
    let mut hidden = vec![false; model.enumerations.len()];
    let mut shown = hidden.clone();
    for entity in &model.entities {
        let is_known = model.is_known(entity.id);
        for attribute in &entity.attributes {
            if let ScalarType::Enumeration(id) = attribute.scalar_type {
                let list = if is_known && attribute.reach.is_readable() {
                    &mut shown
                } else {
                    &mut hidden
                };
                list[id.index()] = true;
            }
        }
    }
    model
        .enumerations
        .iter()
        .enumerate()
        .filter(move |(position, _)| shown[*position] || !hidden[*position])
        .map(|(_, enumeration)| enumeration)
}

/// Name of the primitive type.
///
/// An enumeration has a name of its own: this gives `Edm.String` for it.
#[must_use]
pub fn edm_name(scalar_type: ScalarType) -> &'static str {
    match scalar_type {
        ScalarType::String | ScalarType::Enumeration(_) => "Edm.String",
        ScalarType::Integer => "Edm.Int32",
        ScalarType::Long => "Edm.Int64",
        ScalarType::Decimal { .. } => "Edm.Decimal",
        ScalarType::Boolean => "Edm.Boolean",
        ScalarType::DateTime => "Edm.DateTimeOffset",
        ScalarType::Date => "Edm.Date",
        ScalarType::Time => "Edm.TimeOfDay",
        ScalarType::Duration => "Edm.Duration",
        ScalarType::Uuid => "Edm.Guid",
        ScalarType::Binary => "Edm.Binary",
        ScalarType::File => "Edm.Stream",
        ScalarType::Json => "Edm.Untyped",
    }
}

/// Name of the type in this model's service.
fn type_name(model: &Model, scalar_type: ScalarType) -> String {
    match scalar_type {
        ScalarType::Enumeration(id) => format!("{}.{}", model.name, model[id].name),
        other => edm_name(other).to_owned(),
    }
}

/// Facets of a property.
struct Facets {
    nullable: bool,
    max_length: Option<u32>,
    precision: Option<u8>,
    scale: Option<u8>,
    default: Option<String>,
}

fn facets(attribute: &Attribute) -> Facets {
    let (precision, scale) = match attribute.scalar_type {
        ScalarType::Decimal { precision, scale } => (Some(precision), Some(scale)),
        ScalarType::DateTime | ScalarType::Time | ScalarType::Duration => (Some(6), None),
        _ => (None, None),
    };
    Facets {
        // Where it is hidden, it is null.
        nullable: !attribute.required || attribute.reach.read == Extent::Some,
        max_length: attribute.length.filter(|_| {
            matches!(
                attribute.scalar_type,
                ScalarType::String | ScalarType::Binary
            )
        }),
        precision,
        scale,
        default: match &attribute.default {
            Some(Default::Value(value)) if !value.is_null() => Some(plain(value)),
            _ => None,
        },
    }
}

pub(crate) fn plain(value: &stoa_model::value::Value) -> String {
    let mut out = Vec::new();
    write_plain(&mut out, value.as_ref());
    String::from_utf8(out).unwrap_or_default()
}

/// Whether a property is part of a type: the reader may see it, or rows are told apart by it.
fn is_shown(entity: &Entity, id: usize) -> bool {
    entity.attributes.get(id).is_some_and(|attribute| {
        let is_key = entity.key.iter().any(|key| key.index() == id);
        attribute.purpose != Purpose::Version && (is_key || attribute.reach.is_readable())
    })
}

/// The attributes that a type declares itself: what it inherits stands in its base, unless the reader may
/// see it in the specialisation only.
pub(crate) fn own_attributes<'a>(
    model: &'a Model,
    entity: &'a Entity,
) -> impl Iterator<Item = &'a Attribute> {
    let base = entity.base.map(|base| &model[base]);
    entity
        .attributes
        .iter()
        .enumerate()
        .filter(move |(id, _)| {
            is_shown(entity, *id) && !base.is_some_and(|base| is_shown(base, *id))
        })
        .map(|(_, attribute)| attribute)
}

/// Name of a navigation that the reader may see.
pub(crate) fn shown_name(navigation: &Navigation) -> Option<&str> {
    navigation
        .name
        .as_deref()
        .filter(|_| navigation.reach.is_readable())
}

/// The named navigations that a type declares itself, as with [`own_attributes`].
pub(crate) fn own_navigations<'a>(
    model: &'a Model,
    entity: &'a Entity,
) -> impl Iterator<Item = (&'a str, &'a Navigation)> {
    let base = entity.base.map(|base| &model[base]);
    entity
        .navigations
        .iter()
        .enumerate()
        .filter(move |(id, navigation)| {
            let inherited = base.and_then(|base| base.navigations.get(*id));
            !inherited.is_some_and(|inherited| {
                inherited.declared_by == navigation.declared_by && shown_name(inherited).is_some()
            })
        })
        .filter_map(|(_, navigation)| Some((shown_name(navigation)?, navigation)))
}

/// Whether a navigation always shows the reader a row.
pub(crate) fn is_never_empty(navigation: &Navigation) -> bool {
    navigation.required && !navigation.many && navigation.reach.read == Extent::All
}

/// Name of the navigation at the other end.
fn partner_name<'a>(model: &'a Model, navigation: &Navigation) -> Option<&'a str> {
    shown_name(&model[navigation.target][navigation.partner])
}

/// What CSDL says about a delete of the entity that has this navigation: what becomes of the targets.
fn on_delete(model: &Model, navigation: &Navigation) -> Option<&'static str> {
    if navigation.contained {
        return Some("Cascade");
    }
    let Storage::Target(_) = navigation.storage else {
        return None;
    };
    Some(
        match model[navigation.target][navigation.partner].on_delete {
            OnDelete::Prevent => "None",
            OnDelete::Cascade => "Cascade",
            OnDelete::Clear => "SetNull",
        },
    )
}

/// Pairs of own property and referred property, when every column of the foreign key is a property.
fn referential_constraint<'a>(
    model: &'a Model,
    entity: &'a Entity,
    navigation: &Navigation,
) -> Vec<(&'a str, &'a str)> {
    let Storage::Own(columns) = &navigation.storage else {
        return Vec::new();
    };
    let target = &model[navigation.target];
    columns
        .iter()
        .zip(&target.key)
        .map(|(column, key)| {
            let own = column.attribute?;
            is_shown(entity, own.index())
                .then(|| (entity[own].name.as_str(), target[*key].name.as_str()))
        })
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default()
}

/// Paths of navigations from an entity set to other sets, those through contained rows too.
fn bindings<'a>(model: &'a Model, entity: &'a Entity) -> Vec<(String, &'a str)> {
    let mut bindings = Vec::new();
    add_bindings(model, entity, "", &mut Vec::new(), &mut bindings);
    for special in &entity.specialisations {
        let special = &model[*special];
        let prefix = format!("{}.{}/", model.name, special.name);
        // What the base declares is bound above.
        for (name, navigation) in special
            .navigations
            .iter()
            .filter(|navigation| {
                !entity.navigations.iter().any(|inherited| {
                    inherited.declared_by == navigation.declared_by
                        && shown_name(inherited) == shown_name(navigation)
                })
            })
            .filter_map(|navigation| Some((shown_name(navigation)?, navigation)))
        {
            let target = &model[navigation.target];
            if has_known_set(model, target) {
                bindings.push((format!("{prefix}{name}"), target.collection.as_str()));
            }
        }
    }
    bindings
}

fn add_bindings<'a>(
    model: &'a Model,
    entity: &'a Entity,
    prefix: &str,
    seen: &mut Vec<stoa_model::model::EntityId>,
    bindings: &mut Vec<(String, &'a str)>,
) {
    // A contained entity may contain its own kind: each type is looked at once on a path.
    if seen.contains(&entity.id) {
        return;
    }
    seen.push(entity.id);
    for navigation in &entity.navigations {
        let Some(name) = shown_name(navigation) else {
            continue;
        };
        let target = &model[navigation.target];
        if has_known_set(model, target) {
            bindings.push((format!("{prefix}{name}"), target.collection.as_str()));
        } else if navigation.contained {
            add_bindings(model, target, &format!("{prefix}{name}/"), seen, bindings);
        }
    }
    seen.pop();
}

#[cfg(test)]
mod tests;
