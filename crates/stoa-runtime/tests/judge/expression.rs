//! Expressions of rules and requests: as trees, and as text.

use crate::model::NAMESPACE;
use crate::value::Scalar;

/// Number of a row variable: 0 is the row that the expression is about.
pub(crate) type Variable = usize;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Literal(Scalar),
    Attribute {
        from: Place,
        /// A specialisation that the row must be of for the attribute to have a value.
        cast: Option<String>,
        name: String,
    },
    /// `Customer eq null` and `ne null`.
    Target {
        from: Place,
        is_null: bool,
    },
    IsOf(String),
    Compare(Operator, Box<Expression>, Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    In(Box<Expression>, Vec<Scalar>),
    Lambda {
        is_any: bool,
        from: Place,
        navigation: String,
        variable: Variable,
        condition: Option<Box<Expression>>,
    },
    /// `Lines/$count` with a condition on the rows, which are [`Variable`] `variable`.
    Count {
        from: Place,
        navigation: String,
        variable: Variable,
        filter: Option<Box<Expression>>,
    },
    Call(Function, Vec<Expression>),
    Add(Box<Expression>, Box<Expression>),
    /// `$user/Region`
    User(Vec<String>),
    /// `Owner eq $user`
    IsUser(Place),
    Now,
}

/// A row variable and to-one navigations from it.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Place {
    pub(crate) variable: Variable,
    pub(crate) path: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    StartsWith,
    Contains,
    Length,
    ToLower,
    Concat,
    Year,
}

impl Operator {
    pub(crate) const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
        }
    }
}

impl Function {
    fn text(self) -> &'static str {
        match self {
            Self::StartsWith => "startswith",
            Self::Contains => "contains",
            Self::Length => "length",
            Self::ToLower => "tolower",
            Self::Concat => "concat",
            Self::Year => "year",
        }
    }
}

impl Expression {
    pub(crate) fn text(&self) -> String {
        self.render(None)
    }

    /// `implicit`: the variable whose members have no prefix, other than 0.
    fn render(&self, implicit: Option<Variable>) -> String {
        let place = |place: &Place, last: &str| -> String {
            let mut steps = Vec::new();
            if place.variable != 0 && implicit != Some(place.variable) {
                steps.push(format!("v{}", place.variable));
            }
            steps.extend(place.path.iter().cloned());
            if !last.is_empty() {
                steps.push(last.to_owned());
            }
            if steps.is_empty() {
                steps.push("$it".to_owned());
            }
            steps.join("/")
        };
        match self {
            Self::Literal(value) => value.literal(),
            Self::Attribute { from, cast, name } => match cast {
                Some(cast) => place(from, &format!("{NAMESPACE}.{cast}/{name}")),
                None => place(from, name),
            },
            Self::Target { from, is_null } => format!(
                "{} {} null",
                place(from, ""),
                if *is_null { "eq" } else { "ne" }
            ),
            Self::IsOf(name) => format!("isof({NAMESPACE}.{name})"),
            Self::Compare(operator, left, right) => format!(
                "{} {} {}",
                left.operand(implicit),
                operator.text(),
                right.operand(implicit)
            ),
            Self::And(operands) | Self::Or(operands) => {
                let word = if matches!(self, Self::And(_)) {
                    " and "
                } else {
                    " or "
                };
                let operands: Vec<String> = operands
                    .iter()
                    .map(|operand| operand.operand(implicit))
                    .collect();
                operands.join(word)
            }
            Self::Not(inner) => format!("not ({})", inner.render(implicit)),
            Self::In(left, list) => format!(
                "{} in ({})",
                left.operand(implicit),
                list.iter()
                    .map(Scalar::literal)
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            Self::Lambda {
                is_any,
                from,
                navigation,
                variable,
                condition,
            } => {
                let body = condition.as_ref().map_or(String::new(), |condition| {
                    format!("v{variable}:{}", condition.render(implicit))
                });
                format!(
                    "{}({body})",
                    place(
                        from,
                        &format!("{navigation}/{}", if *is_any { "any" } else { "all" })
                    )
                )
            }
            Self::Count {
                from,
                navigation,
                variable,
                filter,
            } => {
                let filter = filter.as_ref().map_or(String::new(), |filter| {
                    format!("($filter={})", filter.render(Some(*variable)))
                });
                format!("{}{filter}", place(from, &format!("{navigation}/$count")))
            }
            Self::Call(function, arguments) => format!(
                "{}({})",
                function.text(),
                arguments
                    .iter()
                    .map(|argument| argument.render(implicit))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            Self::Add(left, right) => {
                format!("{} add {}", left.operand(implicit), right.operand(implicit))
            }
            Self::User(path) => format!("$user/{}", path.join("/")),
            Self::IsUser(from) => format!("{} eq $user", place(from, "")),
            Self::Now => "now()".to_owned(),
        }
    }

    fn operand(&self, implicit: Option<Variable>) -> String {
        let text = self.render(implicit);
        match self {
            Self::Compare(..)
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::In(..)
            | Self::Add(..)
            | Self::Target { .. }
            | Self::IsUser(_) => format!("({text})"),
            _ => text,
        }
    }

    /// What may stand in its place when a failure is made smaller.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        match self {
            Self::And(operands) | Self::Or(operands) => {
                let again = |operands: Vec<Self>| {
                    if operands.len() == 1 {
                        operands.into_iter().next()
                    } else if matches!(self, Self::And(_)) {
                        Some(Self::And(operands))
                    } else {
                        Some(Self::Or(operands))
                    }
                };
                all.extend(operands.iter().cloned());
                for position in 0..operands.len() {
                    for smaller in operands[position].smaller() {
                        let mut operands = operands.clone();
                        operands[position] = smaller;
                        all.extend(again(operands));
                    }
                }
            }
            Self::Not(inner) => {
                all.push((**inner).clone());
                all.extend(
                    inner
                        .smaller()
                        .into_iter()
                        .map(|inner| Self::Not(Box::new(inner))),
                );
            }
            Self::Lambda {
                is_any,
                from,
                navigation,
                variable,
                condition: Some(condition),
            } => {
                let with = |condition: Option<Self>| Self::Lambda {
                    is_any: *is_any,
                    from: from.clone(),
                    navigation: navigation.clone(),
                    variable: *variable,
                    condition: condition.map(Box::new),
                };
                if *is_any {
                    all.push(with(None));
                }
                all.extend(
                    condition
                        .smaller()
                        .into_iter()
                        .map(|smaller| with(Some(smaller))),
                );
            }
            Self::Count {
                from,
                navigation,
                variable,
                filter: Some(filter),
            } => {
                let with = |filter: Option<Self>| Self::Count {
                    from: from.clone(),
                    navigation: navigation.clone(),
                    variable: *variable,
                    filter: filter.map(Box::new),
                };
                all.push(with(None));
                all.extend(
                    filter
                        .smaller()
                        .into_iter()
                        .map(|smaller| with(Some(smaller))),
                );
            }
            Self::Compare(operator, left, right) => {
                for smaller in left.smaller() {
                    all.push(Self::Compare(*operator, Box::new(smaller), right.clone()));
                }
                for smaller in right.smaller() {
                    all.push(Self::Compare(*operator, left.clone(), Box::new(smaller)));
                }
            }
            Self::In(left, list) if list.len() > 1 => {
                for position in 0..list.len() {
                    let mut list = list.clone();
                    list.remove(position);
                    all.push(Self::In(left.clone(), list));
                }
            }
            Self::Add(left, right) => {
                all.push((**left).clone());
                all.push((**right).clone());
            }
            _ => {}
        }
        all
    }
}
