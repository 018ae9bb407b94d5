//! Values that attributes name: bounds and defaults.

use super::Resolver;
use crate::application::draft::{AttributeDraft, Literal};
use crate::application::literal;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::At;
use crate::model::{Attribute, Default, Purpose};
use crate::value::{ScalarType, Value};

impl Resolver<'_, '_> {
    pub(super) fn bound(&mut self, bound: &At<Literal>, scalar_type: ScalarType) -> Option<Value> {
        let has_bounds = scalar_type.is_numeric()
            || matches!(
                scalar_type,
                ScalarType::DateTime | ScalarType::Date | ScalarType::Time | ScalarType::Duration
            );
        // Where bounds do not apply that is reported already.
        if has_bounds {
            self.value(bound, scalar_type)
        } else {
            None
        }
    }

    fn value(&mut self, literal: &At<Literal>, scalar_type: ScalarType) -> Option<Value> {
        let is_text = matches!(
            scalar_type,
            ScalarType::String | ScalarType::Uuid | ScalarType::Enumeration(_)
        );
        if is_text && !literal.value.quoted {
            self.faults.push(
                Diagnostic::error(
                    Code::WrongType,
                    literal.span,
                    "the value of a text must be quoted",
                )
                .help(format!("write \"{}\"", literal.value.text)),
            );
            return None;
        }
        match literal::parse(&literal.value.text, scalar_type, &self.enumerations) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(
                    Diagnostic::error(Code::InvalidValue, literal.span, fault.message)
                        .help(fault.help),
                );
                None
            }
        }
    }

    pub(super) fn check_bounds(&mut self, draft: &AttributeDraft, attribute: &Attribute) {
        let (Some(minimum), Some(maximum)) = (&attribute.minimum, &attribute.maximum) else {
            return;
        };
        if minimum
            .order(maximum)
            .is_some_and(std::cmp::Ordering::is_gt)
        {
            self.faults.push(
                Diagnostic::error(
                    Code::Contradiction,
                    draft.minimum.as_ref().map(|minimum| minimum.span),
                    "the minimum is greater than the maximum",
                )
                .help("no value could ever be legal: exchange them")
                .related(
                    draft.maximum.as_ref().map(|maximum| maximum.span),
                    "the maximum",
                ),
            );
        }
    }

    pub(super) fn default(
        &mut self,
        default: &At<Literal>,
        attribute: &Attribute,
    ) -> Option<Default> {
        let is_instant = matches!(
            attribute.scalar_type,
            ScalarType::DateTime | ScalarType::Date | ScalarType::Time
        );
        if is_instant && default.value.quoted && default.value.text == "now" {
            return Some(Default::Now);
        }
        let without = attribute.purpose == Purpose::AutoNumber
            || matches!(attribute.scalar_type, ScalarType::Binary | ScalarType::File);
        if without {
            return None;
        }
        let value = self.value(default, attribute.scalar_type)?;
        if let Some((message, help)) = broken_rule(&value, attribute) {
            self.faults.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    default.span,
                    format!("the default {message}"),
                )
                .help(help),
            );
        }
        Some(Default::Value(value))
    }
}

/// Which of the attribute's rules a value breaks.
fn broken_rule(value: &Value, attribute: &Attribute) -> Option<(String, String)> {
    if let (Value::Text(text), ScalarType::String) = (value, attribute.scalar_type) {
        let characters = text.chars().count();
        if let Some(length) = attribute
            .length
            .filter(|length| characters > *length as usize)
        {
            return Some((
                "is too long".to_owned(),
                format!("it has {characters} characters, {length} are possible"),
            ));
        }
        if let Some(pattern) = attribute
            .pattern
            .as_ref()
            .filter(|pattern| !pattern.is_match(text))
        {
            return Some((
                "does not match the pattern".to_owned(),
                format!("the pattern is {}", pattern.as_str()),
            ));
        }
    }
    let below = |bound: &Value| value.order(bound).is_some_and(std::cmp::Ordering::is_lt);
    let above = |bound: &Value| value.order(bound).is_some_and(std::cmp::Ordering::is_gt);
    if attribute.minimum.as_ref().is_some_and(below) {
        return Some((
            "is less than the minimum".to_owned(),
            "change one of them".to_owned(),
        ));
    }
    if attribute.maximum.as_ref().is_some_and(above) {
        return Some((
            "is greater than the maximum".to_owned(),
            "change one of them".to_owned(),
        ));
    }
    None
}
