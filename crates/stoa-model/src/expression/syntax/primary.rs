//! Literals, paths, functions: what operators apply to.

use super::super::error::{Error, ErrorKind, nearest};
use super::super::literal;
use super::super::{Function, Quantifier};
use super::{Arguments, BuiltIn, Kind, Literal, Node, Parser, Path, Segment, SegmentKind, Start};
use crate::value::text;

/// Longest identifier, characters (OData ABNF).
const MAXIMUM_IDENTIFIER: usize = 128;

/// Built-in functions with the least and greatest number of arguments.
const BUILT_INS: [(&str, BuiltIn, usize, usize); 33] = [
    ("concat", BuiltIn::Supported(Function::Concat), 2, 2),
    ("contains", BuiltIn::Supported(Function::Contains), 2, 2),
    ("endswith", BuiltIn::Supported(Function::EndsWith), 2, 2),
    ("indexof", BuiltIn::Supported(Function::IndexOf), 2, 2),
    ("length", BuiltIn::Supported(Function::Length), 1, 1),
    ("startswith", BuiltIn::Supported(Function::StartsWith), 2, 2),
    ("substring", BuiltIn::Supported(Function::Substring), 2, 3),
    (
        "matchespattern",
        BuiltIn::Supported(Function::MatchesPattern),
        2,
        2,
    ),
    ("tolower", BuiltIn::Supported(Function::ToLower), 1, 1),
    ("toupper", BuiltIn::Supported(Function::ToUpper), 1, 1),
    ("trim", BuiltIn::Supported(Function::Trim), 1, 1),
    ("year", BuiltIn::Supported(Function::Year), 1, 1),
    ("month", BuiltIn::Supported(Function::Month), 1, 1),
    ("day", BuiltIn::Supported(Function::Day), 1, 1),
    ("hour", BuiltIn::Supported(Function::Hour), 1, 1),
    ("minute", BuiltIn::Supported(Function::Minute), 1, 1),
    ("second", BuiltIn::Supported(Function::Second), 1, 1),
    (
        "fractionalseconds",
        BuiltIn::Supported(Function::FractionalSeconds),
        1,
        1,
    ),
    ("date", BuiltIn::Supported(Function::Date), 1, 1),
    ("time", BuiltIn::Supported(Function::Time), 1, 1),
    ("now", BuiltIn::Supported(Function::Now), 0, 0),
    (
        "mindatetime",
        BuiltIn::Supported(Function::MinDateTime),
        0,
        0,
    ),
    (
        "maxdatetime",
        BuiltIn::Supported(Function::MaxDateTime),
        0,
        0,
    ),
    (
        "totalseconds",
        BuiltIn::Supported(Function::TotalSeconds),
        1,
        1,
    ),
    (
        "totaloffsetminutes",
        BuiltIn::Supported(Function::TotalOffsetMinutes),
        1,
        1,
    ),
    ("round", BuiltIn::Supported(Function::Round), 1, 1),
    ("floor", BuiltIn::Supported(Function::Floor), 1, 1),
    ("ceiling", BuiltIn::Supported(Function::Ceiling), 1, 1),
    ("hassubset", BuiltIn::HasSubset, 2, 2),
    ("hassubsequence", BuiltIn::HasSubsequence, 2, 2),
    ("geo.distance", BuiltIn::GeoDistance, 2, 2),
    ("geo.intersects", BuiltIn::GeoIntersects, 2, 2),
    ("geo.length", BuiltIn::GeoLength, 1, 1),
];

/// Names of all built-in functions.
pub(in super::super) fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_INS.iter().map(|(name, ..)| *name)
}

impl BuiltIn {
    /// Name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        BUILT_INS
            .iter()
            .find(|(_, built_in, ..)| *built_in == self)
            .map_or("", |(name, ..)| name)
    }
}

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Result<Node, Error> {
        let start = self.position();
        match self.peek() {
            Some(b'(') => {
                self.eat("(");
                self.blanks();
                let inner = self.expression()?;
                self.blanks();
                self.expect(")", "an operator or ')'")?;
                Ok(inner)
            }
            Some(b'[') => self.array(),
            Some(b'{') => self.object(),
            Some(b'\'' | b'0'..=b'9' | b'+' | b'-') => {
                let literal = self.literal()?;
                self.literal_node(start, literal)
            }
            Some(b'"') => {
                Err(Error::syntax(start, "text stands in single quotes").expecting("'…'"))
            }
            Some(b'$') => self.variable_path(),
            Some(b'@') => self.at_sign_path(),
            Some(_) if self.starts_identifier() => self.word(),
            _ => Err(self.unexpected("a property, a literal or a function")),
        }
    }

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
    fn word_literal(&mut self, name: &str, start: usize) -> Result<Option<Literal>, Error> {
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

    /// Something that starts with a letter.
    fn word(&mut self) -> Result<Node, Error> {
        let start = self.position();
        if literal::uuid_length(self.rest().as_bytes()).is_some() {
            let literal = self.literal()?;
            return self.literal_node(start, literal);
        }
        let name = self.qualified_name()?;
        if let Some(literal) = self.word_literal(&name, start)? {
            return self.literal_node(start, literal);
        }
        if self.peek() == Some(b'(') {
            let lower = name.to_ascii_lowercase();
            if let Some((_, built_in, least, most)) =
                BUILT_INS.iter().find(|(known, ..)| *known == lower)
            {
                return self.call(start, *built_in, *least, *most);
            }
            match lower.as_str() {
                "isof" | "cast" => return self.type_function(start, lower == "isof"),
                "case" => return self.case(start),
                "any" | "all" => {
                    return Err(Error::syntax(
                        self.position(),
                        format!("'{name}' needs a collection before it"),
                    )
                    .expecting("a path such as Items/any(…)"));
                }
                _ => {}
            }
        }
        let (arguments, depth) = self.optional_arguments(&name)?;
        let first = Segment {
            position: start,
            kind: SegmentKind::Name { name, arguments },
        };
        self.path(start, Start::Implicit, vec![first], depth)
    }

    fn call(
        &mut self,
        start: usize,
        function: BuiltIn,
        least: usize,
        most: usize,
    ) -> Result<Node, Error> {
        self.eat("(");
        self.blanks();
        let mut arguments = Vec::new();
        let mut depth = 0;
        if !self.eat(")") {
            loop {
                let argument = self.expression()?;
                depth = depth.max(argument.depth);
                arguments.push(argument);
                self.blanks();
                if self.eat(")") {
                    break;
                }
                self.expect(",", "an operator, ',' or ')'")?;
                self.blanks();
            }
        }
        if arguments.len() < least || arguments.len() > most {
            let wanted = if least == most {
                least.to_string()
            } else {
                format!("{least} or {most}")
            };
            let message = format!(
                "'{}' takes {wanted} argument(s), not {}",
                function.name(),
                arguments.len()
            );
            return Err(Error::syntax(start, message));
        }
        self.node(
            start,
            depth,
            Kind::Call {
                function,
                arguments,
            },
        )
    }

    /// `isof` and `cast`, before their parenthesis.
    fn type_function(&mut self, start: usize, is_of: bool) -> Result<Node, Error> {
        self.eat("(");
        self.blanks();
        let before = self.position();
        let alone = self.type_name().ok().filter(|_| {
            self.blanks();
            self.peek() == Some(b')')
        });
        let (operand, type_name) = match alone {
            Some(type_name) => (None, type_name),
            None => {
                self.seek(before);
                let operand = self.expression()?;
                self.blanks();
                self.expect(",", "',' and a type")?;
                self.blanks();
                let type_name = self.type_name()?;
                self.blanks();
                (Some(Box::new(operand)), type_name)
            }
        };
        self.expect(")", "')'")?;
        let depth = operand.as_ref().map_or(0, |operand| operand.depth);
        self.node(
            start,
            depth,
            if is_of {
                Kind::IsOf { operand, type_name }
            } else {
                Kind::Cast { operand, type_name }
            },
        )
    }

    fn type_name(&mut self) -> Result<String, Error> {
        if !self.eat("Collection(") {
            return self.qualified_name();
        }
        let name = self.qualified_name()?;
        self.expect(")", "')'")?;
        Ok(name)
    }

    /// `case`, before its parenthesis.
    fn case(&mut self, start: usize) -> Result<Node, Error> {
        self.eat("(");
        let mut branches = Vec::new();
        let mut depth = 0;
        loop {
            self.blanks();
            let condition = self.expression()?;
            self.blanks();
            self.expect(":", "an operator or ':'")?;
            self.blanks();
            let value = self.expression()?;
            self.blanks();
            depth = depth.max(condition.depth).max(value.depth);
            branches.push((condition, value));
            if self.eat(")") {
                return self.node(start, depth, Kind::Case(branches));
            }
            self.expect(",", "an operator, ',' or ')'")?;
        }
    }

    /// `$it`, `$this`, `$root`, `$user` and what follows.
    fn variable_path(&mut self) -> Result<Node, Error> {
        let start = self.position();
        self.eat("$");
        let name = if self.starts_identifier() {
            self.identifier()?
        } else {
            String::new()
        };
        let from = match name.as_str() {
            "it" => Start::It,
            "this" => Start::This,
            "root" => Start::Root,
            "user" => Start::User,
            _ => {
                let known = ["$it", "$this", "$root", "$user"];
                let written = format!("${name}");
                return Err(Error::syntax(start, format!("'{written}' is no variable"))
                    .expecting("$it, $this, $root or $user")
                    .suggesting(nearest(&written, known)));
            }
        };
        if matches!(from, Start::Root | Start::User) && self.peek() != Some(b'/') {
            return Err(self.unexpected("'/'"));
        }
        self.path(start, from, Vec::new(), 0)
    }

    /// `@alias` or `@Namespace.Term`.
    fn at_sign_path(&mut self) -> Result<Node, Error> {
        let start = self.position();
        self.eat("@");
        let name = self.qualified_name()?;
        if name.contains('.') || self.peek() == Some(b'#') {
            let term = self.qualified_term(name)?;
            let first = Segment {
                position: start,
                kind: SegmentKind::Annotation(term),
            };
            return self.path(start, Start::Implicit, vec![first], 0);
        }
        self.path(start, Start::Alias(name), Vec::new(), 0)
    }

    fn qualified_term(&mut self, mut name: String) -> Result<String, Error> {
        if self.eat("#") {
            name.push('#');
            name.push_str(&self.identifier()?);
        }
        Ok(name)
    }

    /// The rest of a path, from its first slash.
    fn path(
        &mut self,
        start: usize,
        from: Start,
        mut segments: Vec<Segment>,
        mut depth: u16,
    ) -> Result<Node, Error> {
        while self.eat("/") {
            let (segment, below) = self.segment()?;
            depth = depth.max(below);
            if segments.len() >= usize::from(super::MAXIMUM_DEPTH) {
                return Err(Error::new(
                    ErrorKind::Limit,
                    segment.position,
                    "the path has too many steps",
                ));
            }
            segments.push(segment);
        }
        self.node(
            start,
            depth,
            Kind::Path(Path {
                start: from,
                segments,
            }),
        )
    }

    fn segment(&mut self) -> Result<(Segment, u16), Error> {
        let position = self.position();
        let (kind, depth) = match self.peek() {
            Some(b'$') => self.dollar_segment()?,
            Some(b'@') => {
                self.eat("@");
                let name = self.qualified_name()?;
                (SegmentKind::Annotation(self.qualified_term(name)?), 0)
            }
            _ if self.starts_identifier() => {
                let name = self.qualified_name()?;
                let quantifier = match name.to_ascii_lowercase().as_str() {
                    "any" => Some(Quantifier::Any),
                    "all" => Some(Quantifier::All),
                    _ => None,
                };
                match quantifier.filter(|_| self.peek() == Some(b'(')) {
                    Some(quantifier) => self.lambda(quantifier)?,
                    None => {
                        let (arguments, depth) = self.optional_arguments(&name)?;
                        (SegmentKind::Name { name, arguments }, depth)
                    }
                }
            }
            _ => return Err(self.unexpected("a property, any, all or $count")),
        };
        Ok((Segment { position, kind }, depth))
    }

    fn dollar_segment(&mut self) -> Result<(SegmentKind, u16), Error> {
        if self.eat("$filter(") {
            self.blanks();
            let condition = self.expression()?;
            self.blanks();
            self.expect(")", "an operator or ')'")?;
            let depth = condition.depth;
            return Ok((SegmentKind::Filter(Box::new(condition)), depth));
        }
        if !self.eat("$count") {
            return Err(self.unexpected("$count or $filter(…)"));
        }
        let (mut filter, mut search) = (None, None);
        let mut depth = 0;
        if self.eat("(") {
            loop {
                let start = self.position();
                match self.option_name()?.as_str() {
                    "filter" if filter.is_none() => {
                        let condition = self.expression()?;
                        depth = condition.depth;
                        filter = Some(Box::new(condition));
                    }
                    "search" if search.is_none() => search = Some(self.search()?),
                    _ => {
                        return Err(Error::syntax(start, "this option cannot stand here")
                            .expecting("$filter or $search, each once"));
                    }
                }
                if self.eat(")") {
                    break;
                }
                self.expect(";", "';' or ')'")?;
            }
        }
        Ok((SegmentKind::Count { filter, search }, depth))
    }

    /// The name of a nested system option and its `=`: in lower case, without the dollar.
    ///
    /// # Errors
    /// Something else comes next.
    pub fn option_name(&mut self) -> Result<String, Error> {
        self.eat("$");
        let name = self
            .identifier()
            .map_err(|error| error.expecting("an option such as $filter=…"))?;
        self.expect("=", "'='")?;
        Ok(name.to_ascii_lowercase())
    }

    /// `any` and `all`, before their parenthesis.
    ///
    /// # Errors
    /// The first fault.
    pub fn lambda(&mut self, quantifier: Quantifier) -> Result<(SegmentKind, u16), Error> {
        self.expect("(", "'('")?;
        self.blanks();
        if quantifier == Quantifier::Any && self.eat(")") {
            return Ok((
                SegmentKind::Lambda {
                    quantifier,
                    body: None,
                },
                0,
            ));
        }
        let variable = self
            .identifier()
            .map_err(|error| error.expecting("a variable, as in any(x:x/Price gt 1)"))?;
        self.blanks();
        self.expect(":", "':'")?;
        self.blanks();
        let condition = self.expression()?;
        self.blanks();
        self.expect(")", "an operator or ')'")?;
        let depth = condition.depth;
        Ok((
            SegmentKind::Lambda {
                quantifier,
                body: Some((variable, Box::new(condition))),
            },
            depth,
        ))
    }

    fn optional_arguments(&mut self, name: &str) -> Result<(Option<Arguments>, u16), Error> {
        if self.peek() != Some(b'(') {
            return Ok((None, 0));
        }
        let start = self.position();
        let (arguments, depth) = self.nested(Self::arguments).map_err(|error| {
            // `lenght(Name)`, `contians(a,b)`: what is wrong is the name.
            let is_call = error.kind == ErrorKind::Syntax && self.peek() == Some(b',');
            let known = nearest(name, built_in_names()).filter(|_| is_call);
            match known {
                Some(known) => Error::new(
                    ErrorKind::UnknownName,
                    start.saturating_sub(name.len()),
                    format!("there is no function '{name}'"),
                )
                .suggesting(Some(known)),
                None => error,
            }
        })?;
        Ok((Some(arguments), depth))
    }

    /// What stands in parentheses behind a name, with them.
    ///
    /// # Errors
    /// The first fault.
    pub fn arguments(&mut self) -> Result<(Arguments, u16), Error> {
        self.expect("(", "'('")?;
        self.blanks();
        if self.eat(")") {
            return Ok((Arguments::Empty, 0));
        }
        if !self.named_argument_follows() {
            let value = self.expression()?;
            self.blanks();
            self.expect(")", "an operator or ')'")?;
            let depth = value.depth;
            return Ok((Arguments::Positional(Box::new(value)), depth));
        }
        let mut named: Vec<(String, Node)> = Vec::new();
        let mut depth = 0;
        loop {
            let start = self.position();
            let name = self.identifier()?;
            self.expect("=", "'='")?;
            if named.iter().any(|(known, _)| *known == name) {
                return Err(Error::syntax(start, format!("'{name}' is given twice")));
            }
            let value = self.expression()?;
            depth = depth.max(value.depth);
            named.push((name, value));
            self.blanks();
            if self.eat(")") {
                return Ok((Arguments::Named(named), depth));
            }
            self.expect(",", "',' or ')'")?;
            self.blanks();
        }
    }

    fn named_argument_follows(&mut self) -> bool {
        let start = self.position();
        let follows =
            self.starts_identifier() && self.identifier().is_ok() && self.peek() == Some(b'=');
        self.seek(start);
        follows
    }

    fn array(&mut self) -> Result<Node, Error> {
        let start = self.position();
        self.eat("[");
        self.blanks();
        let mut items = Vec::new();
        let mut depth = 0;
        if !self.eat("]") {
            loop {
                let item = self.json_value()?;
                depth = depth.max(item.depth);
                items.push(item);
                self.blanks();
                if self.eat("]") {
                    break;
                }
                self.expect(",", "',' or ']'")?;
                self.blanks();
            }
        }
        self.node(start, depth, Kind::Array(items))
    }

    fn object(&mut self) -> Result<Node, Error> {
        let start = self.position();
        self.eat("{");
        self.blanks();
        let mut members = Vec::new();
        let mut depth = 0;
        if !self.eat("}") {
            loop {
                let name = self.json_string()?;
                self.blanks();
                self.expect(":", "':'")?;
                self.blanks();
                let value = self.json_value()?;
                depth = depth.max(value.depth);
                members.push((name, value));
                self.blanks();
                if self.eat("}") {
                    break;
                }
                self.expect(",", "',' or '}'")?;
                self.blanks();
            }
        }
        self.node(start, depth, Kind::Object(members))
    }

    fn json_value(&mut self) -> Result<Node, Error> {
        let start = self.position();
        if self.peek() == Some(b'"') {
            let text = self.json_string()?;
            return self.literal_node(start, Literal::Text(text));
        }
        self.expression()
    }

    fn json_string(&mut self) -> Result<String, Error> {
        let start = self.position();
        let mut stream = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        match stream.next() {
            Some(Ok(text)) if !text.contains('\0') => {
                let length = stream.byte_offset();
                self.seek(start + length);
                Ok(text)
            }
            _ => Err(Error::syntax(start, "this is no JSON string").expecting("\"…\"")),
        }
    }

    /// Whether an identifier comes next.
    #[must_use]
    pub fn starts_identifier(&self) -> bool {
        match self.peek() {
            Some(byte) if byte.is_ascii() => byte.is_ascii_alphabetic() || byte == b'_',
            Some(_) => self.rest().chars().next().is_some_and(char::is_alphabetic),
            None => false,
        }
    }

    /// Reads an identifier.
    ///
    /// # Errors
    /// None comes next, or it has more than 128 characters.
    pub fn identifier(&mut self) -> Result<String, Error> {
        if !self.starts_identifier() {
            return Err(self.unexpected("a name"));
        }
        let start = self.position();
        let rest = self.rest();
        let mut length = 0;
        for (count, character) in rest.chars().enumerate() {
            if !(character.is_alphanumeric() || character == '_') {
                break;
            }
            if count >= MAXIMUM_IDENTIFIER {
                return Err(Error::syntax(
                    start,
                    format!("this name has more than {MAXIMUM_IDENTIFIER} characters"),
                ));
            }
            length += character.len_utf8();
        }
        self.seek(start + length);
        Ok(rest[..length].to_owned())
    }

    /// Reads an identifier with or without a namespace.
    ///
    /// # Errors
    /// None comes next.
    pub fn qualified_name(&mut self) -> Result<String, Error> {
        let mut name = self.identifier()?;
        while self.peek() == Some(b'.') {
            let before = self.position();
            self.eat(".");
            if !self.starts_identifier() {
                self.seek(before);
                break;
            }
            name.push('.');
            name.push_str(&self.identifier()?);
        }
        Ok(name)
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
        || Literal::Unrepresentable(written.chars().take(60).collect()),
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
