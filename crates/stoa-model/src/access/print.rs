//! Bound expressions as text, the way they are written in rules and in `$filter`.

use std::fmt::Write;

use super::variables::path_of;
use crate::expression::syntax::{BuiltIn, Literal};
use crate::expression::{Expression, Quantifier, Variable};
use crate::model::{EntityId, Model, NavigationId};
use crate::query::ROW;
use crate::value::{ScalarType, Value};

/// A condition on rows of an entity, as text. What OData has no words for is written as `case(…)`, and
/// `holds(…)` for null taken as false.
pub(super) fn print(model: &Model, entity: EntityId, expression: &Expression) -> String {
    let mut printer = Printer {
        model,
        scope: vec![(ROW, String::new(), entity)],
        out: String::new(),
    };
    printer.expression(expression);
    printer.out
}

struct Printer<'m> {
    model: &'m Model,
    /// Variables with the text that stands for them and their type.
    scope: Vec<(Variable, String, EntityId)>,
    out: String,
}

impl Printer<'_> {
    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Literal { value, scalar_type } => {
                let literal = self.literal(value, *scalar_type);
                self.out.push_str(&literal);
            }
            Expression::Attribute {
                from,
                path,
                entity,
                attribute,
                ..
            } => {
                let (place, reached) = self.path(*from, path);
                let place = self.cast(place, reached, *entity);
                let name = &self.model[*entity][*attribute].name;
                self.out.push_str(&step(&place, name));
            }
            Expression::HasTarget {
                from,
                path,
                negated,
            } => {
                let (place, _) = self.path(*from, path);
                self.out.push_str(&place);
                self.out
                    .push_str(if *negated { " eq null" } else { " ne null" });
            }
            Expression::IsOf { from, path, entity } => {
                let (place, _) = self.path(*from, path);
                self.is_of(&place, *entity);
            }
            Expression::AsType {
                from,
                path,
                entity,
                variable,
                condition,
            } => {
                let (place, reached) = self.path(*from, path);
                self.out.push('(');
                self.is_of(&place, *entity);
                self.out.push_str(" and ");
                let place = self.cast(place, reached, *entity);
                self.within(*variable, place, *entity, condition);
                self.out.push(')');
            }
            Expression::Compare {
                operator,
                left,
                right,
            } => self.infix(&[left, right], &format!(" {} ", operator.name())),
            Expression::Arithmetic {
                operator,
                left,
                right,
                ..
            } => self.infix(&[left, right], &format!(" {} ", operator.name())),
            Expression::And(operands) => self.infix(&operands.iter().collect::<Vec<_>>(), " and "),
            Expression::Or(operands) => self.infix(&operands.iter().collect::<Vec<_>>(), " or "),
            Expression::Not(inner) => self.call("not ", &[inner]),
            Expression::Negate(inner) => self.call("-", &[inner]),
            Expression::Holds(inner) => self.call("holds", &[inner]),
            Expression::Call {
                function,
                arguments,
                ..
            } => self.call(
                BuiltIn::Supported(*function).name(),
                &arguments.iter().collect::<Vec<_>>(),
            ),
            Expression::In { left, list } => {
                self.operand(left);
                self.out.push_str(" in ");
                self.call("", &list.iter().collect::<Vec<_>>());
            }
            Expression::If { condition, then } => {
                self.out.push_str("case(");
                self.expression(condition);
                self.out.push_str(" : ");
                self.expression(then);
                self.out.push(')');
            }
            Expression::Lambda {
                quantifier,
                entity,
                variable,
                condition,
                ..
            } => {
                self.rows(expression);
                self.out.push_str(match quantifier {
                    Quantifier::Any => "/any(",
                    Quantifier::All => "/all(",
                });
                if let Some(condition) = condition {
                    let name = name_of(*variable);
                    let _ = write!(self.out, "{name}:");
                    self.within(*variable, name, *entity, condition);
                }
                self.out.push(')');
            }
            Expression::Count {
                entity,
                variable,
                filter,
                ..
            } => {
                self.rows(expression);
                self.out.push_str("/$count");
                if let Some(filter) = filter {
                    self.out.push_str("($filter=");
                    self.within(*variable, name_of(*variable), *entity, filter);
                    self.out.push(')');
                }
            }
            Expression::User { value, .. } => {
                let path = self.model.user.values.get(*value);
                let path = path.map_or("?", |value| value.path.as_str());
                let _ = write!(self.out, "$user/{path}");
            }
        }
    }

    fn within(
        &mut self,
        variable: Variable,
        text: String,
        entity: EntityId,
        expression: &Expression,
    ) {
        self.scope.push((variable, text, entity));
        self.operand(expression);
        self.scope.pop();
    }

    fn infix(&mut self, operands: &[&Expression], operator: &str) {
        for (position, operand) in operands.iter().enumerate() {
            if position > 0 {
                self.out.push_str(operator);
            }
            self.operand(operand);
        }
    }

    /// In parentheses where it could be read otherwise.
    fn operand(&mut self, expression: &Expression) {
        let is_compound = matches!(
            expression,
            Expression::And(_) | Expression::Or(_) | Expression::Arithmetic { .. }
        );
        if is_compound {
            self.call("", &[expression]);
        } else {
            self.expression(expression);
        }
    }

    fn call(&mut self, name: &str, arguments: &[&Expression]) {
        self.out.push_str(name);
        self.out.push('(');
        for (position, argument) in arguments.iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.expression(argument);
        }
        self.out.push(')');
    }

    fn rows(&mut self, expression: &Expression) {
        if let Some((from, path)) = path_of(expression) {
            let (place, _) = self.path(from, path);
            self.out.push_str(&place);
        }
    }

    fn is_of(&mut self, place: &str, entity: EntityId) {
        let name = self.type_name(entity);
        if place.is_empty() {
            let _ = write!(self.out, "isof({name})");
        } else {
            let _ = write!(self.out, "isof({place},{name})");
        }
    }

    fn type_name(&self, entity: EntityId) -> String {
        format!("{}.{}", self.model.name, self.model[entity].name)
    }

    fn cast(&self, place: String, from: EntityId, to: EntityId) -> String {
        // What a specialisation inherits needs no cast, nor does what its base has.
        if from == to || self.model[to].specialisations.contains(&from) {
            place
        } else {
            step(&place, &self.type_name(to))
        }
    }

    /// Text of a path, and the entity that it reaches.
    fn path(&self, from: Variable, path: &[NavigationId]) -> (String, EntityId) {
        let start = self.scope.iter().rev().find(|(known, ..)| *known == from);
        let (mut text, mut entity) = match start {
            Some((_, text, entity)) => (text.clone(), *entity),
            None => (name_of(from), self.scope[0].2),
        };
        for id in path {
            let navigation = &self.model[entity][*id];
            let name = match &navigation.name {
                Some(name) => name.clone(),
                None => {
                    let target = &self.model[navigation.target];
                    let name = target[navigation.partner].name.as_deref().unwrap_or("?");
                    format!("(inverse of {}/{name})", target.name)
                }
            };
            text = step(&text, &name);
            entity = navigation.target;
        }
        (text, entity)
    }

    fn literal(&self, value: &Value, scalar_type: ScalarType) -> String {
        let literal = match value {
            Value::Null => Literal::Null,
            Value::Boolean(value) => Literal::Boolean(*value),
            Value::Integer(value) => Literal::Integer(*value),
            Value::Decimal(value) => Literal::Decimal(*value),
            Value::Text(value) => match scalar_type {
                ScalarType::Enumeration(id) => Literal::Enumeration {
                    type_name: format!("{}.{}", self.model.name, self.model[id].name),
                    members: value.clone(),
                },
                _ => Literal::Text(value.clone()),
            },
            Value::DateTime(value) => Literal::DateTime(*value),
            Value::Date(value) => Literal::Date(*value),
            Value::Time(value) => Literal::Time(*value),
            Value::Duration(value) => Literal::Duration(*value),
            Value::Uuid(value) => Literal::Uuid(*value),
            Value::Binary(value) => Literal::Binary(value.clone()),
            Value::Json(value) => Literal::Text(value.clone()),
        };
        literal.to_string()
    }
}

fn step(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}/{name}")
    }
}

fn name_of(variable: Variable) -> String {
    if variable == ROW {
        "$it".to_owned()
    } else {
        format!("x{}", variable.0)
    }
}
