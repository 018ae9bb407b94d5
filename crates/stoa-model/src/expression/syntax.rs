//! Text of the expression language → a tree that knows no model.
//!
//! The grammar is `commonExpr` of the OData 4.01 ABNF with the precedence of OData 4.01 Part 2
//! §5.1.1.17, over text that is percent-decoded already. Names and keywords of built-in operators and
//! functions are taken in any case. Parsing is bounded by [`Limits`].
//!
//! [`parse`] reads a whole text; [`Parser`] is for languages around this one (`$expand`, `$orderby`):
//! it reads an expression where it stands and stops behind it.

mod json;
mod literals;
mod parser;
mod path;
mod primary;
mod print;
mod search;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::error::Error;
use super::{Arithmetic, Comparison, Quantifier};
pub use parser::Parser;
pub use search::Search;

/// Deepest tree. Small enough for every stage to recurse on a thread's default stack.
pub const MAXIMUM_DEPTH: u16 = 100;

/// Limits on one parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most nodes of all trees that one parser makes.
    pub nodes: usize,
    /// Longest text in bytes.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 400,
            bytes: 64 * 1024,
        }
    }
}

/// Parses a text that is one expression and nothing else, not even blanks around it.
///
/// # Errors
/// The first fault, with its position.
pub fn parse(text: &str, limits: Limits) -> Result<Node, Error> {
    let mut parser = Parser::new(text, limits)?;
    let node = parser.expression()?;
    parser.finish()?;
    Ok(node)
}

/// A node with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// First byte.
    pub position: usize,
    /// Nodes from here down to the deepest leaf.
    pub depth: u16,
    /// What it is.
    pub kind: Kind,
}

/// Kinds of nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A constant.
    Literal(Literal),
    /// Property path, variable, alias, function of the service.
    Path(Path),
    /// A built-in function, its name in lower case.
    Call {
        /// Which.
        function: BuiltIn,
        /// As given; their number is right.
        arguments: Vec<Node>,
    },
    /// `isof([operand,] type)`
    IsOf {
        /// None: the current instance.
        operand: Option<Box<Node>>,
        /// As written, without `Collection(…)`.
        type_name: String,
    },
    /// `cast([operand,] type)`
    Cast {
        /// None: the current instance.
        operand: Option<Box<Node>>,
        /// As written, without `Collection(…)`.
        type_name: String,
    },
    /// `case(condition:value,…)`
    Case(Vec<(Node, Node)>),
    /// `not`
    Not(Box<Node>),
    /// `-`
    Negate(Box<Node>),
    /// `and`, two or more.
    And(Vec<Node>),
    /// `or`, two or more.
    Or(Vec<Node>),
    /// Comparison.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// Arithmetic.
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// `has`
    Has(Box<Node>, Box<Node>),
    /// `in`; the right side is a [`Kind::List`], or anything that could be a collection.
    In(Box<Node>, Box<Node>),
    /// `(1,2)`: literals, only to the right of `in`.
    List(Vec<Node>),
    /// `[1,2]`
    Array(Vec<Node>),
    /// `{"name":1}`
    Object(Vec<(String, Node)>),
}

/// Constants.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point, an exponent or beyond 64 bits.
    Decimal(Decimal),
    /// A number that no attribute can hold: `INF`, `-INF`, `NaN`, `1e-101`. As written.
    Unrepresentable(String),
    /// `'…'`
    Text(String),
    /// A Uuid.
    Uuid(Uuid),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since the Unix epoch.
    DateTime(i64),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// Bytes.
    Binary(Vec<u8>),
    /// `Type'Member'`
    Enumeration {
        /// As written, usually with a namespace.
        type_name: String,
        /// Between the quotes.
        members: String,
    },
    /// `geography'…'`, `geometry'…'`: as written.
    Geo(String),
}

/// A path.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Where it starts.
    pub start: Start,
    /// What follows.
    pub segments: Vec<Segment>,
}

/// Where a path starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With its first segment.
    Implicit,
    /// `$it`
    It,
    /// `$this`
    This,
    /// `$root`
    Root,
    /// `$user`
    User,
    /// `@name`
    Alias(String),
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// First byte.
    pub position: usize,
    /// What it is.
    pub kind: SegmentKind,
}

/// Steps of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentKind {
    /// Property, navigation, variable, type (with dots) or function.
    Name {
        /// As written.
        name: String,
        /// What stands in parentheses behind it: key or parameters.
        arguments: Option<Arguments>,
    },
    /// `any(…)`, `all(…)`
    Lambda {
        /// Which.
        quantifier: Quantifier,
        /// Variable and condition; none for `any()`.
        body: Option<(String, Box<Node>)>,
    },
    /// `$count`
    Count {
        /// `$filter` in parentheses.
        filter: Option<Box<Node>>,
        /// `$search` in parentheses.
        search: Option<Search>,
    },
    /// `$filter(…)`
    Filter(Box<Node>),
    /// `@Term#Qualifier`, without the `@`.
    Annotation(String),
}

/// What stands in parentheses behind a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    /// `()`
    Empty,
    /// `(1)`
    Positional(Box<Node>),
    /// `(A=1,B=2)`
    Named(Vec<(String, Node)>),
}

/// Built-in functions, those without support too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the specification's
pub enum BuiltIn {
    Supported(super::Function),
    HasSubset,
    HasSubsequence,
    GeoDistance,
    GeoIntersects,
    GeoLength,
}

pub(super) use primary::built_in_names;

#[cfg(test)]
mod tests;
