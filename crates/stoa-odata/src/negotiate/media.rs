//! Media types: `Accept`, `$format`, `Content-Type`.

use http::header::{ACCEPT, HeaderMap};

use super::{Format, MetadataLevel, Representation, Resource, Version};
use crate::error::{Code, Error};

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
pub(super) fn split_quoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
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
