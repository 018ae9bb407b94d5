//! JSON, one level at a time: objects as ordered members, duplicates noticed, values as raw text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use stoa_model::application::Limits;

use super::Raw;
use crate::error::{Code, Error};

/// What kind of JSON value a text is.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    Null,
    Truth(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    Array,
    Object,
    /// A string that is not Unicode: half of a surrogate pair.
    Broken,
}

impl Shape<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Truth(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Broken => "a broken string",
        }
    }
}

/// Reads a whole body.
pub(super) fn parse<'a>(json: &'a [u8], limits: &Limits) -> Result<Raw<'a>, Error> {
    if json.len() > limits.body_bytes {
        return Err(Error::new(
            Code::BodyTooLarge,
            format!("the body is larger than {} bytes", limits.body_bytes),
        ));
    }
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(
            Code::InvalidJson,
            "the body is empty: send a JSON object",
        ));
    }
    serde_json::from_slice::<&RawValue>(json).map_err(|error| {
        Error::new(
            Code::InvalidJson,
            // serde_json's text ends with line and column.
            format!("the body is not JSON: {error}"),
        )
    })
}

/// The kind of a value. The text is known to be JSON.
pub(super) fn shape(raw: Raw<'_>) -> Shape<'_> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Shape::Null,
        Some(b't') => Shape::Truth(true),
        Some(b'f') => Shape::Truth(false),
        Some(b'[') => Shape::Array,
        Some(b'{') => Shape::Object,
        Some(b'"') => string(text).map_or(Shape::Broken, Shape::Text),
        _ => Shape::Number(text),
    }
}

/// A JSON string; borrowed when it has no escapes.
fn string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(text).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Members of an object in order, and the names that stand in it twice.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) list: Vec<(Cow<'a, str>, Raw<'a>)>,
    pub(super) duplicates: Vec<String>,
}

impl<'a> Members<'a> {
    /// Reads an object; `None` if the value is something else.
    pub(super) fn read(raw: Raw<'a>) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let mut members: Self = deserializer.deserialize_map(MembersVisitor).ok()?;
        if members.list.len() > 1 {
            let mut names: Vec<&str> = members.list.iter().map(|(name, _)| name.as_ref()).collect();
            names.sort_unstable();
            let mut duplicates: Vec<String> = names
                .windows(2)
                .filter(|pair| pair[0] == pair[1])
                .map(|pair| pair[0].to_owned())
                .collect();
            duplicates.dedup();
            members.duplicates = duplicates;
        }
        Some(members)
    }

    /// Value of control information, with or without `odata.`.
    pub(super) fn control(&self, name: &str) -> Option<Raw<'a>> {
        self.list
            .iter()
            .find_map(|(member, value)| (control_name(member)? == name).then_some(*value))
    }
}

/// `@odata.type` and `@type` → `type`.
pub(super) fn control_name(member: &str) -> Option<&str> {
    let name = member.strip_prefix('@')?;
    Some(name.strip_prefix("odata.").unwrap_or(name))
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<&RawValue>()? {
            let name = string(name.get())
                .ok_or_else(|| serde::de::Error::custom("a name is not Unicode"))?;
            members.list.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

/// Elements of an array; `None` if the value is something else.
pub(super) fn elements(raw: Raw<'_>) -> Option<Vec<Raw<'_>>> {
    struct Elements;
    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = sequence.next_element()? {
                list.push(element);
            }
            Ok(list)
        }
    }
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_seq(Elements)
        .ok()
}
