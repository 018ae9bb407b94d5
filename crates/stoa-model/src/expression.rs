//! The expression language (OData `$filter`): one for requests and access rules.
//!
//! `syntax` turns text into a tree without knowing a model; `bind` gives it names and types of a
//! model. What is here is the bound tree, which the store turns into SQL.

pub mod bind;
pub mod error;
pub mod literal;
pub mod syntax;

use crate::model::{AttributeId, EntityId, NavigationId};
use crate::value::{ScalarType, Value};

/// A bound, typed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A constant; always bound as a parameter.
    Literal {
        /// The constant, already converted to `scalar_type`. May be null.
        value: Value,
        /// Its type; for a null the type of what it is compared with.
        scalar_type: ScalarType,
    },
    /// An attribute, reached by to-one navigations from a variable.
    Attribute {
        /// Where the path starts.
        from: Variable,
        /// To-one navigations, each an id in the entity reached so far.
        path: Vec<NavigationId>,
        /// Entity that the path reaches.
        entity: EntityId,
        /// Attribute of that entity.
        attribute: AttributeId,
        /// Type of the attribute.
        scalar_type: ScalarType,
    },
    /// Whether a to-one navigation leads to a row (`Customer ne null`); `negated` for `eq null`.
    HasTarget {
        /// Where the path starts.
        from: Variable,
        /// To-one navigations; the last one is the one asked about.
        path: Vec<NavigationId>,
        /// True for `eq null`.
        negated: bool,
    },
    /// Whether the row is of this entity or one of its specialisations (`isof`).
    IsOf {
        /// Where the path starts.
        from: Variable,
        /// To-one navigations.
        path: Vec<NavigationId>,
        /// The type asked about.
        entity: EntityId,
    },
    /// Whether the row is of this entity (or one of its specialisations) and the condition holds; never
    /// null. In the condition the row is `variable`, of type `entity`: so that paths can start with
    /// navigations of a specialisation. Made by the access layer, for rules of specialisations.
    AsType {
        /// Where the path starts.
        from: Variable,
        /// To-one navigations.
        path: Vec<NavigationId>,
        /// The type of the row in the condition.
        entity: EntityId,
        /// The row in the condition.
        variable: Variable,
        /// Condition on the row.
        condition: Box<Expression>,
    },
    /// Comparison. Null compares as OData says: `null eq null` is true, other operators with null are false.
    Compare {
        /// Operator.
        operator: Comparison,
        /// Left side.
        left: Box<Expression>,
        /// Right side, of a type comparable with the left.
        right: Box<Expression>,
    },
    /// All of them.
    And(Vec<Expression>),
    /// Any of them.
    Or(Vec<Expression>),
    /// Negation; not of null is null.
    Not(Box<Expression>),
    /// Arithmetic.
    Arithmetic {
        /// Operator.
        operator: Arithmetic,
        /// Left side.
        left: Box<Expression>,
        /// Right side.
        right: Box<Expression>,
        /// Type of the result.
        scalar_type: ScalarType,
    },
    /// Numeric or duration negation.
    Negate(Box<Expression>),
    /// A built-in function.
    Call {
        /// Which.
        function: Function,
        /// Arguments, as many and of such types as the function takes.
        arguments: Vec<Expression>,
        /// Type of the result.
        scalar_type: ScalarType,
    },
    /// Whether the left side equals one of the literals.
    In {
        /// Left side.
        left: Box<Expression>,
        /// Right side, never empty.
        list: Vec<Expression>,
    },
    /// `any` or `all` over a to-many navigation.
    Lambda {
        /// Which.
        quantifier: Quantifier,
        /// Where the path starts.
        from: Variable,
        /// To-one navigations, then one to-many navigation.
        path: Vec<NavigationId>,
        /// Entity of the rows ranged over.
        entity: EntityId,
        /// Condition, in which the rows are `Variable(n)` with this n; none for a bare `any()`.
        variable: Variable,
        /// Condition on each row.
        condition: Option<Box<Expression>>,
    },
    /// Number of rows at the end of a to-many navigation (`Lines/$count`).
    Count {
        /// Where the path starts.
        from: Variable,
        /// To-one navigations, then one to-many navigation.
        path: Vec<NavigationId>,
        /// Entity of the rows counted.
        entity: EntityId,
        /// Variable of the rows in the filter.
        variable: Variable,
        /// Only rows that fulfil it.
        filter: Option<Box<Expression>>,
    },
    /// Something about the user of the request (`$user/Region`); the access layer puts a literal in its
    /// place before the store sees it.
    User {
        /// Position in [`crate::model::UserModel::values`].
        value: usize,
        /// Type of that value.
        scalar_type: ScalarType,
    },
    /// `then` where the condition is true, else null: what the user may not see (made by the access layer),
    /// and what only rows of a type have.
    If {
        /// When the value may be seen.
        condition: Box<Expression>,
        /// The value.
        then: Box<Expression>,
    },
    /// True where the expression is true, false where it is false or null. Made by the access layer, so
    /// that the opposite of "may see" is "may not see".
    Holds(Box<Expression>),
}

/// A row variable: 0 is the row that the filter is about (`$it`), others belong to lambdas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variable(pub u16);

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// `add`
    Add,
    /// `sub`
    Subtract,
    /// `mul`
    Multiply,
    /// `div`: integer division of integers (truncated), else decimal.
    Divide,
    /// `divby`: always decimal.
    DivideBy,
    /// `mod`: sign of the dividend.
    Modulo,
}

/// `any` and `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// At least one row.
    Any,
    /// Every row; true for none.
    All,
}

/// Built-in functions (OData 4.01 Part 2 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the specification's
pub enum Function {
    Concat,
    Contains,
    EndsWith,
    IndexOf,
    Length,
    StartsWith,
    Substring,
    MatchesPattern,
    ToLower,
    ToUpper,
    Trim,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    FractionalSeconds,
    Date,
    Time,
    Now,
    MinDateTime,
    MaxDateTime,
    TotalSeconds,
    TotalOffsetMinutes,
    Round,
    Floor,
    Ceiling,
}
