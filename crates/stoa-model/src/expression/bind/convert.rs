//! Literals as values of a type.

use rust_decimal::Decimal;

use super::super::Expression;
use super::super::error::{Error, ErrorKind, nearest};
use super::super::syntax::Literal;
use super::Binder;
use crate::model::{EnumerationId, Model};
use crate::value::{MAXIMUM_PRECISION, ScalarType, Value, text};

impl Binder<'_> {
    /// A literal on its own, with the type that its form says.
    pub(super) fn natural(
        &self,
        literal: &Literal,
        position: usize,
    ) -> Result<(Expression, ScalarType), Error> {
        let (value, scalar_type) = match literal {
            Literal::Null => (Value::Null, ScalarType::String),
            Literal::Boolean(value) => (Value::Boolean(*value), ScalarType::Boolean),
            Literal::Integer(value) => (Value::Integer(*value), whole_type(*value)),
            Literal::Decimal(value) => (Value::Decimal(*value), decimal_type(*value, position)?),
            Literal::Unrepresentable(written) => return Err(unrepresentable(written, position)),
            Literal::Text(text) => (Value::Text(text.clone()), ScalarType::String),
            Literal::Uuid(value) => (Value::Uuid(*value), ScalarType::Uuid),
            Literal::Date(value) => (Value::Date(*value), ScalarType::Date),
            Literal::DateTime(value) => (Value::DateTime(*value), ScalarType::DateTime),
            Literal::Time(value) => (Value::Time(*value), ScalarType::Time),
            Literal::Duration(value) => (Value::Duration(*value), ScalarType::Duration),
            Literal::Binary(value) => (Value::Binary(value.clone()), ScalarType::Binary),
            Literal::Enumeration { type_name, members } => {
                let id = enumeration(self.model, type_name, position)?;
                (
                    member(self.model, id, members, position)?,
                    ScalarType::Enumeration(id),
                )
            }
            Literal::Geo(_) => {
                return Err(Error::unsupported(
                    position,
                    "geographic values are not supported",
                ));
            }
        };
        Ok((Expression::Literal { value, scalar_type }, scalar_type))
    }

    /// A literal that is compared with something of type `other`: of that type, or of a wider one.
    pub(super) fn comparable(
        &self,
        literal: &Literal,
        other: ScalarType,
        position: usize,
    ) -> Result<Expression, Error> {
        let (value, scalar_type) = match (literal, other) {
            (Literal::Integer(value), ScalarType::Integer) => {
                (Value::Integer(*value), whole_type(*value))
            }
            (Literal::Decimal(value), ScalarType::Integer | ScalarType::Long) => {
                let normal = value.normalize();
                match i64::try_from(normal.mantissa())
                    .ok()
                    .filter(|_| normal.scale() == 0)
                {
                    Some(whole) if other == ScalarType::Long => {
                        (Value::Integer(whole), ScalarType::Long)
                    }
                    Some(whole) => (Value::Integer(whole), whole_type(whole)),
                    None => (Value::Decimal(normal), decimal_type(normal, position)?),
                }
            }
            (Literal::Integer(value), ScalarType::Decimal { .. }) => {
                let value = Decimal::from(*value);
                (
                    Value::Decimal(value),
                    decimal_type_for(value, other, position)?,
                )
            }
            (Literal::Decimal(value), ScalarType::Decimal { .. }) => {
                let value = value.normalize();
                (
                    Value::Decimal(value),
                    decimal_type_for(value, other, position)?,
                )
            }
            _ => (value_of(self.model, literal, other, position)?, other),
        };
        Ok(Expression::Literal { value, scalar_type })
    }
}

/// The value of a literal in a key predicate for an attribute of type `scalar_type`.
///
/// # Errors
/// The literal is of another type, null, or out of the type's range.
pub fn key_value(
    model: &Model,
    literal: &Literal,
    scalar_type: ScalarType,
    position: usize,
) -> Result<Value, Error> {
    let value = value_of(model, literal, scalar_type, position)?;
    match (&value, scalar_type) {
        (Value::Null, _) => Err(Error::new(ErrorKind::Type, position, "a key is never null")),
        (Value::Integer(number), ScalarType::Integer) if i32::try_from(*number).is_err() => {
            Err(Error::new(
                ErrorKind::Range,
                position,
                format!("{number} is out of the range of Integer"),
            ))
        }
        _ => Ok(value),
    }
}

/// A literal as a value of exactly this type, except that whole numbers may be beyond 32 bits.
fn value_of(
    model: &Model,
    literal: &Literal,
    scalar_type: ScalarType,
    position: usize,
) -> Result<Value, Error> {
    use ScalarType as T;
    let value = match (literal, scalar_type) {
        (Literal::Null, _) => Value::Null,
        (Literal::Unrepresentable(written), _) if scalar_type.is_numeric() => {
            return Err(unrepresentable(written, position));
        }
        (Literal::Boolean(value), T::Boolean) => Value::Boolean(*value),
        (Literal::Integer(value), T::Integer | T::Long) => Value::Integer(*value),
        (Literal::Integer(value), T::Decimal { .. }) => Value::Decimal(Decimal::from(*value)),
        (Literal::Decimal(value), T::Decimal { .. }) => Value::Decimal(*value),
        (Literal::Text(text), T::String) => Value::Text(text.clone()),
        (Literal::Text(written), T::Enumeration(id)) => member(model, id, written, position)?,
        (Literal::Enumeration { type_name, members }, T::Enumeration(id)) => {
            let named = enumeration(model, type_name, position)?;
            if named != id {
                return Err(mismatch(model, literal, scalar_type, position));
            }
            member(model, id, members, position)?
        }
        (Literal::Uuid(value), T::Uuid) => Value::Uuid(*value),
        (Literal::Date(value), T::Date) => Value::Date(*value),
        (Literal::DateTime(value), T::DateTime) => Value::DateTime(*value),
        (Literal::Date(value), T::DateTime) => Value::DateTime(i64::from(*value) * 86_400_000_000),
        (Literal::Time(value), T::Time) => Value::Time(*value),
        (Literal::Duration(value), T::Duration) => Value::Duration(*value),
        (Literal::Text(written), T::Duration) => match text::parse_duration(written) {
            Some(value) => Value::Duration(value),
            None => return Err(mismatch(model, literal, scalar_type, position)),
        },
        (Literal::Binary(value), T::Binary) => Value::Binary(value.clone()),
        _ => return Err(mismatch(model, literal, scalar_type, position)),
    };
    Ok(value)
}

fn unrepresentable(written: &str, position: usize) -> Error {
    let written: String = written.chars().take(60).collect();
    Error::new(
        ErrorKind::Range,
        position,
        format!("no attribute can hold the number {written}"),
    )
    .expecting("a number with at most 18 digits")
}

fn whole_type(value: i64) -> ScalarType {
    if i32::try_from(value).is_ok() {
        ScalarType::Integer
    } else {
        ScalarType::Long
    }
}

/// The narrowest decimal type that holds the value.
fn decimal_type(value: Decimal, position: usize) -> Result<ScalarType, Error> {
    let normal = value.normalize();
    let digits = normal
        .mantissa()
        .unsigned_abs()
        .checked_ilog10()
        .map_or(1, |log| log + 1);
    let scale = u8::try_from(normal.scale()).unwrap_or(u8::MAX);
    let precision = u8::try_from(digits).unwrap_or(u8::MAX).max(scale);
    if precision > MAXIMUM_PRECISION {
        return Err(unrepresentable(&value.to_string(), position));
    }
    Ok(ScalarType::Decimal { precision, scale })
}

/// The other side's type if it holds the value, so that requests that differ in such a number only have
/// one shape; else the narrowest.
fn decimal_type_for(
    value: Decimal,
    other: ScalarType,
    position: usize,
) -> Result<ScalarType, Error> {
    let narrowest = decimal_type(value, position)?;
    let whole_digits = |scalar_type| match scalar_type {
        ScalarType::Decimal { precision, scale } => (precision.saturating_sub(scale), scale),
        _ => (0, 0),
    };
    let ((whole, fraction), (other_whole, other_fraction)) =
        (whole_digits(narrowest), whole_digits(other));
    let fits = whole <= other_whole && fraction <= other_fraction;
    Ok(if fits { other } else { narrowest })
}

fn mismatch(model: &Model, literal: &Literal, scalar_type: ScalarType, position: usize) -> Error {
    use ScalarType as T;
    let wanted = match scalar_type {
        T::Enumeration(id) => model[id].name.as_str(),
        T::Decimal { .. } => "Decimal",
        T::String => "String",
        T::Integer => "Integer",
        T::Long => "Long",
        T::Boolean => "Boolean",
        T::DateTime => "DateTime",
        T::Date => "Date",
        T::Time => "Time",
        T::Duration => "Duration",
        T::Uuid => "Uuid",
        T::Binary => "Binary",
        T::File => "File",
        T::Json => "Json",
    };
    let error = Error::new(
        ErrorKind::Type,
        position,
        format!("{literal} is no {wanted}"),
    );
    match scalar_type {
        T::String => error.expecting("text in single quotes"),
        T::Integer | T::Long | T::Decimal { .. } => error.expecting("a number without quotes"),
        T::DateTime => error.expecting("an instant without quotes, such as 2024-02-29T12:30:00Z"),
        T::Date => error.expecting("a date without quotes, such as 2024-02-29"),
        T::Time => error.expecting("a time of day without quotes, such as 12:30:00"),
        T::Duration => error.expecting("a duration such as duration'PT1H30M'"),
        T::Uuid => error.expecting("a Uuid without quotes"),
        T::Binary => error.expecting("binary'…' in base64url"),
        T::Boolean => error.expecting("true or false"),
        T::Enumeration(_) => error.expecting("the name of a member in single quotes"),
        T::File | T::Json => error.expecting("null: nothing else can be compared with it"),
    }
}

/// The enumeration that a literal's prefix names, with or without the namespace.
fn enumeration(model: &Model, type_name: &str, position: usize) -> Result<EnumerationId, Error> {
    let name = type_name
        .strip_prefix(model.name.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(type_name);
    let found = model
        .enumerations
        .iter()
        .position(|enumeration| enumeration.name == name);
    match found.and_then(|index| u32::try_from(index).ok()) {
        Some(index) => Ok(EnumerationId(index)),
        None => {
            let known = nearest(
                name,
                model
                    .enumerations
                    .iter()
                    .map(|enumeration| enumeration.name.as_str()),
            );
            Err(Error::new(
                ErrorKind::UnknownName,
                position,
                format!("there is no enumeration '{type_name}'"),
            )
            .suggesting(known))
        }
    }
}

/// A member by name, or by its number.
fn member(
    model: &Model,
    id: EnumerationId,
    written: &str,
    position: usize,
) -> Result<Value, Error> {
    let members = &model[id].members;
    let found = members
        .iter()
        .find(|member| member.name == written)
        .or_else(|| {
            written
                .parse::<usize>()
                .ok()
                .and_then(|number| members.get(number))
        });
    found
        .map(|member| Value::Text(member.name.clone()))
        .ok_or_else(|| {
            let known = nearest(written, members.iter().map(|member| member.name.as_str()));
            Error::new(
                ErrorKind::Type,
                position,
                format!("'{written}' is no member of {}", model[id].name),
            )
            .suggesting(known)
        })
}
