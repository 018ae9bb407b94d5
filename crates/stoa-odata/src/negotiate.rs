//! Headers: versions, media types, preferences, preconditions.
//!
//! What a client asks for beyond what we know is ignored where the protocol allows it: real clients
//! send parameters of other servers.

use http::header::{ACCEPT, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use stoa_model::change::Expected;

use crate::error::{Code, Error};

/// `OData-Version`.
pub const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");
/// `OData-MaxVersion`.
pub const ODATA_MAX_VERSION: HeaderName = HeaderName::from_static("odata-maxversion");
/// `OData-EntityId`.
pub const ODATA_ENTITY_ID: HeaderName = HeaderName::from_static("odata-entityid");
/// `Prefer`.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `Preference-Applied`.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Protocol version of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Version {
    /// 4.0
    #[default]
    V4_0,
    /// 4.01
    V4_01,
}

impl Version {
    /// Value of the header `OData-Version`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4_0 => "4.0",
            Self::V4_01 => "4.01",
        }
    }
}

/// How much control information a payload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MetadataLevel {
    /// Only count and nextLink.
    None,
    /// What a client cannot compute.
    #[default]
    Minimal,
    /// Everything.
    Full,
}

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Format {
    /// Protocol version: 4.01 drops `odata.` from the names.
    pub version: Version,
    /// Amount of control information.
    pub metadata: MetadataLevel,
    /// `Edm.Int64`, `Edm.Decimal` and counts are strings.
    pub ieee754_compatible: bool,
}

impl Format {
    /// Value of the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        use MetadataLevel::{Full, Minimal, None};
        match (self.version, self.metadata, self.ieee754_compatible) {
            (Version::V4_0, None, false) => "application/json;odata.metadata=none",
            (Version::V4_0, Minimal, false) => "application/json;odata.metadata=minimal",
            (Version::V4_0, Full, false) => "application/json;odata.metadata=full",
            (Version::V4_0, None, true) => {
                "application/json;odata.metadata=none;IEEE754Compatible=true"
            }
            (Version::V4_0, Minimal, true) => {
                "application/json;odata.metadata=minimal;IEEE754Compatible=true"
            }
            (Version::V4_0, Full, true) => {
                "application/json;odata.metadata=full;IEEE754Compatible=true"
            }
            (Version::V4_01, None, false) => "application/json;metadata=none",
            (Version::V4_01, Minimal, false) => "application/json;metadata=minimal",
            (Version::V4_01, Full, false) => "application/json;metadata=full",
            (Version::V4_01, None, true) => "application/json;metadata=none;IEEE754Compatible=true",
            (Version::V4_01, Minimal, true) => {
                "application/json;metadata=minimal;IEEE754Compatible=true"
            }
            (Version::V4_01, Full, true) => "application/json;metadata=full;IEEE754Compatible=true",
        }
    }
}

/// What kind of payload the resource has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Entities, properties, the service document: JSON.
    Data,
    /// `$metadata`: XML, or JSON if asked for.
    Metadata,
    /// `$count`, `/$value`: plain text (or the bytes as they are).
    Text,
}

/// Chosen representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// JSON.
    Json(Format),
    /// XML, for `$metadata`.
    Xml(Version),
    /// Plain text.
    Text(Version),
}

/// The version to answer in: 4.0 unless the client can take 4.01 and says so.
///
/// # Errors
/// A header that is no version, or a version that is not spoken here.
pub fn version(headers: &HeaderMap) -> Result<Version, Error> {
    let most = header_version(headers, &ODATA_MAX_VERSION)?;
    let body = header_version(headers, &ODATA_VERSION)?;
    if let Some(most) = most
        && most < (4, 0)
    {
        return Err(Error::new(
            Code::UnsupportedVersion,
            "OData-MaxVersion is below 4.0: this service speaks 4.0 and 4.01",
        )
        .at("OData-MaxVersion"));
    }
    if let Some(body) = body
        && !((4, 0)..=(4, 1)).contains(&body)
    {
        return Err(Error::new(
            Code::UnsupportedVersion,
            "OData-Version must be 4.0 or 4.01",
        )
        .at("OData-Version"));
    }
    Ok(match (most, body) {
        (Some(most), _) if most >= (4, 1) => Version::V4_01,
        (None, Some(body)) if body >= (4, 1) => Version::V4_01,
        _ => Version::V4_0,
    })
}

/// Major and minor number; `4.0;NetFx` of old clients counts as `4.0`.
fn header_version(headers: &HeaderMap, name: &HeaderName) -> Result<Option<(u32, u32)>, Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let wrong = || {
        let name = if *name == ODATA_VERSION {
            "OData-Version"
        } else {
            "OData-MaxVersion"
        };
        Error::new(
            Code::InvalidHeader,
            format!("{name} is not a version like 4.0 or 4.01"),
        )
        .at(name)
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let text = text.split(';').next().unwrap_or_default().trim();
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let number = |text: &str| {
        if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        text.parse::<u32>().map_err(|_| wrong())
    };
    Ok(Some((number(major)?, number(minor)?)))
}

/// A media range of `Accept`, or the value of `$format`.
#[derive(Debug)]
struct Range<'a> {
    kind: &'a str,
    quality: u16,
    metadata: Option<MetadataLevel>,
    ieee754_compatible: Option<bool>,
}

fn parse_range(text: &str) -> Range<'_> {
    let mut parts = split_quoted(text, b';');
    let kind = parts.next().unwrap_or_default().trim();
    let mut range = Range {
        kind,
        quality: 1000,
        metadata: None,
        ieee754_compatible: None,
    };
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("q") {
            range.quality = quality(value);
        } else if name.eq_ignore_ascii_case("odata.metadata")
            || name.eq_ignore_ascii_case("metadata")
        {
            range.metadata = if value.eq_ignore_ascii_case("none") {
                Some(MetadataLevel::None)
            } else if value.eq_ignore_ascii_case("full") {
                Some(MetadataLevel::Full)
            } else if value.eq_ignore_ascii_case("minimal") {
                Some(MetadataLevel::Minimal)
            } else {
                None
            };
        } else if name.eq_ignore_ascii_case("IEEE754Compatible") {
            range.ieee754_compatible = Some(value.eq_ignore_ascii_case("true"));
        }
        // odata=verbose, odata.streaming, charset and whatever else: nothing to choose here.
    }
    range
}

/// `q` in thousandths; an illegal one counts as 1.
fn quality(text: &str) -> u16 {
    match text.split_once('.') {
        None => match text {
            "0" => 0,
            _ => 1000,
        },
        Some(("0", digits)) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let value: u16 = digits.parse().unwrap_or(0);
            value * 10_u16.pow(3 - digits.len() as u32)
        }
        Some(_) => 1000,
    }
}

/// Splits at a separator outside quotes.
fn split_quoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let mut escaped = false;
        for (position, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if byte == separator && !quoted => {
                    rest = Some(&text[position + 1..]);
                    return Some(&text[..position]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// How well a range fits: JSON, XML, text; 0 not at all, 1 by `*/*`, 2 by `type/*`, 3 exactly.
fn fit(kind: &str, offer: &str) -> u8 {
    if kind.eq_ignore_ascii_case(offer)
        || (offer == "application/xml" && kind.eq_ignore_ascii_case("text/xml"))
    {
        3
    } else if kind == "*/*" || kind == "*" {
        1
    } else if let Some(family) = kind.strip_suffix("/*") {
        let same = offer
            .split_once('/')
            .is_some_and(|(own, _)| own.eq_ignore_ascii_case(family));
        if same { 2 } else { 0 }
    } else {
        0
    }
}

/// Chooses the representation: `$format` (decoded) before `Accept`.
///
/// # Errors
/// Nothing of what the client accepts can be given.
pub fn representation(
    headers: &HeaderMap,
    format: Option<&str>,
    resource: Resource,
    version: Version,
) -> Result<Representation, Error> {
    let offers: &[&str] = match resource {
        Resource::Data => &["application/json"],
        Resource::Metadata => &["application/xml", "application/json"],
        Resource::Text => &["text/plain"],
    };
    let choose = |offer: &str, range: Option<&Range<'_>>| match offer {
        "application/xml" => Representation::Xml(version),
        "text/plain" => Representation::Text(version),
        _ => Representation::Json(Format {
            version,
            metadata: range.and_then(|range| range.metadata).unwrap_or_default(),
            ieee754_compatible: range
                .and_then(|range| range.ieee754_compatible)
                .unwrap_or_default(),
        }),
    };
    if let Some(format) = format {
        let mut range = parse_range(format);
        range.kind = match range.kind {
            kind if kind.eq_ignore_ascii_case("json") => "application/json",
            kind if kind.eq_ignore_ascii_case("xml") => "application/xml",
            kind => kind,
        };
        // A raw value has but one form, whatever is asked for.
        if resource == Resource::Text {
            return Ok(Representation::Text(version));
        }
        return offers
            .iter()
            .find(|offer| fit(range.kind, offer) > 0)
            .map(|offer| choose(offer, Some(&range)))
            .ok_or_else(|| {
                Error::new(
                    Code::NotAcceptable,
                    format!("$format must be one of {}", offers.join(", ")),
                )
                .at("$format")
            });
    }
    let mut any = false;
    let mut best: Option<(u16, u8, usize, Representation)> = None;
    // The most specific range that fits an offer decides its quality (RFC 9110 §12.5.1).
    for (place, offer) in offers.iter().enumerate() {
        let mut fitting: Option<(u8, Range<'_>)> = None;
        for value in headers.get_all(ACCEPT) {
            let Ok(text) = value.to_str() else { continue };
            for part in split_quoted(text, b',').filter(|part| !part.trim().is_empty()) {
                any = true;
                let range = parse_range(part);
                let fits = fit(range.kind, offer);
                if fits == 0 {
                    continue;
                }
                let better = fitting.as_ref().is_none_or(|(level, chosen)| {
                    fits > *level || (fits == *level && range.quality > chosen.quality)
                });
                if better {
                    fitting = Some((fits, range));
                }
            }
        }
        if let Some((level, range)) = fitting
            && range.quality > 0
        {
            let better = best
                .as_ref()
                .is_none_or(|(quality, chosen, _, _)| (range.quality, level) > (*quality, *chosen));
            if better {
                best = Some((range.quality, level, place, choose(offer, Some(&range))));
            }
        }
    }
    match best {
        Some((_, _, _, representation)) => Ok(representation),
        // A client that accepts JSON of data gets raw values too: their form is not negotiable.
        None if !any || resource == Resource::Text => Ok(choose(offers[0], None)),
        None => Err(Error::new(
            Code::NotAcceptable,
            format!("Accept must allow one of {}", offers.join(", ")),
        )
        .at("Accept")),
    }
}

/// Whether a request's body may be read as JSON, and how its numbers stand.
///
/// # Errors
/// A media type other than JSON.
pub fn body_format(headers: &HeaderMap) -> Result<Format, Error> {
    let mut format = Format::default();
    let Some(value) = headers.get(http::header::CONTENT_TYPE) else {
        return Ok(format);
    };
    let text = value.to_str().unwrap_or_default();
    let range = parse_range(text);
    let json = range.kind.eq_ignore_ascii_case("application/json")
        || range.kind.eq_ignore_ascii_case("text/json")
        || range
            .kind
            .len()
            .checked_sub(5)
            .and_then(|start| range.kind.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case("+json"));
    if !json {
        return Err(Error::new(
            Code::UnsupportedMediaType,
            "the body must be JSON: send Content-Type: application/json",
        )
        .at("Content-Type"));
    }
    format.ieee754_compatible = range.ieee754_compatible.unwrap_or_default();
    Ok(format)
}

/// What the answer to a write holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// No body: 204.
    Minimal,
    /// The changed entity.
    Representation,
}

/// Preferences of a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Preferences {
    /// `return=…`
    pub answer: Option<Return>,
    /// `handling=strict`: nothing unknown is ignored.
    pub strict: bool,
    /// `maxpagesize` as asked for; the limit of rows of a page still applies.
    pub page_size: Option<u64>,
    page_size_prefixed: bool,
}

impl Preferences {
    /// Reads all `Prefer` headers. What is unknown or malformed is ignored (RFC 7240 §2); the first of
    /// two equal names counts.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut preferences = Self::default();
        let mut handling = None;
        for value in headers.get_all(&PREFER) {
            let Ok(text) = value.to_str() else { continue };
            for part in split_quoted(text, b',') {
                let preference = split_quoted(part, b';').next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                let prefixed = name
                    .get(..6)
                    .is_some_and(|start| start.eq_ignore_ascii_case("odata."));
                let short = if prefixed { &name[6..] } else { name };
                if short.eq_ignore_ascii_case("return") {
                    preferences.answer =
                        preferences
                            .answer
                            .or(if value.eq_ignore_ascii_case("minimal") {
                                Some(Return::Minimal)
                            } else if value.eq_ignore_ascii_case("representation") {
                                Some(Return::Representation)
                            } else {
                                None
                            });
                } else if short.eq_ignore_ascii_case("handling") {
                    handling = handling.or(Some(value.eq_ignore_ascii_case("strict")));
                } else if short.eq_ignore_ascii_case("maxpagesize")
                    && preferences.page_size.is_none()
                {
                    // Not a positive number: ignored.
                    preferences.page_size = value.parse().ok().filter(|size| *size > 0);
                    preferences.page_size_prefixed = prefixed;
                }
            }
        }
        preferences.strict = handling.unwrap_or_default();
        preferences
    }

    /// Value of `Preference-Applied` for a read; `page_size` is the size of page that was used because
    /// of the preference.
    #[must_use]
    pub fn applied_to_read(&self, page_size: Option<u64>) -> Option<String> {
        let mut applied = Vec::new();
        if self.strict {
            applied.push("handling=strict".to_owned());
        }
        if let (Some(_), Some(size)) = (self.page_size, page_size) {
            let prefix = if self.page_size_prefixed {
                "odata."
            } else {
                ""
            };
            applied.push(format!("{prefix}maxpagesize={size}"));
        }
        (!applied.is_empty()).then(|| applied.join(", "))
    }

    /// Value of `Preference-Applied` for a write.
    #[must_use]
    pub fn applied_to_write(&self) -> Option<&'static str> {
        match (self.answer, self.strict) {
            (Some(Return::Minimal), false) => Some("return=minimal"),
            (Some(Return::Minimal), true) => Some("return=minimal, handling=strict"),
            (Some(Return::Representation), false) => Some("return=representation"),
            (Some(Return::Representation), true) => Some("return=representation, handling=strict"),
            (None, true) => Some("handling=strict"),
            (None, false) => None,
        }
    }
}

/// `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `*`
    Any,
    /// Versions of the entity tags; a tag that we never gave is in no list and matches nothing.
    Versions(Vec<i64>),
}

impl Condition {
    /// Whether a row of this version fulfils it.
    #[must_use]
    pub fn matches(&self, version: Option<i64>) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => version.is_some_and(|version| versions.contains(&version)),
        }
    }

    /// What a write expects of the row.
    #[must_use]
    pub fn expected(&self) -> Expected {
        match self {
            Self::Any => Expected::Any,
            Self::Versions(versions) => Expected::OneOf(versions.clone()),
        }
    }
}

/// Preconditions of a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `If-Match`
    pub if_match: Option<Condition>,
    /// `If-None-Match`
    pub if_none_match: Option<Condition>,
}

impl Preconditions {
    /// Reads both headers.
    ///
    /// # Errors
    /// A value that is neither `*` nor a list of entity tags.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
        Ok(Self {
            if_match: condition(headers, &IF_MATCH, "If-Match")?,
            if_none_match: condition(headers, &IF_NONE_MATCH, "If-None-Match")?,
        })
    }

    /// What a change or delete of an existing row expects. `versioned`: the entity has a version.
    ///
    /// # Errors
    /// The entity has a version and the request does not say which one it means (428).
    pub fn expected(&self, versioned: bool) -> Result<Expected, Error> {
        match &self.if_match {
            Some(condition) if versioned => Ok(condition.expected()),
            // Without a version nothing but `*` can be fulfilled.
            Some(Condition::Versions(_)) => Ok(Expected::OneOf(Vec::new())),
            Some(Condition::Any) => Ok(Expected::Any),
            None if versioned => Err(Error::new(
                Code::PreconditionRequired,
                "send the ETag of the row in If-Match, or If-Match: * to overwrite whatever is there",
            )
            .at("If-Match")),
            None => Ok(Expected::Any),
        }
    }
}

fn condition(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<Condition>, Error> {
    let mut versions = Vec::new();
    let mut given = false;
    for value in headers.get_all(name) {
        given = true;
        let wrong = || {
            Error::new(
                Code::InvalidHeader,
                format!("{shown} must be * or a list of ETags like W/\"3\""),
            )
            .at(shown)
        };
        let text = value.to_str().map_err(|_| wrong())?;
        if text.trim() == "*" {
            return Ok(Some(Condition::Any));
        }
        for part in split_quoted(text, b',') {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            // Versions are compared weakly: there is no byte-wise equality to promise.
            let tag = part.strip_prefix("W/").unwrap_or(part);
            let inner = tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                .filter(|inner| !inner.contains('"'))
                .ok_or_else(wrong)?;
            if let Ok(version) = inner.parse() {
                versions.push(version);
            }
        }
    }
    Ok(given.then_some(Condition::Versions(versions)))
}

/// ETag of a version.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        map
    }

    #[test]
    fn the_version_is_4_0_unless_4_01_is_asked_for() {
        let check = |pairs: &[(&str, &str)]| {
            version(&headers(pairs)).map_or_else(|error| error.code.as_str(), Version::as_str)
        };
        assert_eq!(check(&[]), "4.0");
        assert_eq!(check(&[("OData-Version", "4.0")]), "4.0");
        assert_eq!(check(&[("OData-Version", "4.01")]), "4.01");
        assert_eq!(
            check(&[("OData-MaxVersion", "4.0"), ("OData-Version", "4.01")]),
            "4.0"
        );
        assert_eq!(
            check(&[("OData-MaxVersion", "4.01"), ("OData-Version", "4.0")]),
            "4.01"
        );
        assert_eq!(check(&[("OData-MaxVersion", "4.01")]), "4.01");
        assert_eq!(check(&[("OData-MaxVersion", "5.0")]), "4.01");
        assert_eq!(check(&[("OData-MaxVersion", "4.0;NetFx")]), "4.0");
        assert_eq!(check(&[("OData-MaxVersion", "3.0")]), "UnsupportedVersion");
        assert_eq!(check(&[("OData-Version", "5.0")]), "UnsupportedVersion");
        assert_eq!(check(&[("OData-Version", "four")]), "InvalidHeader");
        assert_eq!(check(&[("OData-MaxVersion", "")]), "InvalidHeader");
    }

    fn chosen(accept: &[&str], format: Option<&str>, resource: Resource) -> String {
        let pairs: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
        match representation(&headers(&pairs), format, resource, Version::V4_0) {
            Ok(Representation::Json(format)) => format.content_type().to_owned(),
            Ok(Representation::Xml(_)) => "application/xml".to_owned(),
            Ok(Representation::Text(_)) => "text/plain".to_owned(),
            Err(error) => error.code.to_string(),
        }
    }

    #[test]
    fn data_is_json_whatever_parameters_a_client_sends() {
        let minimal = "application/json;odata.metadata=minimal";
        for accept in [
            "*/*",
            "application/json",
            "APPLICATION/JSON",
            "application/json;odata=verbose",
            "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8",
            "application/json;odata.metadata=fancy",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/atom+xml, application/*;q=0.1",
            "multipart/mixed, application/json;q=0.2",
        ] {
            assert_eq!(chosen(&[accept], None, Resource::Data), minimal, "{accept}");
        }
        assert_eq!(chosen(&[], None, Resource::Data), minimal);
        assert_eq!(
            chosen(
                &["application/json;odata.metadata=none"],
                None,
                Resource::Data
            ),
            "application/json;odata.metadata=none"
        );
        assert_eq!(
            chosen(
                &[
                    "application/xml",
                    "application/json;metadata=full;IEEE754Compatible=true"
                ],
                None,
                Resource::Data
            ),
            "application/json;odata.metadata=full;IEEE754Compatible=true"
        );
        for accept in ["application/xml", "application/json;q=0", "text/plain"] {
            assert_eq!(
                chosen(&[accept], None, Resource::Data),
                "NotAcceptable",
                "{accept}"
            );
        }
    }

    #[test]
    fn the_format_option_goes_before_accept() {
        let accept = &["application/xml"];
        assert_eq!(
            chosen(accept, Some("json"), Resource::Data),
            "application/json;odata.metadata=minimal"
        );
        assert_eq!(
            chosen(
                accept,
                Some("application/json;odata.metadata=full"),
                Resource::Data
            ),
            "application/json;odata.metadata=full"
        );
        assert_eq!(
            chosen(&["application/json"], Some("xml"), Resource::Metadata),
            "application/xml"
        );
        assert_eq!(
            chosen(&["application/json"], Some("atom"), Resource::Data),
            "NotAcceptable"
        );
        assert_eq!(
            chosen(&["application/json"], Some("json"), Resource::Text),
            "text/plain"
        );
    }

    #[test]
    fn metadata_is_xml_unless_json_is_preferred() {
        let json = "application/json;odata.metadata=minimal";
        for (accept, expected) in [
            ("*/*", "application/xml"),
            ("application/*", "application/xml"),
            ("application/xml", "application/xml"),
            ("application/json", json),
            ("application/json, text/plain, */*", json),
            ("application/json;q=0.5, application/xml", "application/xml"),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "application/xml",
            ),
            ("text/html", "NotAcceptable"),
        ] {
            assert_eq!(
                chosen(&[accept], None, Resource::Metadata),
                expected,
                "{accept}"
            );
        }
        assert_eq!(chosen(&[], None, Resource::Metadata), "application/xml");
    }

    #[test]
    fn bodies_are_json() {
        let check = |kind| body_format(&headers(&[("content-type", kind)])).map_err(|e| e.code);
        assert!(check("application/json").is_ok());
        assert!(check("application/json;odata.metadata=minimal;charset=utf-8").is_ok());
        assert!(
            check("application/json;IEEE754Compatible=true")
                .unwrap()
                .ieee754_compatible
        );
        assert_eq!(check("application/xml"), Err(Code::UnsupportedMediaType));
        assert_eq!(check("é"), Err(Code::UnsupportedMediaType));
    }

    #[test]
    fn preferences_are_read_and_echoed() {
        let read = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| ("prefer", *value)).collect();
            Preferences::from_headers(&headers(&pairs))
        };
        let preferences = read(&["return=minimal, odata.maxpagesize=5", "handling=strict"]);
        assert_eq!(preferences.answer, Some(Return::Minimal));
        assert_eq!(preferences.page_size, Some(5));
        assert_eq!(
            preferences.applied_to_read(Some(5)).as_deref(),
            Some("handling=strict, odata.maxpagesize=5")
        );
        assert_eq!(
            preferences.applied_to_write(),
            Some("return=minimal, handling=strict")
        );
        let preferences = read(&["return=\"representation\"; foo, respond-async, maxpagesize=x"]);
        assert_eq!(preferences.answer, Some(Return::Representation));
        assert_eq!(preferences.page_size, None);
        assert_eq!(preferences.applied_to_read(Some(5)), None);
    }

    #[test]
    fn preconditions_take_lists_of_tags() {
        let read = |value| Preconditions::from_headers(&headers(&[("if-match", value)]));
        let versions = |value| read(value).unwrap().if_match.unwrap();
        assert_eq!(versions("*"), Condition::Any);
        assert_eq!(versions("W/\"1\", \"2\""), Condition::Versions(vec![1, 2]));
        assert_eq!(versions("\"a,b\""), Condition::Versions(vec![]));
        assert_eq!(read("1").unwrap_err().code, Code::InvalidHeader);
        assert_eq!(read("\"1\"x").unwrap_err().code, Code::InvalidHeader);
        let none = Preconditions::default();
        assert_eq!(
            none.expected(true).unwrap_err().code,
            Code::PreconditionRequired
        );
        assert_eq!(none.expected(false).unwrap(), Expected::Any);
        assert_eq!(
            read(&etag(7)).unwrap().expected(true).unwrap(),
            Expected::OneOf(vec![7])
        );
    }
}
