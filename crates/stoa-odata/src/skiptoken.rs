//! `$skiptoken`: where a page ended. Opaque to clients.
//!
//! base64url of: version (one byte), fingerprint of the request (eight bytes), then for each term of the
//! order a tag and its value. A token is no secret and no proof: whoever changes it can only ask for
//! other rows of the same request, which they could by `$filter` as well.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_decimal::Decimal;
use stoa_model::value::{ScalarType, Value};
use uuid::Uuid;

use crate::url::{Error, ErrorKind, OptionName, Place};

const VERSION: u8 = 1;

/// Microseconds.
const DAY: i64 = 86_400_000_000;
/// 0000-01-01 to 9999-12-31 as days since 1970-01-01.
const YEARS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Makes a token.
#[must_use]
pub fn encode(fingerprint: u64, values: &[Value]) -> String {
    let mut bytes = Vec::with_capacity(16 + values.len() * 20);
    bytes.push(VERSION);
    bytes.extend_from_slice(&fingerprint.to_be_bytes());
    for value in values {
        write(&mut bytes, value);
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn write(bytes: &mut Vec<u8>, value: &Value) {
    let number = |bytes: &mut Vec<u8>, tag: u8, number: i64| {
        bytes.push(tag);
        bytes.extend_from_slice(&number.to_be_bytes());
    };
    let text = |bytes: &mut Vec<u8>, tag: u8, text: &[u8]| {
        bytes.push(tag);
        // Longer values do not occur: an answer is bounded.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(text);
    };
    match value {
        Value::Null => bytes.push(0),
        Value::Boolean(value) => bytes.extend_from_slice(&[1, u8::from(*value)]),
        Value::Integer(value) => number(bytes, 2, *value),
        Value::Decimal(value) => {
            bytes.push(3);
            bytes.extend_from_slice(&value.serialize());
        }
        Value::Text(value) => text(bytes, 4, value.as_bytes()),
        Value::DateTime(value) => number(bytes, 5, *value),
        Value::Date(value) => number(bytes, 6, i64::from(*value)),
        Value::Time(value) => number(bytes, 7, *value),
        Value::Duration(value) => number(bytes, 8, *value),
        Value::Uuid(value) => {
            bytes.push(9);
            bytes.extend_from_slice(value.as_bytes());
        }
        Value::Binary(value) => text(bytes, 10, value),
        Value::Json(value) => text(bytes, 11, value.as_bytes()),
    }
}

/// Reads a token that must belong to a request with this fingerprint and these types of order terms.
///
/// # Errors
/// The token is damaged, of another version, or of another request.
pub fn decode(
    token: &str,
    fingerprint: u64,
    types: &[Option<ScalarType>],
) -> Result<Vec<Value>, Error> {
    let fault = |message: &str| {
        Error::new(
            ErrorKind::Token,
            Place::Option(OptionName::SkipToken),
            None,
            message,
        )
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| fault("this is no token of this service"))?;
    let mut reader = Reader { rest: &bytes };
    if reader.take(1) != Some(&[VERSION]) {
        return Err(fault(
            "the token is of another version of this service: start again without it",
        ));
    }
    if reader.array::<8>().map(u64::from_be_bytes) != Some(fingerprint) {
        return Err(fault(
            "the token belongs to a request with another $filter or $orderby: start again without it",
        ));
    }
    let mut values = Vec::with_capacity(types.len());
    for scalar_type in types {
        let value = reader.value().filter(|value| fits(value, *scalar_type));
        values.push(value.ok_or_else(|| fault("the token is damaged: start again without it"))?);
    }
    if !reader.rest.is_empty() {
        return Err(fault("the token is damaged: start again without it"));
    }
    Ok(values)
}

fn fits(value: &Value, scalar_type: Option<ScalarType>) -> bool {
    let Some(scalar_type) = scalar_type else {
        return false;
    };
    match value {
        Value::Null => true,
        Value::Boolean(_) => scalar_type == ScalarType::Boolean,
        Value::Integer(number) => {
            scalar_type == ScalarType::Long
                || (scalar_type == ScalarType::Integer && i32::try_from(*number).is_ok())
        }
        Value::Decimal(_) => matches!(scalar_type, ScalarType::Decimal { .. }),
        Value::Text(text) => {
            matches!(scalar_type, ScalarType::String | ScalarType::Enumeration(_))
                && !text.contains('\0')
        }
        // Within the years 0000 to 9999, which every database can hold.
        Value::DateTime(value) => {
            let days = value.div_euclid(DAY);
            scalar_type == ScalarType::DateTime && YEARS.contains(&days)
        }
        Value::Date(value) => scalar_type == ScalarType::Date && YEARS.contains(&i64::from(*value)),
        Value::Time(value) => scalar_type == ScalarType::Time && (0..DAY).contains(value),
        Value::Duration(_) => scalar_type == ScalarType::Duration,
        Value::Uuid(_) => scalar_type == ScalarType::Uuid,
        Value::Binary(_) => scalar_type == ScalarType::Binary,
        Value::Json(_) => false,
    }
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    fn number(&mut self) -> Option<i64> {
        self.array::<8>().map(i64::from_be_bytes)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.array::<4>().map(u32::from_be_bytes)?;
        self.take(usize::try_from(length).ok()?)
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.take(1)?.first()? {
            0 => Value::Null,
            1 => Value::Boolean(match self.take(1)?.first()? {
                0 => false,
                1 => true,
                _ => return None,
            }),
            2 => Value::Integer(self.number()?),
            3 => {
                let bytes = self.array::<16>()?;
                let value = Decimal::deserialize(bytes);
                // Anything else is no decimal that we wrote.
                if value.scale() > 28 || value.serialize() != bytes {
                    return None;
                }
                Value::Decimal(value)
            }
            4 => Value::Text(String::from_utf8(self.bytes()?.to_vec()).ok()?),
            5 => Value::DateTime(self.number()?),
            6 => Value::Date(i32::try_from(self.number()?).ok()?),
            7 => Value::Time(self.number()?),
            8 => Value::Duration(self.number()?),
            9 => Value::Uuid(Uuid::from_bytes(self.array()?)),
            10 => Value::Binary(self.bytes()?.to_vec()),
            11 => Value::Json(String::from_utf8(self.bytes()?.to_vec()).ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> Vec<(Value, ScalarType)> {
        let decimal = ScalarType::Decimal {
            precision: 12,
            scale: 2,
        };
        vec![
            (Value::Null, ScalarType::String),
            (Value::Boolean(true), ScalarType::Boolean),
            (Value::Integer(-5), ScalarType::Integer),
            (Value::Integer(i64::MAX), ScalarType::Long),
            (Value::Decimal("-12.50".parse().unwrap()), decimal),
            (Value::Text("é'%\u{10ffff}".to_owned()), ScalarType::String),
            (Value::DateTime(1_700_000_000_000_000), ScalarType::DateTime),
            (Value::Date(-1), ScalarType::Date),
            (Value::Time(1), ScalarType::Time),
            (Value::Duration(-1), ScalarType::Duration),
            (Value::Uuid(Uuid::from_u128(7)), ScalarType::Uuid),
            (Value::Binary(vec![0, 255]), ScalarType::Binary),
        ]
    }

    #[test]
    fn every_type_comes_back() {
        let (values, types): (Vec<_>, Vec<_>) = samples().into_iter().unzip();
        let types: Vec<_> = types.into_iter().map(Some).collect();
        let token = encode(9, &values);
        assert_eq!(decode(&token, 9, &types), Ok(values));
        assert!(decode(&token, 8, &types).is_err());
        assert!(decode(&token, 9, &types[1..]).is_err());
        assert!(decode(&token[..token.len() - 2], 9, &types).is_err());
    }

    #[test]
    fn values_of_other_types_are_refused() {
        for (value, of) in samples().into_iter().skip(1) {
            for (_, other) in samples() {
                let is_wider = of == ScalarType::Integer && other == ScalarType::Long;
                let token = encode(9, std::slice::from_ref(&value));
                assert_eq!(
                    decode(&token, 9, &[Some(other)]).is_ok(),
                    of == other || is_wider,
                    "{value:?} as {other:?}"
                );
            }
        }
        for (value, of) in [
            (Value::Integer(1 << 40), ScalarType::Integer),
            (Value::DateTime(i64::MAX), ScalarType::DateTime),
            (Value::Date(i32::MIN), ScalarType::Date),
            (Value::Time(-1), ScalarType::Time),
            (Value::Text("\0".to_owned()), ScalarType::String),
        ] {
            assert!(decode(&encode(9, &[value]), 9, &[Some(of)]).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if bytes.len() > 9 {
                bytes[1..9].fill(0);
            }
            let token = URL_SAFE_NO_PAD.encode(bytes);
            for (_, scalar_type) in samples() {
                let _ = decode(&token, 0, &[Some(scalar_type), None]);
                let _ = decode(&token, 0, &[Some(scalar_type), Some(scalar_type)]);
            }
        }
    }
}
