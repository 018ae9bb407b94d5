//! Headers: versions, media types, preferences, preconditions.
//!
//! What a client asks for beyond what we know is ignored where the protocol allows it: real clients
//! send parameters of other servers.

mod media;
mod precondition;
mod prefer;

use http::header::{HeaderMap, HeaderName};

use crate::error::{Code, Error};

pub use media::{body_format, representation};
pub use precondition::{Condition, Preconditions, etag, is_known};
pub use prefer::{Preferences, Return};

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

#[cfg(test)]
mod tests;
