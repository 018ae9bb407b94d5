//! What operators apply to: functions, and which of literal, path and function comes next.

use super::super::Function;
use super::super::error::Error;
use super::super::literal;
use super::{BuiltIn, Kind, Node, Parser, Segment, SegmentKind, Start};

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
}
