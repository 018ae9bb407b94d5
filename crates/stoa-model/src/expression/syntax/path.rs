//! Paths and what stands in parentheses behind their names.

use super::super::Quantifier;
use super::super::error::{Error, ErrorKind, nearest};
use super::primary::built_in_names;
use super::{Arguments, Kind, Node, Parser, Path, Segment, SegmentKind, Start};

/// Longest identifier, characters (OData ABNF).
const MAXIMUM_IDENTIFIER: usize = 128;

impl Parser<'_> {
    /// `$it`, `$this`, `$root`, `$user` and what follows.
    pub(super) fn variable_path(&mut self) -> Result<Node, Error> {
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
        if matches!(from, Start::Root) && self.peek() != Some(b'/') {
            return Err(self.unexpected("'/'"));
        }
        self.path(start, from, Vec::new(), 0)
    }

    /// `@alias` or `@Namespace.Term`.
    pub(super) fn at_sign_path(&mut self) -> Result<Node, Error> {
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
    pub(super) fn path(
        &mut self,
        start: usize,
        from: Start,
        mut segments: Vec<Segment>,
        mut depth: u16,
    ) -> Result<Node, Error> {
        while self.eat("/") {
            let (segment, below) = self.segment()?;
            self.count(segment.position)?;
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

    pub(super) fn optional_arguments(
        &mut self,
        name: &str,
    ) -> Result<(Option<Arguments>, u16), Error> {
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
