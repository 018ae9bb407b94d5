//! Requests' payloads: JSON becomes a [`Change`], validated against the model.
//!
//! All faults of a body are collected, each with code and target. Numbers are read from their text, never
//! through floating point. Control information (`@odata.…`, `@…`) that does not concern a write is
//! ignored, and so are computed properties, as the protocol asks.

mod builder;
mod compact;
mod document;
mod faults;
mod link;
mod scalar;

use serde_json::value::RawValue;
use stoa_model::application::Limits;
use stoa_model::change::{Action, Change, Expected, Operation, Reference, Target};
use stoa_model::model::{AttributeId, EntityId, Model, Navigation, NavigationId, Storage};
use stoa_model::query::Source;

use crate::error::{Code, Error};
use builder::{Builder, Mode};

/// What the reader of bodies needs to know of the request.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Limits on bytes and operations.
    pub limits: &'a Limits,
    /// `IEEE754Compatible=true` in `Content-Type`: large numbers may stand as strings.
    pub ieee754_compatible: bool,
    /// External URL of the service, with a slash at its end: references may be absolute.
    pub root: &'a str,
    /// The instant of the request, microseconds since the Unix epoch: the default `now`.
    pub now: i64,
}

/// What a body asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The change.
    pub change: Change,
    /// Position of the operation that is about the request's own row.
    pub root: usize,
}

/// Where a new row comes to be.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Place {
    /// The key that the URL gives (an upsert); it goes before the body's.
    pub key: Option<Vec<stoa_model::value::Value>>,
    /// The navigation that the URL goes through.
    pub through: Option<Through>,
}

/// A navigation from an existing row.
#[derive(Clone, Debug, PartialEq)]
pub struct Through {
    /// Entity that has the navigation.
    pub entity: EntityId,
    /// Its row.
    pub source: Source,
    /// The navigation.
    pub navigation: NavigationId,
}

/// How a body changes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// What is not named stays.
    Patch,
    /// What is not named gets its default or null.
    Put,
}

/// The row that a source of one row means.
#[must_use]
pub fn target_of(source: &Source) -> Target {
    match source {
        Source::Key(key) => Target::Key(key.clone()),
        source => Target::Source(source.clone()),
    }
}

/// Path of a row that was created, relative to the service root: for `Location` and `OData-EntityId`.
#[must_use]
pub fn location(
    model: &Model,
    entity: EntityId,
    place: &Place,
    key: &[stoa_model::value::Value],
) -> String {
    match &place.through {
        Some(through) if !crate::address::has_entity_set(model, &model[entity]) => {
            let source = Source::Related {
                entity: through.entity,
                from: Box::new(through.source.clone()),
                navigation: through.navigation,
                key: Some(key.to_vec()),
            };
            crate::address::row_path(model, entity, &source)
        }
        _ => crate::address::canonical(model, entity, key),
    }
}

/// POST: a new row, with everything nested in it.
///
/// # Errors
/// The body is not JSON, too large, or does not fit the model; the details have every fault.
pub fn create(
    model: &Model,
    entity: EntityId,
    json: &[u8],
    options: &Options<'_>,
    place: &Place,
) -> Result<Write, Error> {
    let body = document::parse(json, options.limits)?;
    let mut builder = Builder::new(model, options);
    let mut references = Vec::new();
    let mut link = None;
    if let Some(through) = &place.through {
        let navigation = &model[through.entity][through.navigation];
        let from = target_of(&through.source);
        match &navigation.storage {
            Storage::Target(_) => references.push(Reference {
                navigation: navigation.partner,
                to: Some(from),
            }),
            Storage::Join { .. } => link = Some((through.entity, from, through.navigation)),
            Storage::Own(_) => {
                return Err(Error::new(
                    Code::MethodNotAllowed,
                    "a reference to one row is changed by PATCH of the row that has it",
                ));
            }
        }
    }
    let inserted = builder.insert(entity, body, "", references, place.key.as_deref());
    if let (Some((entity, from, navigation)), Some(position)) = (link, inserted) {
        builder.push(
            "",
            Action::Link {
                entity,
                from,
                navigation,
                to: Target::Inserted(position),
            },
        );
    }
    builder.finish(inserted)
}

/// PATCH or PUT: a change of an existing row, and of the rows that it contains.
///
/// # Errors
/// The body is not JSON, too large, or does not fit the model; the details have every fault.
pub fn update(
    model: &Model,
    entity: EntityId,
    target: Target,
    expected: Expected,
    method: Method,
    json: &[u8],
    options: &Options<'_>,
) -> Result<Write, Error> {
    let body = document::parse(json, options.limits)?;
    let mut builder = Builder::new(model, options);
    let updated = builder.update(entity, body, target, expected, Mode::from(method));
    builder.finish(updated)
}

/// PUT or PATCH of `…/Property` with `{"value": …}`.
///
/// # Errors
/// As [`update`]; and if the property cannot be set.
pub fn update_property(
    model: &Model,
    entity: EntityId,
    target: Target,
    expected: Expected,
    attribute: AttributeId,
    json: &[u8],
    options: &Options<'_>,
) -> Result<Write, Error> {
    let body = document::parse(json, options.limits)?;
    let mut builder = Builder::new(model, options);
    let updated = builder.update_property(entity, target, expected, attribute, body);
    builder.finish(updated)
}

/// DELETE of `…/Property`: sets it to null.
///
/// # Errors
/// The property cannot be set or may not be null.
pub fn clear_property(
    model: &Model,
    entity: EntityId,
    target: Target,
    expected: Expected,
    attribute: AttributeId,
) -> Result<Write, Error> {
    let limits = Limits::default();
    let options = Options {
        limits: &limits,
        ieee754_compatible: false,
        root: "",
        now: 0,
    };
    let body = document::parse(b"{\"value\":null}", &limits)?;
    let mut builder = Builder::new(model, &options);
    let updated = builder.update_property(entity, target, expected, attribute, body);
    builder.finish(updated)
}

/// POST or PUT of `…/Navigation/$ref` with `{"@odata.id": "…"}`.
///
/// # Errors
/// The body is not such an object, or its URL is not of a row of the right type.
pub fn reference(
    model: &Model,
    entity: EntityId,
    from: Target,
    expected: Expected,
    navigation: NavigationId,
    json: &[u8],
    options: &Options<'_>,
) -> Result<Write, Error> {
    let body = document::parse(json, options.limits)?;
    let mut builder = Builder::new(model, options);
    let to = builder.read_reference(body, model[entity][navigation].target);
    let Some(to) = to else {
        return builder.finish(None);
    };
    connect(model, entity, from, expected, navigation, to)
}

/// As [`reference()`], for a URL that is already text.
fn connect(
    model: &Model,
    entity: EntityId,
    from: Target,
    expected: Expected,
    navigation: NavigationId,
    to: Target,
) -> Result<Write, Error> {
    let found = &model[entity][navigation];
    refuse_contained(found)?;
    let action = match &found.storage {
        Storage::Own(_) => Action::Update {
            entity,
            target: from,
            expected,
            values: Vec::new(),
            references: vec![Reference {
                navigation,
                to: Some(to),
            }],
        },
        Storage::Target(_) | Storage::Join { .. } => Action::Link {
            entity,
            from,
            navigation,
            to,
        },
    };
    Ok(single(action))
}

/// DELETE of `…/Navigation/$ref`; `id` is the option `$id` (decoded), or none for a reference to one row.
///
/// # Errors
/// The URL is not of a row of the right type, or a to-many navigation comes without one.
pub fn unreference(
    model: &Model,
    entity: EntityId,
    from: Target,
    expected: Expected,
    navigation: NavigationId,
    id: Option<&str>,
    options: &Options<'_>,
) -> Result<Write, Error> {
    let found = &model[entity][navigation];
    refuse_contained(found)?;
    if let Storage::Own(_) = &found.storage {
        if found.required {
            let name = found.name.clone().unwrap_or_default();
            return Err(Error::new(
                Code::Required,
                format!("{name} must lead to a row: set another one instead"),
            )
            .at(name));
        }
        return Ok(single(Action::Update {
            entity,
            target: from,
            expected,
            values: Vec::new(),
            references: vec![Reference {
                navigation,
                to: None,
            }],
        }));
    }
    let to = match id {
        Some(id) => Some(
            link::parse(model, options.root, options.limits, id, found.target)
                .map_err(|message| Error::new(Code::InvalidReference, message).at("$id"))?,
        ),
        None if found.many => {
            return Err(Error::new(
                Code::Required,
                "say which row is meant: …/$ref?$id=Collection(key)",
            )
            .at("$id"));
        }
        None => None,
    };
    Ok(single(Action::Unlink {
        entity,
        from,
        navigation,
        to,
    }))
}

/// A contained row belongs to one container for life.
fn refuse_contained(navigation: &Navigation) -> Result<(), Error> {
    if navigation.contained {
        return Err(Error::new(
            Code::MethodNotAllowed,
            "contained rows are created and deleted, not referred to",
        ));
    }
    Ok(())
}

fn single(action: Action) -> Write {
    Write {
        change: Change {
            operations: vec![Operation {
                location: String::new(),
                action,
            }],
        },
        root: 0,
    }
}

/// A part of the body, as it stands.
type Raw<'a> = &'a RawValue;

#[cfg(test)]
mod tests;
