//! What of a query decides its SQL, and what is bound.
//!
//! Two queries with the same key have the same SQL text; their values differ and are collected in the
//! order in which they stand in the query.

use std::collections::HashMap;

use stoa_model::expression::{Expression, Variable};
use stoa_model::model::{AttributeId, EntityId, NavigationId};
use stoa_model::query::{Expand, OrderTerm, Query, Selection, Source};
use stoa_model::value::{ScalarType, Value};

use crate::store::Dialect;

/// Something that is bound when the SQL runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument<'q> {
    /// A literal, a key, a value to continue after.
    Value(&'q Value),
    /// The literals of an `in`.
    List(&'q [Expression]),
    /// A number of rows.
    Number(&'q u64),
}

/// Key and arguments of a query.
pub(crate) struct Shape<'q> {
    pub(crate) key: Vec<u8>,
    pub(crate) arguments: Vec<Argument<'q>>,
    dialect: Dialect,
}

/// What is asked of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its rows.
    Rows,
    /// How many there are.
    Count,
}

impl<'q> Shape<'q> {
    pub(crate) fn of(dialect: Dialect, purpose: Purpose, query: &'q Query) -> Self {
        let mut shape = Self {
            key: Vec::with_capacity(160),
            arguments: Vec::with_capacity(8),
            dialect,
        };
        shape.tag(purpose as u8);
        shape.query(query, purpose);
        shape
    }

    /// Of conditions on a row that is written: they become part of other statements.
    pub(crate) fn of_conditions(dialect: Dialect, conditions: &[&'q Expression]) -> Self {
        let mut shape = Self {
            key: Vec::new(),
            arguments: Vec::with_capacity(8),
            dialect,
        };
        for condition in conditions {
            shape.expression(condition);
        }
        shape
    }

    /// Of the rows of a source.
    pub(crate) fn of_source(dialect: Dialect, source: &'q Source) -> Self {
        let mut shape = Self {
            key: Vec::new(),
            arguments: Vec::with_capacity(8),
            dialect,
        };
        shape.source(source);
        shape
    }

    fn tag(&mut self, tag: u8) {
        self.key.push(tag);
    }

    fn flags(&mut self, flags: &[bool]) {
        let bits = flags
            .iter()
            .fold(0, |bits, &flag| (bits << 1) | u8::from(flag));
        self.tag(bits);
    }

    fn number(&mut self, number: u32) {
        // Small numbers, which nearly all are, take one byte.
        if number < 0xff {
            self.key.push(number as u8);
        } else {
            self.key.push(0xff);
            self.key.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn length(&mut self, length: usize) {
        self.number(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn query(&mut self, query: &'q Query, purpose: Purpose) {
        self.number(query.entity.0);
        self.flags(&[
            query.single,
            query.paged,
            query.count,
            query.skip > 0,
            query.after.is_some(),
            query.filter.is_some(),
        ]);
        self.source(&query.source);
        if let Some(filter) = &query.filter {
            self.expression(filter);
        }
        if purpose == Purpose::Count {
            return;
        }
        self.order(&query.order);
        for value in query.after.iter().flatten() {
            self.value(value);
        }
        self.arguments.push(Argument::Number(&query.skip));
        self.limit(&query.limit);
        self.selection(&query.selection);
    }

    /// PostgreSQL plans for the number of rows wanted, so there it is part of the statement's text. As a
    /// parameter it would be unknown to a plan made once, and every run would be planned anew.
    fn limit(&mut self, limit: &'q u64) {
        if self.dialect == Dialect::Postgres {
            self.number(u32::try_from(*limit).unwrap_or(u32::MAX));
        }
        self.arguments.push(Argument::Number(limit));
    }

    fn source(&mut self, source: &'q Source) {
        match source {
            Source::All => self.tag(0),
            Source::Key(key) => {
                self.tag(1);
                self.values(key);
            }
            Source::Related {
                entity,
                from,
                navigation,
                key,
            } => {
                self.tag(if key.is_some() { 3 } else { 2 });
                self.number(entity.0);
                self.number(navigation.0);
                self.source(from);
                if let Some(key) = key {
                    self.values(key);
                }
            }
            Source::Where {
                entity,
                from,
                condition,
            } => {
                self.tag(4);
                self.number(entity.0);
                self.source(from);
                self.expression(condition);
            }
        }
    }

    fn values(&mut self, values: &'q [Value]) {
        self.length(values.len());
        for value in values {
            self.value(value);
        }
    }

    fn value(&mut self, value: &'q Value) {
        self.tag(u8::from(value.is_null()));
        self.arguments.push(Argument::Value(value));
    }

    fn order(&mut self, order: &'q [OrderTerm]) {
        self.length(order.len());
        for term in order {
            self.tag(u8::from(term.descending));
            self.expression(&term.expression);
        }
    }

    fn selection(&mut self, selection: &'q Selection) {
        self.length(selection.node);
        self.number(selection.entity.0);
        self.length(selection.attributes.len());
        for AttributeId(attribute) in &selection.attributes {
            self.number(*attribute);
        }
        self.length(selection.specialised.len());
        for (EntityId(entity), AttributeId(attribute)) in &selection.specialised {
            self.number(*entity);
            self.number(*attribute);
        }
        self.length(selection.expands.len());
        for expand in &selection.expands {
            self.expand(expand);
        }
        self.length(selection.masks.len());
        for mask in &selection.masks {
            self.length(mask.position);
            self.expression(&mask.condition);
        }
    }

    fn expand(&mut self, expand: &'q Expand) {
        self.number(expand.navigation.0);
        self.flags(&[
            expand.paged,
            expand.count,
            expand.count_only,
            expand.skip > 0,
            expand.filter.is_some(),
            expand.condition.is_some(),
            not_given(self.dialect, expand).is_some(),
        ]);
        if let Some(condition) = &expand.condition {
            self.expression(condition);
        }
        if let Some(filter) = &expand.filter {
            self.expression(filter);
        }
        if let Some(given) = not_given(self.dialect, expand) {
            self.expression(given);
        }
        self.order(&expand.order);
        self.arguments.push(Argument::Number(&expand.skip));
        self.limit(&expand.limit);
        self.selection(&expand.selection);
    }

    fn path(&mut self, from: Variable, path: &[NavigationId]) {
        self.number(u32::from(from.0));
        self.length(path.len());
        for NavigationId(navigation) in path {
            self.number(*navigation);
        }
    }

    fn scalar_type(&mut self, scalar_type: ScalarType) {
        match scalar_type {
            ScalarType::String => self.tag(0),
            ScalarType::Integer => self.tag(1),
            ScalarType::Long => self.tag(2),
            // Precision does not change SQL; scale is looked at where it matters.
            ScalarType::Decimal { .. } => self.tag(3),
            ScalarType::Boolean => self.tag(4),
            ScalarType::DateTime => self.tag(5),
            ScalarType::Date => self.tag(6),
            ScalarType::Time => self.tag(7),
            ScalarType::Duration => self.tag(8),
            ScalarType::Uuid => self.tag(9),
            ScalarType::Binary => self.tag(10),
            ScalarType::File => self.tag(11),
            ScalarType::Json => self.tag(12),
            ScalarType::Enumeration(enumeration) => {
                self.tag(13);
                self.number(enumeration.0);
            }
        }
    }

    fn expression(&mut self, expression: &'q Expression) {
        match expression {
            Expression::Literal { value, scalar_type } => {
                self.tag(20);
                self.scalar_type(*scalar_type);
                self.tag(literal_scale(value));
                self.value(value);
            }
            Expression::Attribute {
                from,
                path,
                entity,
                attribute,
                ..
            } => {
                self.tag(21);
                self.path(*from, path);
                self.number(entity.0);
                self.number(attribute.0);
            }
            Expression::HasTarget {
                from,
                path,
                negated,
            } => {
                self.tag(if *negated { 23 } else { 22 });
                self.path(*from, path);
            }
            Expression::IsOf { from, path, entity } => {
                self.tag(24);
                self.path(*from, path);
                self.number(entity.0);
            }
            Expression::Compare {
                operator,
                left,
                right,
            } => {
                self.tag(30 + *operator as u8);
                self.expression(left);
                self.expression(right);
            }
            Expression::And(conditions) => self.expressions(40, conditions),
            Expression::Or(conditions) => self.expressions(41, conditions),
            Expression::Not(condition) => {
                self.tag(42);
                self.expression(condition);
            }
            Expression::Arithmetic {
                operator,
                left,
                right,
                scalar_type,
            } => {
                self.tag(50 + *operator as u8);
                self.scalar_type(*scalar_type);
                self.expression(left);
                self.expression(right);
            }
            Expression::Negate(operand) => {
                self.tag(60);
                self.expression(operand);
            }
            Expression::Call {
                function,
                arguments,
                ..
            } => {
                self.tag(61);
                self.expressions(*function as u8, arguments);
            }
            Expression::In { left, list } => self.list(left, list),
            Expression::Lambda {
                quantifier,
                from,
                path,
                entity,
                variable,
                condition,
            } => {
                self.tag(70 + *quantifier as u8);
                self.collection(*from, path, *entity, *variable, condition.as_deref());
            }
            Expression::Count {
                from,
                path,
                entity,
                variable,
                filter,
            } => {
                self.tag(72);
                self.collection(*from, path, *entity, *variable, filter.as_deref());
            }
            Expression::User { .. } => self.tag(73),
            Expression::If { condition, then } => {
                self.tag(74);
                self.expression(condition);
                self.expression(then);
            }
            Expression::AsType {
                from,
                path,
                entity,
                variable,
                condition,
            } => {
                self.tag(76);
                self.collection(*from, path, *entity, *variable, Some(condition));
            }
            Expression::Holds(inner) => {
                self.tag(75);
                self.expression(inner);
            }
        }
    }

    fn collection(
        &mut self,
        from: Variable,
        path: &'q [NavigationId],
        entity: EntityId,
        variable: Variable,
        condition: Option<&'q Expression>,
    ) {
        self.path(from, path);
        self.number(entity.0);
        self.number(u32::from(variable.0));
        self.tag(u8::from(condition.is_some()));
        if let Some(condition) = condition {
            self.expression(condition);
        }
    }

    fn list(&mut self, left: &'q Expression, list: &'q [Expression]) {
        if !is_list_of_literals(list) {
            self.tag(63);
            self.expression(left);
            self.expressions(0, list);
            return;
        }
        self.tag(62);
        self.expression(left);
        self.tag(u8::from(list_has_null(list)));
        self.tag(list_scale(list));
        if let Some(Expression::Literal { scalar_type, .. }) = list.first() {
            self.scalar_type(*scalar_type);
        }
        if self.dialect == Dialect::Sqlite {
            self.length(padded(list));
        } else {
            self.tag(u8::from(list_values(list).next().is_some()));
        }
        self.arguments.push(Argument::List(list));
    }

    fn expressions(&mut self, tag: u8, expressions: &'q [Expression]) {
        self.tag(tag);
        self.length(expressions.len());
        for expression in expressions {
            self.expression(expression);
        }
    }
}

/// What is given of an expand's targets, where they may be read in another state of the database than their
/// parents, so that it must be looked at: on PostgreSQL each statement has a state of its own.
pub(crate) fn not_given(dialect: Dialect, expand: &Expand) -> Option<&Expression> {
    expand
        .given
        .as_ref()
        .filter(|_| dialect == Dialect::Postgres)
}

/// Scale at which a numeric literal takes part in computations: even, so that 1.5 and 1.25 share SQL.
pub(crate) fn literal_scale(value: &Value) -> u8 {
    match value {
        Value::Decimal(decimal) => {
            let scale = u8::try_from(decimal.normalize().scale()).unwrap_or(u8::MAX);
            (scale + 1) & !1
        }
        _ => 0,
    }
}

/// Whether an `in` has nothing but literals.
pub(crate) fn is_list_of_literals(list: &[Expression]) -> bool {
    list.iter()
        .all(|item| matches!(item, Expression::Literal { .. }))
}

/// Whether null is among the literals.
pub(crate) fn list_has_null(list: &[Expression]) -> bool {
    list.iter()
        .any(|item| matches!(item, Expression::Literal { value, .. } if value.is_null()))
}

/// The literals that are not null.
pub(crate) fn list_values(list: &[Expression]) -> impl Iterator<Item = &Value> {
    list.iter().filter_map(|item| match item {
        Expression::Literal { value, .. } if !value.is_null() => Some(value),
        _ => None,
    })
}

/// The greatest scale of the literals.
pub(crate) fn list_scale(list: &[Expression]) -> u8 {
    list_values(list).map(literal_scale).max().unwrap_or(0)
}

/// Number of placeholders that a list gets where it cannot be bound as a whole: a power of two.
pub(crate) fn padded(list: &[Expression]) -> usize {
    match list_values(list).count() {
        0 => 0,
        count => count.next_power_of_two(),
    }
}

/// Finds the argument that something in the query has become: by where it lies in memory, since the
/// SQL names things in another order, and some more than once.
pub(crate) struct Positions {
    values: HashMap<usize, usize>,
    lists: HashMap<usize, usize>,
    numbers: HashMap<usize, usize>,
}

fn address<T: ?Sized>(item: &T) -> usize {
    std::ptr::from_ref(item).cast::<u8>() as usize
}

impl Positions {
    pub(crate) fn of(arguments: &[Argument<'_>]) -> Self {
        let mut positions = Self {
            values: HashMap::new(),
            lists: HashMap::new(),
            numbers: HashMap::new(),
        };
        for (position, argument) in arguments.iter().enumerate() {
            match argument {
                Argument::Value(value) => positions.values.insert(address(*value), position),
                Argument::List(list) => positions.lists.insert(address(*list), position),
                Argument::Number(number) => positions.numbers.insert(address(*number), position),
            };
        }
        positions
    }

    pub(crate) fn value(&self, value: &Value) -> Option<usize> {
        self.values.get(&address(value)).copied()
    }

    pub(crate) fn list(&self, list: &[Expression]) -> Option<usize> {
        self.lists.get(&address(list)).copied()
    }

    pub(crate) fn number(&self, number: &u64) -> Option<usize> {
        self.numbers.get(&address(number)).copied()
    }
}
