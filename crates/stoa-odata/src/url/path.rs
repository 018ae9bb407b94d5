//! The path of a URL.

use stoa_model::application::Limits;
use stoa_model::expression::error::{self as syntax_error, nearest};
use stoa_model::expression::syntax::{self, Arguments, Kind, Node, Parser, Start};

use super::decode::decode_segment;
use super::error::{Error, ErrorKind, Place};

/// Most segments of a path.
const MAXIMUM_SEGMENTS: usize = 20;

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// The service root.
    ServiceDocument,
    /// `$metadata`
    Metadata,
    /// `$batch`
    Batch,
    /// `$entity`, whose identity is in the option `$id`.
    EntityById {
        /// A type that it is cast to.
        cast: Option<String>,
    },
    /// `$all`
    All {
        /// A type that it is cast to.
        cast: Option<String>,
    },
    /// `$crossjoin(…)`
    CrossJoin(Vec<String>),
    /// Collections, keys, properties. Never empty.
    Path(Vec<Segment>),
}

/// A segment with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// First byte in the raw path.
    pub position: usize,
    /// What it is.
    pub kind: SegmentKind,
}

/// Kinds of segments.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentKind {
    /// Collection, property, navigation, type, operation.
    Name {
        /// As written.
        name: String,
        /// Key or parameters; literals and aliases only.
        arguments: Option<Arguments>,
        /// A key behind parameters: `Function(a=1)(2)`.
        key: Option<Arguments>,
    },
    /// Something that is no name: a key as a segment, an ordinal.
    Literal(String),
    /// `$filter(…)`
    Filter(Node),
    /// `$count`
    Count,
    /// `$value`
    Value,
    /// `$ref`
    Reference,
    /// `$each`
    Each,
    /// `$query`
    Query,
}

pub(super) fn parse(raw: &str, limits: &Limits) -> Result<Resource, Error> {
    let start = usize::from(raw.starts_with('/'));
    let trimmed = &raw[start..];
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Ok(Resource::ServiceDocument);
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut position = start;
    for (index, raw) in trimmed.split('/').enumerate() {
        let text = decode_segment(raw).map_err(|error| moved(error, position))?;
        if index == 0 && text.starts_with('$') {
            return special(&text, trimmed, position);
        }
        if segments.len() >= MAXIMUM_SEGMENTS {
            let message = format!("the path has more than {MAXIMUM_SEGMENTS} segments");
            return Err(Error::new(
                ErrorKind::Limit,
                Place::Path,
                Some(position),
                message,
            ));
        }
        let kind = segment(&text, index == 0, limits).map_err(|error| moved(error, position))?;
        let segment = Segment { position, kind };
        if let Some(previous) = segments.last() {
            check_sequence(previous, &segment)?;
        }
        segments.push(segment);
        position += raw.len() + 1;
    }
    Ok(Resource::Path(segments))
}

fn moved(mut error: Error, by: usize) -> Error {
    error.position = error.position.map(|position| position + by);
    error
}

/// `$metadata` and the like, which stand alone.
fn special(first: &str, path: &str, position: usize) -> Result<Resource, Error> {
    let mut rest = path.split('/').skip(1);
    let next = rest.next();
    let malformed =
        |message: String| Error::new(ErrorKind::Malformed, Place::Path, Some(position), message);
    let cast = |next: Option<&str>| -> Result<Option<String>, Error> {
        let Some(raw) = next else { return Ok(None) };
        let text = decode_segment(raw)?;
        let mut parser = parser(&text, &Limits::default())?;
        let name = parser
            .qualified_name()
            .and_then(|name| parser.finish().map(|()| name));
        name.map(Some)
            .map_err(|error| Error::of_expression(error, Place::Path, first.len() + 1))
    };
    let resource = match first {
        "$metadata" if next.is_none() => Resource::Metadata,
        "$batch" if next.is_none() => Resource::Batch,
        "$entity" => Resource::EntityById { cast: cast(next)? },
        "$all" => Resource::All { cast: cast(next)? },
        _ => match first
            .strip_prefix("$crossjoin(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            Some(names) if next.is_none() || next == Some("$query") => {
                let names: Vec<String> = names.split(',').map(str::to_owned).collect();
                for name in &names {
                    let mut parser = parser(name, &Limits::default())?;
                    let result = parser.identifier().and_then(|_| parser.finish());
                    result.map_err(|error| Error::of_expression(error, Place::Path, position))?;
                }
                Resource::CrossJoin(names)
            }
            _ => {
                let known = nearest(first, ["$metadata", "$batch", "$entity", "$all"]);
                return Err(malformed(format!("'{first}' cannot start a path")).suggesting(known));
            }
        },
    };
    match rest.next() {
        None => Ok(resource),
        Some(_) => Err(malformed(format!("nothing more can follow '{first}'"))),
    }
}

fn parser<'t>(text: &'t str, limits: &Limits) -> Result<Parser<'t>, Error> {
    let limits = syntax::Limits {
        nodes: limits.filter_nodes,
        bytes: limits.url_bytes,
    };
    Parser::new(text, limits).map_err(|error| Error::of_expression(error, Place::Path, 0))
}

fn segment(text: &str, is_first: bool, limits: &Limits) -> Result<SegmentKind, Error> {
    let expression_error = |error| Error::of_expression(error, Place::Path, 0);
    match text {
        "$count" => return Ok(SegmentKind::Count),
        "$value" => return Ok(SegmentKind::Value),
        "$ref" => return Ok(SegmentKind::Reference),
        "$each" => return Ok(SegmentKind::Each),
        "$query" => return Ok(SegmentKind::Query),
        _ => {}
    }
    let mut parser = parser(text, limits)?;
    if parser.eat("$filter(") {
        parser.blanks();
        let condition = parser.expression().map_err(expression_error)?;
        parser.blanks();
        parser
            .expect(")", "an operator or ')'")
            .map_err(expression_error)?;
        parser.finish().map_err(expression_error)?;
        return Ok(SegmentKind::Filter(condition));
    }
    if text.starts_with('$') {
        let known = nearest(
            text,
            ["$count", "$value", "$ref", "$each", "$query", "$filter(…)"],
        );
        return Err(Error::new(
            ErrorKind::Malformed,
            Place::Path,
            Some(0),
            format!("there is no segment '{text}'"),
        )
        .suggesting(known));
    }
    if text.is_empty() {
        return Err(Error::new(
            ErrorKind::Malformed,
            Place::Path,
            Some(0),
            "a segment is empty",
        ));
    }
    if !parser.starts_identifier() {
        if is_first {
            return Err(expression_error(
                parser.unexpected("the name of a collection"),
            ));
        }
        return Ok(SegmentKind::Literal(text.to_owned()));
    }
    let name = parser.qualified_name().map_err(expression_error)?;
    if is_first && let Some(dot) = name.find('.') {
        return Err(Error::new(
            ErrorKind::Malformed,
            Place::Path,
            Some(dot),
            "a path starts with the name of a collection, which has no dots",
        ));
    }
    let mut both = [None, None];
    for arguments in &mut both {
        if parser.peek() == Some(b'(') {
            *arguments = Some(literal_arguments(&mut parser).map_err(expression_error)?);
        }
    }
    if !parser.is_at_end() {
        if is_first || both[0].is_some() {
            return Err(expression_error(
                parser.unexpected("'(' or the end of the segment"),
            ));
        }
        // A key written as a segment: `People/O'Neil`.
        return Ok(SegmentKind::Literal(text.to_owned()));
    }
    let [arguments, key] = both;
    Ok(SegmentKind::Name {
        name,
        arguments,
        key,
    })
}

/// Arguments of which each is a literal or an alias.
fn literal_arguments(parser: &mut Parser<'_>) -> Result<Arguments, syntax_error::Error> {
    let (arguments, _) = parser.arguments().map_err(|error| {
        let is_cut = error.message.contains("no closing quote");
        if is_cut {
            error.expecting("the closing quote; a slash inside of a key is written %2F")
        } else {
            error
        }
    })?;
    let check = |node: &Node| {
        let is_simple = match &node.kind {
            Kind::Literal(_) => true,
            Kind::Path(path) => matches!(path.start, Start::Alias(_)) && path.segments.is_empty(),
            _ => false,
        };
        if is_simple {
            return Ok(());
        }
        Err(
            syntax_error::Error::syntax(node.position, "a key or parameter has to be a literal")
                .expecting("a literal (text in single quotes) or an alias such as @key"),
        )
    };
    match &arguments {
        Arguments::Empty => {}
        Arguments::Positional(value) => check(value)?,
        Arguments::Named(values) => values.iter().try_for_each(|(_, value)| check(value))?,
    }
    Ok(arguments)
}

/// Refuses segments behind one that ends a path.
fn check_sequence(previous: &Segment, next: &Segment) -> Result<(), Error> {
    let malformed = |message: String| {
        Err(Error::new(
            ErrorKind::Malformed,
            Place::Path,
            Some(next.position),
            message,
        ))
    };
    let ends = match &previous.kind {
        SegmentKind::Count => Some("$count"),
        SegmentKind::Value => Some("$value"),
        SegmentKind::Reference => Some("$ref"),
        SegmentKind::Query => Some("$query"),
        _ => None,
    };
    if let Some(name) = ends {
        return malformed(format!("nothing can follow {name}"));
    }
    match (&previous.kind, &next.kind) {
        (
            SegmentKind::Name {
                name: one,
                arguments: None,
                ..
            },
            SegmentKind::Name {
                name: other,
                arguments: None,
                ..
            },
        ) if one == other && one.contains('.') => {
            malformed(format!("the type '{one}' is given twice"))
        }
        (SegmentKind::Each, kind) if !matches!(kind, SegmentKind::Name { .. }) => {
            malformed("only an operation can follow $each".to_owned())
        }
        _ => Ok(()),
    }
}
