//! Literals.

use super::super::error::Error;
use super::super::literal;
use super::{Literal, Parser};
use crate::value::text;

impl Parser<'_> {
    /// Reads a literal.
    ///
    /// # Errors
    /// What comes next is none.
    pub fn literal(&mut self) -> Result<Literal, Error> {
        if let Some(length) = literal::uuid_length(self.rest().as_bytes()) {
            let literal = literal::uuid(&self.rest()[..length]).map(Literal::Uuid);
            return self.take(length, literal, "Uuid");
        }
        match self.peek() {
            Some(b'\'') => Ok(Literal::Text(self.quoted()?)),
            Some(b'0'..=b'9' | b'+' | b'-') => self.number_or_time(),
            _ if self.starts_identifier() => {
                let start = self.position();
                let name = self.qualified_name()?;
                match self.word_literal(&name, start)? {
                    Some(literal) => Ok(literal),
                    None => {
                        self.seek(start);
                        Err(self.unexpected("a literal"))
                    }
                }
            }
            _ => Err(self.unexpected("a literal")),
        }
    }

    fn take(
        &mut self,
        length: usize,
        literal: Option<Literal>,
        what: &str,
    ) -> Result<Literal, Error> {
        let start = self.position();
        let literal = literal.ok_or_else(|| Error::syntax(start, format!("this is no {what}")))?;
        self.seek(start + length);
        if self.starts_identifier() {
            return Err(self.unexpected("the end of the literal"));
        }
        Ok(literal)
    }

    /// Numbers, dates and times: all start with a digit or a sign.
    fn number_or_time(&mut self) -> Result<Literal, Error> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        if rest.starts_with("-INF") {
            return self.take(
                4,
                Some(Literal::Unrepresentable("-INF".to_owned())),
                "number",
            );
        }
        if let Some(length) = date_length(bytes) {
            if !matches!(bytes.get(length), Some(b'T' | b't')) {
                return self.take(
                    length,
                    text::parse_date(&rest[..length]).map(Literal::Date),
                    "date",
                );
            }
            let time = bytes[length + 1..]
                .iter()
                .take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.'))
                .count();
            let mut end = length + 1 + time;
            end += match bytes.get(end) {
                Some(b'Z' | b'z') => 1,
                Some(b'+' | b'-') => 6,
                _ => 0,
            };
            let written = rest.get(..end);
            return self.take(
                end,
                written
                    .and_then(text::parse_date_time)
                    .map(Literal::DateTime),
                "date and time with offset",
            );
        }
        if bytes.len() >= 5
            && bytes[0].is_ascii_digit()
            && bytes[1].is_ascii_digit()
            && bytes[2] == b':'
        {
            let length = bytes
                .iter()
                .take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.'))
                .count();
            return self.take(
                length,
                text::parse_time(&rest[..length]).map(Literal::Time),
                "time of day",
            );
        }
        let (length, literal) = number(rest).ok_or_else(|| self.unexpected("a number"))?;
        // Suffixes of OData 2, which some clients still write.
        let suffix = match bytes.get(length) {
            Some(b'm' | b'M' | b'l' | b'L' | b'f' | b'F' | b'd' | b'D') => 1,
            _ => 0,
        };
        self.take(length + suffix, Some(literal), "number")
    }

    /// A literal that starts with a word; nothing if the word starts none.
    pub(super) fn word_literal(
        &mut self,
        name: &str,
        start: usize,
    ) -> Result<Option<Literal>, Error> {
        if self.peek() == Some(b'\'') {
            return self.prefixed(name, start).map(Some);
        }
        if matches!(self.peek(), Some(b'/' | b'(')) {
            return Ok(None);
        }
        Ok(match name {
            "INF" | "NaN" => Some(Literal::Unrepresentable(name.to_owned())),
            _ if name.eq_ignore_ascii_case("null") => Some(Literal::Null),
            _ if name.eq_ignore_ascii_case("true") => Some(Literal::Boolean(true)),
            _ if name.eq_ignore_ascii_case("false") => Some(Literal::Boolean(false)),
            _ => None,
        })
    }

    /// `prefix'…'`
    fn prefixed(&mut self, prefix: &str, start: usize) -> Result<Literal, Error> {
        let quoted = self.quoted()?;
        let lower = prefix.to_ascii_lowercase();
        let (literal, what) = match lower.as_str() {
            "date" => (text::parse_date(&quoted).map(Literal::Date), "date"),
            "datetime" => {
                // OData 2 wrote no offset; UTC is what its services meant.
                let value = text::parse_date_time(&quoted)
                    .or_else(|| text::parse_date_time(&format!("{quoted}Z")));
                (value.map(Literal::DateTime), "date and time")
            }
            "datetimeoffset" => (
                text::parse_date_time(&quoted).map(Literal::DateTime),
                "date and time with offset",
            ),
            "time" | "timeofday" => {
                let time = text::parse_time(&quoted).map(Literal::Time);
                (
                    time.or_else(|| text::parse_duration(&quoted).map(Literal::Duration)),
                    "time of day",
                )
            }
            "duration" => (
                text::parse_duration(&quoted).map(Literal::Duration),
                "duration",
            ),
            "binary" => (
                literal::binary(&quoted).map(Literal::Binary),
                "base64url text",
            ),
            "guid" => (literal::uuid(&quoted).map(Literal::Uuid), "Uuid"),
            "geography" | "geometry" => (Some(Literal::Geo(format!("{lower}'{quoted}'"))), ""),
            _ => {
                let members_fit =
                    !quoted.is_empty() && quoted.split(',').all(is_enumeration_member);
                let literal = Literal::Enumeration {
                    type_name: prefix.to_owned(),
                    members: quoted.clone(),
                };
                (members_fit.then_some(literal), "member of an enumeration")
            }
        };
        literal.ok_or_else(|| Error::syntax(start, format!("'{quoted}' is no {what}")))
    }

    /// `'…'` with doubled quotes.
    fn quoted(&mut self) -> Result<String, Error> {
        let start = self.position();
        self.expect("'", "a single quote")?;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let Some(end) = rest.find('\'') else {
                return Err(
                    Error::syntax(start, "the text that starts here has no closing quote")
                        .expecting("'"),
                );
            };
            text.push_str(&rest[..end]);
            self.seek(self.position() + end + 1);
            if !self.eat("'") {
                break;
            }
            text.push('\'');
        }
        if let Some(nul) = text.find('\0') {
            return Err(Error::syntax(
                start + 1 + nul,
                "text cannot hold the character U+0000",
            ));
        }
        Ok(text)
    }
}

/// Length of the date at the start of `bytes`, by its punctuation.
fn date_length(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let digits = bytes[sign..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let rest = &bytes[sign + digits..];
    let fits = digits >= 4
        && rest.len() >= 6
        && rest[0] == b'-'
        && rest[1].is_ascii_digit()
        && rest[2].is_ascii_digit()
        && rest[3] == b'-'
        && rest[4].is_ascii_digit()
        && rest[5].is_ascii_digit();
    fits.then_some(sign + digits + 6)
}

/// Length and value of the number at the start of `text`.
fn number(text: &str) -> Option<(usize, Literal)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes.get(from..).map_or(0, |rest| {
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        })
    };
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    if whole == 0 {
        return None;
    }
    let mut end = sign + whole;
    let mut is_whole = true;
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
        is_whole = false;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
            is_whole = false;
        }
    }
    let written = &text[..end];
    if is_whole && let Ok(value) = written.parse::<i64>() {
        return Some((end, Literal::Integer(value)));
    }
    let literal = literal::decimal(written).map_or_else(
        || Literal::Unrepresentable(written.to_owned()),
        Literal::Decimal,
    );
    Some((end, literal))
}

/// A name or a number.
fn is_enumeration_member(text: &str) -> bool {
    let is_name = text
        .chars()
        .all(|character| character.is_alphanumeric() || character == '_')
        && text
            .chars()
            .next()
            .is_some_and(|first| first.is_alphabetic() || first == '_');
    is_name || text.parse::<i64>().is_ok()
}
