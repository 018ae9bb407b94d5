//! Values and their forms: JSON, literals in URLs and in rules.

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::random::Random;

/// Members of the one enumeration that models have, in order.
pub(crate) const SHADES: [&str; 3] = ["Red", "Green", "Blue"];
/// An instant between all past and all future ones that are generated.
pub(crate) const NOW: i64 = 1_900_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Long,
    Decimal,
    Boolean,
    Shade,
    Date,
    Instant,
    Uuid,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Text,
        Self::Integer,
        Self::Long,
        Self::Decimal,
        Self::Boolean,
        Self::Shade,
        Self::Date,
        Self::Instant,
        Self::Uuid,
    ];

    pub(crate) fn toml(self) -> &'static str {
        match self {
            Self::Text => "type = \"String\", length = 40",
            Self::Integer => "type = \"Integer\"",
            Self::Long => "type = \"Long\"",
            Self::Decimal => "type = \"Decimal\", precision = 9, scale = 2",
            Self::Boolean => "type = \"Boolean\"",
            Self::Shade => "type = \"Shade\"",
            Self::Date => "type = \"Date\"",
            Self::Instant => "type = \"DateTime\"",
            Self::Uuid => "type = \"Uuid\"",
        }
    }

    pub(crate) fn is_ordered(self) -> bool {
        !matches!(self, Self::Boolean | Self::Uuid)
    }

    /// One of few values, so that comparisons hit.
    pub(crate) fn random(self, random: &mut Random) -> Scalar {
        match self {
            Self::Text => {
                let pool = ["ash", "birch", "cedar", "Ash", "ashen", "ölbaum"];
                Scalar::Text(pool[random.below(pool.len())].to_owned())
            }
            Self::Integer | Self::Long => Scalar::Integer(random.below(6) as i64 - 1),
            Self::Decimal => {
                let pool = [0, 150, 225, 1000, -50];
                Scalar::Decimal(Decimal::new(pool[random.below(pool.len())], 2))
            }
            Self::Boolean => Scalar::Boolean(random.percent(50)),
            Self::Shade => Scalar::Shade(random.below(SHADES.len())),
            Self::Date => Scalar::Date(18_000 + random.below(4) as i32),
            Self::Instant => {
                let pool = [1_000_000_000, 1_500_000_000, 4_000_000_000, 4_000_000_060];
                Scalar::Instant(pool[random.below(pool.len())])
            }
            Self::Uuid => Scalar::Uuid(Uuid::from_u128(0x1000 + random.below(4) as u128)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scalar {
    Null,
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    Text(String),
    Shade(usize),
    /// Days since 1970-01-01.
    Date(i32),
    /// Seconds since 1970-01-01.
    Instant(i64),
    Uuid(Uuid),
}

impl Scalar {
    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Boolean(true)
    }

    pub(crate) fn json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Boolean(value) => json!(value),
            Self::Integer(value) => json!(value),
            Self::Decimal(value) => serde_json::from_str(&value.to_string()).unwrap(),
            Self::Text(value) => json!(value),
            Self::Shade(value) => json!(SHADES[*value]),
            Self::Date(days) => json!(date(*days)),
            Self::Instant(seconds) => json!(instant(*seconds)),
            Self::Uuid(value) => json!(value.to_string()),
        }
    }

    /// As a literal of OData.
    pub(crate) fn literal(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Decimal(value) => value.to_string(),
            Self::Text(value) => format!("'{}'", value.replace('\'', "''")),
            Self::Shade(value) => format!("'{}'", SHADES[*value]),
            Self::Date(days) => date(*days),
            Self::Instant(seconds) => instant(*seconds),
            Self::Uuid(value) => value.to_string(),
        }
    }

    /// As the default of an attribute.
    pub(crate) fn toml(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            other => format!("\"{}\"", other.literal().trim_matches('\'')),
        }
    }

    /// As the raw value of a property.
    pub(crate) fn raw(&self) -> String {
        match self {
            Self::Text(value) => value.clone(),
            Self::Shade(value) => SHADES[*value].to_owned(),
            other => other.literal(),
        }
    }

    /// Null first; of values of one kind.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(one), Self::Decimal(other)) => Decimal::from(*one).cmp(other),
            (Self::Decimal(one), Self::Integer(other)) => one.cmp(&Decimal::from(*other)),
            _ => self.cmp(other),
        }
    }
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn date(days: i32) -> String {
    let (year, month, day) = civil(i64::from(days));
    format!("{year:04}-{month:02}-{day:02}")
}

fn instant(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// JSON with every number in one form, so that `1.50` is `1.5`.
pub(crate) fn plain(value: &Json) -> Json {
    match value {
        Json::Number(number) => {
            let text = number.to_string();
            text.parse::<f64>()
                .map_or(value.clone(), |number| json!(number))
        }
        Json::Array(items) => Json::Array(items.iter().map(plain).collect()),
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[test]
fn dates_are_civil() {
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(19_782), "2024-02-29");
    assert_eq!(instant(1_000_000_000), "2001-09-09T01:46:40Z");
}
