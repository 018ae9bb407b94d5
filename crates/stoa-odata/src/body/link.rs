//! URLs in bodies (`@odata.bind`, `@odata.id`): absolute, or relative to the service root.

use percent_encoding::percent_decode_str;
use stoa_model::change::Target;
use stoa_model::expression::error::nearest;
use stoa_model::expression::literal;
use stoa_model::model::{Entity, EntityId, Model};
use stoa_model::query::Source;
use stoa_model::value::text::{parse_date, parse_date_time, parse_duration, parse_time};
use stoa_model::value::{ScalarType, Value};

use super::faults::shown;
use crate::address::has_entity_set;

/// Most segments of a reference's path.
const MOST_SEGMENTS: usize = 16;

/// The row that a URL means; it must be of the hierarchy of `wanted`.
///
/// # Errors
/// What is wrong with the URL, for people.
pub(super) fn parse(
    model: &Model,
    root: &str,
    url: &str,
    wanted: EntityId,
) -> Result<Target, String> {
    let path = relative(root, url)?;
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let wrong = |what: &str| {
        format!(
            "'{}' is not the URL of a row: {what}; write it like {}(key)",
            shown(url),
            model[wanted].collection
        )
    };
    let first = segments
        .next()
        .ok_or_else(|| wrong("it names no entity set"))?;
    let (name, key) = split_key(first).ok_or_else(|| wrong("it is not well-formed"))?;
    let mut entity = *model
        .entities_by_collection
        .get(name.as_str())
        .filter(|entity| has_entity_set(model, &model[**entity]))
        .ok_or_else(|| {
            let sets = model
                .entities
                .iter()
                .filter(|entity| has_entity_set(model, entity))
                .map(|entity| entity.collection.as_str());
            match nearest(&name, sets) {
                Some(set) => wrong(&format!(
                    "there is no entity set {}, did you mean {set}?",
                    shown(&name)
                )),
                None => wrong(&format!("there is no entity set {}", shown(&name))),
            }
        })?;
    let key = key.ok_or_else(|| wrong("it has no key"))?;
    let mut source = Source::Key(parse_key(&model[entity], &key).map_err(|what| wrong(&what))?);
    for (count, segment) in segments.enumerate() {
        if count >= MOST_SEGMENTS {
            return Err(wrong("it has too many segments"));
        }
        let (name, key) = split_key(segment).ok_or_else(|| wrong("it is not well-formed"))?;
        if let Some(cast) = name.strip_prefix(&format!("{}.", model.name)) {
            entity = *model
                .entities_by_name
                .get(cast)
                .filter(|cast| model[**cast].root == model[entity].root)
                .ok_or_else(|| wrong("its type is unknown"))?;
            continue;
        }
        let navigation = *model[entity]
            .navigations_by_name
            .get(&name)
            .ok_or_else(|| {
                wrong(&format!(
                    "{} has no navigation {}",
                    model[entity].name,
                    shown(&name)
                ))
            })?;
        let found = &model[entity][navigation];
        let key = match (key, found.many) {
            (Some(key), true) => {
                Some(parse_key(&model[found.target], &key).map_err(|what| wrong(&what))?)
            }
            (None, false) => None,
            (None, true) => return Err(wrong(&format!("{name} needs a key"))),
            (Some(_), false) => {
                return Err(wrong(&format!("{name} leads to one row and has no key")));
            }
        };
        source = Source::Related {
            entity,
            from: Box::new(source),
            navigation,
            key,
        };
        entity = found.target;
    }
    if model[entity].root != model[wanted].root {
        return Err(format!(
            "'{}' is of type {}, but {} is wanted",
            shown(url),
            model[entity].name,
            model[wanted].name
        ));
    }
    Ok(super::target_of(&source))
}

/// The path below the service root.
fn relative<'a>(root: &str, url: &'a str) -> Result<&'a str, String> {
    let url = url.trim();
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    if let Some(path) = url.strip_prefix(root).filter(|_| !root.is_empty()) {
        return Ok(path);
    }
    // The path of `https://host/odata/` is `/odata/`.
    let root_path = root
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..]))
        .unwrap_or("/");
    if let Some((_, rest)) = url.split_once("://") {
        // The same service by another of its names (a proxy's, an address).
        return rest
            .find('/')
            .and_then(|slash| rest[slash..].strip_prefix(root_path))
            .ok_or_else(|| format!("'{}' is not a URL of this service ({root})", shown(url)));
    }
    if url.starts_with('/') {
        return Ok(url.strip_prefix(root_path).unwrap_or(&url[1..]));
    }
    Ok(url)
}

/// `Name` or `Name(key)`, decoded.
fn split_key(segment: &str) -> Option<(String, Option<String>)> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    match decoded.split_once('(') {
        None => Some((decoded.into_owned(), None)),
        Some((name, rest)) => {
            let key = rest.strip_suffix(')')?;
            Some((name.to_owned(), Some(key.to_owned())))
        }
    }
}

/// `1`, `'ALFKI'`, `ID=1`, `OrderID=1,ProductID=2`.
fn parse_key(entity: &Entity, text: &str) -> Result<Vec<Value>, String> {
    let mut parts = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    if parts.len() != entity.key.len() {
        return Err(format!(
            "the key of {} has {} values",
            entity.name,
            entity.key.len()
        ));
    }
    let mut values = vec![None; entity.key.len()];
    for part in parts {
        let part = part.trim();
        let named = part
            .split_once('=')
            .filter(|(name, _)| !name.contains('\''))
            .map(|(name, value)| (name.trim(), value.trim()));
        let (place, literal) = match named {
            Some((name, value)) => (
                entity.key.iter().position(|key| entity[*key].name == name),
                value,
            ),
            None if entity.key.len() == 1 => (Some(0), part),
            None => (None, part),
        };
        let Some(place) = place else {
            let names: Vec<&str> = entity
                .key
                .iter()
                .map(|key| entity[*key].name.as_str())
                .collect();
            return Err(format!(
                "the key of {} is {}",
                entity.name,
                names.join(", ")
            ));
        };
        let attribute = &entity[entity.key[place]];
        let value = key_value(attribute.scalar_type, literal)
            .ok_or_else(|| format!("'{}' is no value of {}", shown(literal), attribute.name))?;
        values[place] = Some(value);
    }
    values
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("the key of {} names a value twice", entity.name))
}

/// A literal of a known type.
fn key_value(scalar_type: ScalarType, text: &str) -> Option<Value> {
    let unquoted = || {
        let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
        let single = inner.replace("''", "");
        (!single.contains('\'') && !inner.contains('\0')).then(|| inner.replace("''", "'"))
    };
    let prefixed = |prefix: &str| {
        text.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('\'')?.strip_suffix('\''))
            .unwrap_or(text)
    };
    match scalar_type {
        ScalarType::String => unquoted().map(Value::Text),
        // With or without the type's name before the quotes.
        ScalarType::Enumeration(_) => {
            let start = text.find('\'')?;
            let inner = text[start + 1..].strip_suffix('\'')?;
            Some(Value::Text(inner.to_owned()))
        }
        ScalarType::Integer => text
            .parse::<i32>()
            .ok()
            .map(|value| Value::Integer(value.into())),
        ScalarType::Long => text
            .strip_suffix(['L', 'l'])
            .unwrap_or(text)
            .parse()
            .ok()
            .map(Value::Integer),
        ScalarType::Decimal { .. } => {
            literal::decimal(text.strip_suffix(['M', 'm']).unwrap_or(text)).map(Value::Decimal)
        }
        ScalarType::Boolean => text.parse().ok().map(Value::Boolean),
        ScalarType::DateTime => parse_date_time(text).map(Value::DateTime),
        ScalarType::Date => parse_date(prefixed("date")).map(Value::Date),
        ScalarType::Time => parse_time(prefixed("timeofday")).map(Value::Time),
        ScalarType::Duration => parse_duration(prefixed("duration")).map(Value::Duration),
        ScalarType::Uuid => literal::uuid(text).map(Value::Uuid),
        ScalarType::Binary => literal::binary(prefixed("binary")).map(Value::Binary),
        ScalarType::File | ScalarType::Json => None,
    }
}
