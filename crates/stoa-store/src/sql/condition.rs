//! Expressions that are true, false or null.
//!
//! Comparisons are never null in OData, while in SQL they are. Where only truth matters (a filter's top,
//! and what is joined by `and` and `or` there) null is as good as false and plain operators keep
//! indexes usable; under `not` and wherever the value itself is used the text is made *exact*.

use stoa_model::expression::{Comparison, Expression, Quantifier, Variable};
use stoa_model::model::{AttributeId, Entity, EntityId, Member, NavigationId, Storage};
use stoa_model::query::ROW;
use stoa_model::value::{ScalarType, Value};

use super::builder::{Builder, Place, column, key, link, lost, table};
use super::shape::{is_list_of_literals, list_has_null, list_scale, list_values, padded};
use super::term::{Term, enumeration_of};
use super::{Binding, Encoding};
use crate::error::StoreError;

impl Builder<'_> {
    /// SQL that is true when the expression is; if `exact`, false and null also when it is.
    pub(crate) fn condition(
        &mut self,
        expression: &Expression,
        exact: bool,
    ) -> Result<String, StoreError> {
        match expression {
            Expression::And(conditions) => self.joined(conditions, " AND ", "TRUE", exact),
            Expression::Or(conditions) => self.joined(conditions, " OR ", "FALSE", exact),
            Expression::Not(condition) => Ok(format!("NOT ({})", self.condition(condition, true)?)),
            Expression::Compare {
                operator,
                left,
                right,
            } => self.comparison(*operator, left, right, exact),
            Expression::In { left, list } => self.membership(left, list, exact),
            Expression::HasTarget {
                from,
                path,
                negated,
            } => self.has_target(*from, path, *negated),
            Expression::IsOf { from, path, entity } => {
                let place = self.place(*from, path)?;
                let condition = self.is_of(&place, *entity);
                Ok(if exact && place.optional {
                    format!("(({condition}) IS TRUE)")
                } else {
                    condition
                })
            }
            Expression::Lambda {
                quantifier,
                from,
                path,
                entity,
                variable,
                condition,
            } => self.lambda(
                *quantifier,
                *from,
                path,
                *entity,
                *variable,
                condition.as_deref(),
            ),
            Expression::If { condition, then } => {
                let allowed = self.condition(condition, false)?;
                let value = self.condition(then, exact)?;
                // What may fail is not looked at where it is not allowed.
                Ok(if exact || then.may_fail() {
                    format!("(CASE WHEN {allowed} THEN {value} END)")
                } else {
                    format!("({allowed} AND {value})")
                })
            }
            Expression::Holds(inner) => {
                let text = self.condition(inner, false)?;
                Ok(if exact {
                    format!("(({text}) IS TRUE)")
                } else {
                    text
                })
            }
            Expression::AsType {
                from,
                path,
                entity,
                variable,
                condition,
            } => {
                let place = self.place(*from, path)?;
                let is_of = self.is_of(&place, *entity);
                let text = self.alias(*from, &place, *entity, *variable, |builder| {
                    builder.condition(condition, false)
                })?;
                Ok(if exact {
                    format!("(({is_of} AND {text}) IS TRUE)")
                } else {
                    format!("({is_of} AND {text})")
                })
            }
            Expression::User { .. } => Err(StoreError::internal(
                "a reference to the user was not resolved",
            )),
            Expression::Literal {
                value: Value::Null, ..
            } => Ok(if self.is_postgres() {
                "NULL::boolean"
            } else {
                "NULL"
            }
            .to_owned()),
            Expression::Literal { .. }
            | Expression::Attribute { .. }
            | Expression::Call { .. }
            | Expression::Arithmetic { .. }
            | Expression::Negate(_)
            | Expression::Count { .. } => {
                let term = self.term(expression)?;
                if term.encoding == Encoding::Boolean {
                    Ok(term.sql)
                } else {
                    Err(StoreError::internal(
                        "a condition is neither true nor false",
                    ))
                }
            }
        }
    }

    /// A condition on the rows that are wanted.
    ///
    /// SQLite makes a join of an outer join whose target a condition needs, and then likes to start from
    /// the target: all orders of a region are fetched and sorted to give the newest twenty. Where the rows
    /// come in order by an index and the condition is no sharp one, it is written so that the join stays as
    /// it is. PostgreSQL weighs that by itself.
    pub(crate) fn row_condition(&mut self, expression: &Expression) -> Result<String, StoreError> {
        if self.is_postgres() || !self.is_page {
            return self.condition(expression, false);
        }
        if let Expression::And(conditions) = expression {
            let known = conditions
                .iter()
                .find_map(|condition| self.known_target(condition));
            let texts = conditions
                .iter()
                .map(|condition| match &known {
                    Some(known) if known.decides(condition) => self.of_target(known, condition),
                    _ => self.row_condition(condition),
                })
                .collect::<Result<Vec<_>, _>>()?;
            return Ok(match texts.as_slice() {
                [] => truth(true),
                [one] => one.clone(),
                several => format!("({})", several.join(" AND ")),
            });
        }
        let text = self.condition(expression, false)?;
        Ok(if self.is_about_many(expression) {
            format!("({text}) IS TRUE")
        } else {
            text
        })
    }

    /// Whether a condition is about what a path reaches, and not found there by an index that is likely to
    /// give few rows.
    fn is_about_many(&self, expression: &Expression) -> bool {
        let any = |expressions: &[Expression]| {
            expressions
                .iter()
                .any(|expression| self.is_about_many(expression))
        };
        match expression {
            Expression::Attribute {
                from,
                path,
                entity,
                attribute,
                ..
            } => match path.as_slice() {
                _ if *from != ROW => false,
                [] => false,
                [_] => !is_found_by_index(&self.model[*entity], *attribute),
                _ => true,
            },
            Expression::HasTarget { from, path, .. } | Expression::IsOf { from, path, .. } => {
                *from == ROW && path.len() > 1
            }
            Expression::Compare { left, right, .. }
            | Expression::Arithmetic { left, right, .. } => {
                self.is_about_many(left) || self.is_about_many(right)
            }
            Expression::And(conditions) | Expression::Or(conditions) => any(conditions),
            Expression::Not(inner) | Expression::Negate(inner) | Expression::Holds(inner) => {
                self.is_about_many(inner)
            }
            Expression::Call { arguments, .. } => any(arguments),
            Expression::In { left, .. } => self.is_about_many(left),
            Expression::If { condition, then } => {
                self.is_about_many(condition) || self.is_about_many(then)
            }
            Expression::Literal { .. }
            | Expression::User { .. }
            | Expression::AsType { .. }
            | Expression::Lambda { .. }
            | Expression::Count { .. } => false,
        }
    }

    /// Whether the expression can be null (as a condition).
    pub(crate) fn is_nullable_condition(expression: &Expression) -> bool {
        match expression {
            Expression::Compare { .. }
            | Expression::In { .. }
            | Expression::HasTarget { .. }
            | Expression::IsOf { .. }
            | Expression::Holds(_)
            | Expression::AsType { .. }
            | Expression::Lambda { .. } => false,
            Expression::And(conditions) | Expression::Or(conditions) => {
                conditions.iter().any(Self::is_nullable_condition)
            }
            Expression::Not(condition) => Self::is_nullable_condition(condition),
            _ => true,
        }
    }

    fn joined(
        &mut self,
        conditions: &[Expression],
        operator: &str,
        none: &str,
        exact: bool,
    ) -> Result<String, StoreError> {
        let texts = conditions
            .iter()
            .map(|condition| self.condition(condition, exact))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match texts.as_slice() {
            [] => none.to_owned(),
            [one] => one.clone(),
            several => format!("({})", several.join(operator)),
        })
    }

    fn comparison(
        &mut self,
        operator: Comparison,
        left: &Expression,
        right: &Expression,
        exact: bool,
    ) -> Result<String, StoreError> {
        match (is_null(left), is_null(right)) {
            (true, true) => return Ok(truth(operator == Comparison::Equal)),
            (true, false) => return self.comparison_with_null(operator, right),
            (false, true) => return self.comparison_with_null(operator, left),
            (false, false) => {}
        }
        // What is hidden is null, which no operator but `ne` finds equal to a value: said as a conjunction,
        // the comparison itself can use an index.
        if !exact && operator != Comparison::NotEqual {
            if let (Expression::If { condition, then }, Expression::Literal { .. }) = (left, right)
            {
                return self.both(condition, |builder| {
                    builder.comparison(operator, then, right, false)
                });
            }
            if let (Expression::Literal { .. }, Expression::If { condition, then }) = (left, right)
            {
                return self.both(condition, |builder| {
                    builder.comparison(operator, left, then, false)
                });
            }
        }
        let ordered = !matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let enumeration = enumeration_of(left).or_else(|| enumeration_of(right));
        let (left, right) = if let (true, Some(enumeration)) = (ordered, enumeration) {
            (
                self.ordinal(left, enumeration)?,
                self.ordinal(right, enumeration)?,
            )
        } else {
            self.comparable(left, right)?
        };
        let (left, right) = if ordered && !(left.collated || right.collated) {
            (self.by_code_point(left), right)
        } else {
            (left, right)
        };
        let (a, b) = (&left.sql, &right.sql);
        let nullable = left.nullable || right.nullable;
        let sign = match operator {
            Comparison::Equal if left.nullable && right.nullable => {
                return Ok(format!("{a} IS NOT DISTINCT FROM {b}"));
            }
            Comparison::NotEqual if nullable => return Ok(format!("{a} IS DISTINCT FROM {b}")),
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        };
        Ok(if exact && nullable {
            format!("(({a} {sign} {b}) IS TRUE)")
        } else {
            format!("{a} {sign} {b}")
        })
    }

    fn both(
        &mut self,
        condition: &Expression,
        other: impl FnOnce(&mut Self) -> Result<String, StoreError>,
    ) -> Result<String, StoreError> {
        let allowed = self.condition(condition, false)?;
        Ok(format!("({allowed} AND {})", other(self)?))
    }

    fn comparison_with_null(
        &mut self,
        operator: Comparison,
        other: &Expression,
    ) -> Result<String, StoreError> {
        let test = match operator {
            Comparison::Equal => "IS NULL",
            Comparison::NotEqual => "IS NOT NULL",
            _ => return Ok(truth(false)),
        };
        Ok(format!("{} {test}", self.term(other)?.sql))
    }

    /// Two terms that the database can compare.
    fn comparable(
        &mut self,
        left: &Expression,
        right: &Expression,
    ) -> Result<(Term, Term), StoreError> {
        let first = self.term_unless_literal(left)?;
        let second = self.term_unless_literal(right)?;
        let scale = first
            .as_ref()
            .map_or(0, Term::scale)
            .max(second.as_ref().map_or(0, Term::scale));
        let first = match first {
            Some(term) => term,
            None => self.term_at(left, scale)?,
        };
        let scale = scale.max(first.scale());
        let second = match second {
            Some(term) => term,
            None => self.term_at(right, scale)?,
        };
        let scale = scale.max(second.scale());
        if first.is_number() && second.is_number() {
            return Ok((self.widened(first, scale), self.widened(second, scale)));
        }
        let first = self.instant(first, second.encoding);
        let second = self.instant(second, first.encoding);
        Ok((first, second))
    }

    fn term_unless_literal(&mut self, expression: &Expression) -> Result<Option<Term>, StoreError> {
        match expression {
            Expression::Literal { .. } => Ok(None),
            _ => self.term(expression).map(Some),
        }
    }

    /// A day as the instant at which it begins, where it meets an instant.
    fn instant(&self, term: Term, other: Encoding) -> Term {
        if term.encoding != Encoding::Date || other != Encoding::DateTime {
            return term;
        }
        let sql = if self.is_postgres() {
            format!("(({}::timestamp) AT TIME ZONE 'UTC')", term.sql)
        } else {
            format!("({} * {})", term.sql, super::numeric::DAY)
        };
        Term::new(sql, Encoding::DateTime, term.nullable)
    }

    fn membership(
        &mut self,
        left: &Expression,
        list: &[Expression],
        exact: bool,
    ) -> Result<String, StoreError> {
        if !is_list_of_literals(list) {
            let mut texts = Vec::with_capacity(list.len());
            for item in list {
                texts.push(self.comparison(Comparison::Equal, left, item, exact)?);
            }
            return Ok(format!("({})", texts.join(" OR ")));
        }
        let has_null = list_has_null(list);
        if let (Expression::If { condition, then }, false, false) = (left, exact, has_null) {
            return self.both(condition, |builder| builder.membership(then, list, false));
        }
        if is_null(left) {
            return Ok(truth(has_null));
        }
        let term = self.term(left)?;
        let nullable = term.nullable;
        let scale = term.scale().max(list_scale(list));
        let encoding = match term.encoding {
            Encoding::Integer if scale == 0 && !list_has_decimal(list) => Encoding::Integer,
            Encoding::Integer | Encoding::Decimal(_) | Encoding::Float(_) => {
                Encoding::Decimal(scale)
            }
            encoding => encoding,
        };
        let position = self.list_position(list)?;
        let name = self.widened(term, scale).sql;
        let found = if list_values(list).next().is_none() {
            None
        } else if self.is_postgres() {
            Some(format!(
                "{name} = ANY({})",
                self.bind(Binding::List(position, encoding))
            ))
        } else {
            let items: Vec<String> = (0..padded(list))
                .map(|item| self.bind(Binding::Item(position, item, encoding)))
                .collect();
            Some(format!("{name} IN ({})", items.join(", ")))
        };
        let found = found.map(|text| {
            if exact && nullable {
                format!("(({text}) IS TRUE)")
            } else {
                text
            }
        });
        Ok(match (found, has_null) {
            (Some(found), false) => found,
            (Some(found), true) => format!("({found} OR {name} IS NULL)"),
            (None, true) => format!("{name} IS NULL"),
            (None, false) => truth(false),
        })
    }

    fn has_target(
        &mut self,
        from: Variable,
        path: &[NavigationId],
        negated: bool,
    ) -> Result<String, StoreError> {
        let (&last, before) = path.split_last().ok_or_else(lost)?;
        let place = self.place(from, before)?;
        let navigation = &self.model[place.entity][last];
        let columns: Vec<String> = match &navigation.storage {
            Storage::Own(columns) => columns
                .iter()
                .map(|own| column(&place.alias, &own.column))
                .collect(),
            Storage::Target(_) | Storage::Join { .. } => {
                let target = self.place(from, path)?;
                key(&self.model[target.entity])
                    .take(1)
                    .map(|part| column(&target.alias, &part.column))
                    .collect()
            }
        };
        let (test, operator) = if negated {
            ("IS NULL", " OR ")
        } else {
            ("IS NOT NULL", " AND ")
        };
        let texts: Vec<String> = columns
            .iter()
            .map(|name| format!("{name} {test}"))
            .collect();
        Ok(match texts.as_slice() {
            [one] => one.clone(),
            several => format!("({})", several.join(operator)),
        })
    }

    fn is_of(&self, place: &Place, entity: EntityId) -> String {
        match self.type_condition(entity, &place.alias) {
            Some(condition) => condition,
            None => match key(&self.model[place.entity]).next() {
                Some(part) if place.optional => {
                    format!("{} IS NOT NULL", column(&place.alias, &part.column))
                }
                _ => truth(true),
            },
        }
    }

    /// FROM and WHERE of the rows at the end of a to-many navigation, with a condition on them.
    fn collection(
        &mut self,
        from: Variable,
        path: &[NavigationId],
        variable: Variable,
        condition: Option<(&Expression, bool)>,
    ) -> Result<String, StoreError> {
        let (&last, before) = path.split_last().ok_or_else(lost)?;
        let place = self.place(from, before)?;
        let model = self.model;
        let navigation = &model[place.entity][last];
        let alias = self.open(variable, navigation.target);
        let mut conditions = Vec::new();
        let mut joined = String::new();
        if let Storage::Join { table, own, target } = &navigation.storage {
            let (join, clause) = self.join_table(&model[navigation.target], &alias, table, target);
            joined = clause;
            for (part, ours) in key(&model[place.entity]).zip(own) {
                conditions.push(format!(
                    "{} = {}",
                    column(&join, ours),
                    column(&place.alias, &part.column)
                ));
            }
        } else {
            conditions.push(link(model, &place, navigation, &alias)?);
        }
        conditions.extend(self.type_condition(navigation.target, &alias));
        if let Some((condition, negated)) = condition {
            let text = self.condition(condition, false)?;
            conditions.push(if negated {
                format!("({text}) IS NOT TRUE")
            } else {
                text
            });
        }
        let first = table(model, navigation.target, &alias);
        let rows = self.close()?;
        // The join table stands right after its target, before what paths add.
        let rest = rows
            .strip_prefix(first.as_str())
            .unwrap_or_default()
            .to_owned();
        Ok(format!(
            "{first}{joined}{rest} WHERE {}",
            conditions.join(" AND ")
        ))
    }

    fn lambda(
        &mut self,
        quantifier: Quantifier,
        from: Variable,
        path: &[NavigationId],
        _entity: EntityId,
        variable: Variable,
        condition: Option<&Expression>,
    ) -> Result<String, StoreError> {
        match quantifier {
            Quantifier::Any => {
                let rows = self.collection(
                    from,
                    path,
                    variable,
                    condition.map(|condition| (condition, false)),
                )?;
                Ok(format!("EXISTS (SELECT 1 FROM {rows})"))
            }
            // Every row fulfils it: there is none of which it is not true.
            Quantifier::All => match condition {
                Some(condition) => {
                    let rows = self.collection(from, path, variable, Some((condition, true)))?;
                    Ok(format!("NOT EXISTS (SELECT 1 FROM {rows})"))
                }
                None => Ok(truth(true)),
            },
        }
    }

    pub(super) fn count(
        &mut self,
        from: Variable,
        path: &[NavigationId],
        _entity: EntityId,
        variable: Variable,
        filter: Option<&Expression>,
    ) -> Result<Term, StoreError> {
        let rows = self.collection(from, path, variable, filter.map(|filter| (filter, false)))?;
        Ok(Term::new(
            format!("(SELECT count(*) FROM {rows})"),
            Encoding::Integer,
            false,
        ))
    }
}

/// Whether an index begins with the attribute: the key, a unique constraint or one that the model asks for.
fn is_found_by_index(entity: &Entity, attribute: AttributeId) -> bool {
    let member = Member::Attribute(attribute);
    let first = |members: &[Member]| members.first() == Some(&member);
    entity.key.first() == Some(&attribute)
        || entity.uniques.iter().any(|unique| first(&unique.members))
        || entity
            .indexes
            .iter()
            .any(|index| index.members.first().is_some_and(|(own, _)| *own == member))
}

fn list_has_decimal(list: &[Expression]) -> bool {
    matches!(
        list.first(),
        Some(Expression::Literal {
            scalar_type: ScalarType::Decimal { .. },
            ..
        })
    )
}

fn is_null(expression: &Expression) -> bool {
    matches!(
        expression,
        Expression::Literal {
            value: Value::Null,
            ..
        }
    )
}

/// Both databases know TRUE and FALSE.
pub(crate) fn truth(value: bool) -> String {
    if value { "TRUE" } else { "FALSE" }.to_owned()
}
