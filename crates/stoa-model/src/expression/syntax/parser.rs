//! The parser's frame: position, limits, operators.

use super::super::error::{Error, ErrorKind, nearest};
use super::super::{Arithmetic, Comparison};
use super::{Kind, Limits, Literal, MAXIMUM_DEPTH, Node};

/// Reads expressions from a text, one where it stands.
#[derive(Debug)]
pub struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes_left: usize,
    depth: u16,
}

/// Binary operators with their precedence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Compare(Comparison),
    Has,
    In,
    Arithmetic(Arithmetic),
}

const OPERATORS: [(&str, Operator); 16] = [
    ("eq", Operator::Compare(Comparison::Equal)),
    ("ne", Operator::Compare(Comparison::NotEqual)),
    ("lt", Operator::Compare(Comparison::Less)),
    ("le", Operator::Compare(Comparison::LessOrEqual)),
    ("gt", Operator::Compare(Comparison::Greater)),
    ("ge", Operator::Compare(Comparison::GreaterOrEqual)),
    ("and", Operator::And),
    ("or", Operator::Or),
    ("in", Operator::In),
    ("has", Operator::Has),
    ("add", Operator::Arithmetic(Arithmetic::Add)),
    ("sub", Operator::Arithmetic(Arithmetic::Subtract)),
    ("mul", Operator::Arithmetic(Arithmetic::Multiply)),
    ("div", Operator::Arithmetic(Arithmetic::Divide)),
    ("divby", Operator::Arithmetic(Arithmetic::DivideBy)),
    ("mod", Operator::Arithmetic(Arithmetic::Modulo)),
];

impl Operator {
    fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Compare(Comparison::Equal | Comparison::NotEqual) => 3,
            Self::Compare(_) | Self::Has | Self::In => 4,
            Self::Arithmetic(Arithmetic::Add | Arithmetic::Subtract) => 5,
            Self::Arithmetic(_) => 6,
        }
    }
}

impl<'a> Parser<'a> {
    /// Starts at the first byte.
    ///
    /// # Errors
    /// The text is longer than `limits.bytes`.
    pub fn new(text: &'a str, limits: Limits) -> Result<Self, Error> {
        if text.len() > limits.bytes {
            let message = format!(
                "the expression has {} bytes, {} are allowed",
                text.len(),
                limits.bytes
            );
            return Err(Error::new(ErrorKind::Limit, limits.bytes, message));
        }
        Ok(Self {
            text,
            at: 0,
            nodes_left: limits.nodes,
            depth: 0,
        })
    }

    /// Position of the next byte.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether all is read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Text from an earlier position to here.
    #[must_use]
    pub fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The next byte.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes back (or on) to a position that [`Self::position`] gave.
    pub fn seek(&mut self, position: usize) {
        self.at = position;
    }

    /// Passes over `text` if it comes next.
    pub fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Passes over `text`.
    ///
    /// # Errors
    /// Something else comes next.
    pub fn expect(&mut self, text: &str, expected: &'static str) -> Result<(), Error> {
        if self.eat(text) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// Passes over blanks; whether there were any.
    pub fn blanks(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }

    /// All must be read.
    ///
    /// # Errors
    /// Something is left.
    pub fn finish(&mut self) -> Result<(), Error> {
        if self.is_at_end() {
            return Ok(());
        }
        let start = self.at;
        self.blanks();
        let word: String = self
            .rest()
            .chars()
            .take_while(|character| character.is_alphanumeric())
            .collect();
        let operator =
            nearest(&word, OPERATORS.iter().map(|(name, _)| *name)).filter(|name| *name != word);
        if self.is_at_end() {
            self.at = start;
        }
        Err(self
            .unexpected("an operator or the end")
            .suggesting(operator))
    }

    /// The fault that what comes next cannot stand here.
    #[must_use]
    pub fn unexpected(&self, expected: &'static str) -> Error {
        let message = match self.rest().chars().next() {
            None => "the text ends too early".to_owned(),
            Some(' ' | '\t') => "a blank cannot stand here".to_owned(),
            Some(character) if character.is_alphanumeric() => {
                let word: String = self
                    .rest()
                    .chars()
                    .take_while(|next| next.is_alphanumeric())
                    .take(40)
                    .collect();
                format!("'{word}' cannot stand here")
            }
            Some(character) => format!("{character:?} cannot stand here"),
        };
        Error::syntax(self.at, message).expecting(expected)
    }

    /// Counts a node, or a step of a path, which costs as much.
    pub(super) fn count(&mut self, position: usize) -> Result<(), Error> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                position,
                "the expression has too many operands",
            )
        })?;
        Ok(())
    }

    /// Makes a node.
    pub(super) fn node(
        &mut self,
        position: usize,
        depth_below: u16,
        kind: Kind,
    ) -> Result<Node, Error> {
        self.count(position)?;
        let depth = depth_below + 1;
        if depth > MAXIMUM_DEPTH {
            return Err(too_deep(position));
        }
        Ok(Node {
            position,
            depth,
            kind,
        })
    }

    pub(super) fn literal_node(
        &mut self,
        position: usize,
        literal: Literal,
    ) -> Result<Node, Error> {
        self.node(position, 0, Kind::Literal(literal))
    }

    /// Runs `read` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth >= MAXIMUM_DEPTH {
            return Err(too_deep(self.at));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads an expression and stops behind it; blanks behind it stay.
    ///
    /// # Errors
    /// The first fault.
    pub fn expression(&mut self) -> Result<Node, Error> {
        self.binary(0)
    }

    fn binary(&mut self, minimum: u8) -> Result<Node, Error> {
        let mut left = self.nested(Self::unary)?;
        loop {
            let before = self.at;
            let Some(operator) = self.operator(minimum)? else {
                self.at = before;
                return Ok(left);
            };
            left = self.operation(operator, left)?;
        }
    }

    /// Reads `RWS operator RWS` if the operator binds at least as tightly as `minimum`.
    fn operator(&mut self, minimum: u8) -> Result<Option<Operator>, Error> {
        if !self.blanks() {
            return Ok(None);
        }
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let found = OPERATORS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&rest[..length]));
        let Some((_, operator)) = found.filter(|(_, operator)| operator.precedence() >= minimum)
        else {
            return Ok(None);
        };
        self.at += length;
        // `and(` is often written, and cannot mean anything else.
        if !self.blanks() && self.peek() != Some(b'(') {
            return Err(self.unexpected("a blank behind the operator"));
        }
        Ok(Some(*operator))
    }

    fn operation(&mut self, operator: Operator, left: Node) -> Result<Node, Error> {
        let position = left.position;
        if operator == Operator::In {
            let right = self.nested(Self::list_or_expression)?;
            let depth = left.depth.max(right.depth);
            return self.node(position, depth, Kind::In(Box::new(left), Box::new(right)));
        }
        let precedence = operator.precedence();
        let right = self.nested(|parser| parser.binary(precedence + 1))?;
        let depth = left.depth.max(right.depth);
        if matches!(operator, Operator::And | Operator::Or) {
            let mut operands = vec![left, right];
            let mut depth = depth;
            loop {
                let before = self.at;
                if self.operator(precedence)? != Some(operator) {
                    self.at = before;
                    break;
                }
                let next = self.nested(|parser| parser.binary(precedence + 1))?;
                depth = depth.max(next.depth);
                operands.push(next);
            }
            let kind = if operator == Operator::And {
                Kind::And(operands)
            } else {
                Kind::Or(operands)
            };
            return self.node(position, depth, kind);
        }
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = match operator {
            Operator::Compare(comparison) => Kind::Compare(comparison, left, right),
            Operator::Arithmetic(arithmetic) => Kind::Arithmetic(arithmetic, left, right),
            _ => Kind::Has(left, right),
        };
        self.node(position, depth, kind)
    }

    /// The right side of `in`: literals in parentheses, or a collection.
    fn list_or_expression(&mut self) -> Result<Node, Error> {
        if self.peek() != Some(b'(') {
            return self.binary(5);
        }
        let start = self.at;
        self.at += 1;
        self.blanks();
        let mut items: Vec<Node> = Vec::new();
        if !self.eat(")") {
            loop {
                let item = self.expression()?;
                self.blanks();
                let is_literal = matches!(item.kind, Kind::Literal(_));
                items.push(item);
                if self.peek() == Some(b',') && is_literal {
                    self.at += 1;
                    self.blanks();
                    continue;
                }
                self.expect(")", "',' between literals, or ')'")?;
                break;
            }
            if let [item] = items.as_slice()
                && !matches!(item.kind, Kind::Literal(_))
            {
                return Ok(items.remove(0));
            }
            if let Some(item) = items
                .iter()
                .find(|item| !matches!(item.kind, Kind::Literal(_)))
            {
                return Err(Error::syntax(
                    item.position,
                    "only literals can stand in a list",
                ));
            }
        }
        self.node(start, 1, Kind::List(items))
    }

    /// `not`, `-`, or what they apply to.
    fn unary(&mut self) -> Result<Node, Error> {
        let start = self.at;
        let rest = self.rest().as_bytes();
        let is_not = rest.len() > 3
            && rest[..3].eq_ignore_ascii_case(b"not")
            && matches!(rest[3], b' ' | b'\t' | b'(');
        if is_not {
            self.at += 3;
            self.blanks();
            let operand = self.nested(Self::unary)?;
            let depth = operand.depth;
            return self.node(start, depth, Kind::Not(Box::new(operand)));
        }
        if rest.first() == Some(&b'-')
            && !matches!(rest.get(1), Some(b'0'..=b'9'))
            && !rest.starts_with(b"-INF")
        {
            self.at += 1;
            self.blanks();
            let operand = self.nested(Self::unary)?;
            let depth = operand.depth;
            return self.node(start, depth, Kind::Negate(Box::new(operand)));
        }
        self.primary()
    }
}

fn too_deep(position: usize) -> Error {
    Error::new(
        ErrorKind::Limit,
        position,
        format!("the expression is nested deeper than {MAXIMUM_DEPTH} levels"),
    )
}
