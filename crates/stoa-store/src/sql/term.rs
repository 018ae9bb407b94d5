//! Expressions that have a value.

use stoa_model::expression::{Expression, Variable};
use stoa_model::model::{AttributeId, ColumnType, EntityId, EnumerationId, NavigationId, Storage};
use stoa_model::value::{ScalarType, Value};

use super::builder::{Builder, column, is_nullable};
use super::shape::literal_scale;
use super::{Encoding, constant};
use crate::error::StoreError;

/// SQL of a value.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) sql: String,
    pub(crate) encoding: Encoding,
    pub(crate) nullable: bool,
    /// Text whose collation is known to be by code point.
    pub(crate) collated: bool,
}

impl Term {
    pub(crate) fn new(sql: String, encoding: Encoding, nullable: bool) -> Self {
        Self {
            sql,
            encoding,
            nullable,
            collated: false,
        }
    }

    /// Digits after the point of a number.
    pub(crate) fn scale(&self) -> u8 {
        match self.encoding {
            Encoding::Decimal(scale) | Encoding::Float(scale) => scale,
            _ => 0,
        }
    }

    pub(crate) fn is_decimal(&self) -> bool {
        matches!(self.encoding, Encoding::Decimal(_) | Encoding::Float(_))
    }

    pub(crate) fn is_number(&self) -> bool {
        self.is_decimal() || self.encoding == Encoding::Integer
    }
}

impl Builder<'_> {
    /// SQL of an expression's value.
    pub(crate) fn term(&mut self, expression: &Expression) -> Result<Term, StoreError> {
        match expression {
            Expression::Literal { value, scalar_type } => self.literal(value, *scalar_type, 0),
            Expression::Attribute {
                from,
                path,
                attribute,
                entity,
                ..
            } => self.attribute(*from, path, *entity, *attribute),
            Expression::Arithmetic {
                operator,
                left,
                right,
                ..
            } => self.arithmetic(*operator, left, right),
            Expression::Negate(operand) => self.negation(operand),
            Expression::Call {
                function,
                arguments,
                ..
            } => self.call(*function, arguments),
            Expression::Count {
                from,
                path,
                entity,
                variable,
                filter,
            } => self.count(*from, path, *entity, *variable, filter.as_deref()),
            Expression::If { condition, then } => {
                let allowed = self.condition(condition, false)?;
                let then = self.term(then)?;
                Ok(Term {
                    sql: format!("(CASE WHEN {allowed} THEN {} END)", then.sql),
                    nullable: true,
                    ..then
                })
            }
            _ => {
                let nullable = Self::is_nullable_condition(expression);
                let sql = self.condition(expression, true)?;
                Ok(Term::new(format!("({sql})"), Encoding::Boolean, nullable))
            }
        }
    }

    /// A literal; a number gets at least this scale.
    pub(crate) fn literal(
        &mut self,
        value: &Value,
        scalar_type: ScalarType,
        scale: u8,
    ) -> Result<Term, StoreError> {
        let encoding = match Encoding::of(scalar_type) {
            Encoding::Decimal(_) => Encoding::Decimal(scale.max(literal_scale(value))),
            Encoding::Integer if scale > 0 || matches!(value, Value::Decimal(_)) => {
                Encoding::Decimal(scale.max(literal_scale(value)))
            }
            encoding => encoding,
        };
        let sql = self.bind_value(value, encoding)?;
        Ok(Term::new(sql, encoding, value.is_null()))
    }

    /// An expression; a numeric literal gets at least this scale.
    pub(crate) fn term_at(
        &mut self,
        expression: &Expression,
        scale: u8,
    ) -> Result<Term, StoreError> {
        match expression {
            Expression::Literal { value, scalar_type }
                if scalar_type.is_numeric() && !self.is_postgres() =>
            {
                self.literal(value, *scalar_type, scale)
            }
            _ => self.term(expression),
        }
    }

    fn attribute(
        &mut self,
        from: Variable,
        path: &[NavigationId],
        entity: EntityId,
        attribute: AttributeId,
    ) -> Result<Term, StoreError> {
        if let Some(term) = self.foreign_key_part(from, path, attribute)? {
            return Ok(term);
        }
        let place = self.place(from, path)?;
        // The attribute's id is that of the entity the expression was bound against, which may be a
        // specialisation of the one that the path is declared with.
        let mut term = self.attribute_of(&place.alias, entity, attribute);
        term.nullable |= place.optional;
        Ok(term)
    }

    /// An attribute of an alias's rows.
    pub(crate) fn attribute_of(
        &self,
        alias: &str,
        entity: EntityId,
        attribute: AttributeId,
    ) -> Term {
        let entity = &self.model[entity];
        let attribute = &entity[attribute];
        let name = column(alias, &attribute.column);
        let mut term = Term::new(
            name,
            Encoding::of(attribute.scalar_type),
            is_nullable(entity, attribute),
        );
        term.collated = !entity.table.external;
        match (
            attribute.column_type,
            attribute.scalar_type,
            self.is_postgres(),
        ) {
            (Some(ColumnType::Real | ColumnType::Double), _, true) => {
                term.sql = format!("(({}::text)::numeric)", term.sql);
            }
            (
                Some(ColumnType::Real | ColumnType::Double),
                ScalarType::Decimal { scale, .. },
                false,
            ) => {
                term.sql = format!("stoa_decimal({}, {scale})", term.sql);
            }
            (_, ScalarType::Json, true) => term.sql = format!("({}::text)", term.sql),
            _ => {}
        }
        term
    }

    /// `Customer/id` is the foreign key itself: no join.
    fn foreign_key_part(
        &mut self,
        from: Variable,
        path: &[NavigationId],
        attribute: AttributeId,
    ) -> Result<Option<Term>, StoreError> {
        let Some((&last, before)) = path.split_last() else {
            return Ok(None);
        };
        if before.is_empty() && self.is_at_target(from) {
            // Who holds the foreign key is not among the rows.
            return Ok(None);
        }
        let place = self.place(from, before)?;
        let navigation = &self.model[place.entity][last];
        let target = &self.model[navigation.target];
        let Storage::Own(columns) = &navigation.storage else {
            return Ok(None);
        };
        // A key attribute of a root has the same id in all specialisations.
        let Some(part) = target.key.iter().position(|&id| id == attribute) else {
            return Ok(None);
        };
        let Some(own) = columns.get(part) else {
            return Ok(None);
        };
        let holder = &self.model[place.entity];
        let required = navigation.required && navigation.declared_by == holder.root;
        let mut term = Term::new(
            column(&place.alias, &own.column),
            Encoding::of(target[attribute].scalar_type),
            place.optional || !required,
        );
        term.collated = !holder.table.external;
        Ok(Some(term))
    }

    /// Text that compares by code point.
    pub(crate) fn by_code_point(&self, term: Term) -> Term {
        if self.is_postgres() && term.encoding == Encoding::Text && !term.collated {
            return Term {
                sql: format!("({} COLLATE \"C\")", term.sql),
                collated: true,
                ..term
            };
        }
        term
    }

    /// Place of a member in its enumeration. What the model does not know is null.
    pub(crate) fn ordinal(
        &mut self,
        expression: &Expression,
        enumeration: EnumerationId,
    ) -> Result<Term, StoreError> {
        if let Expression::Literal { value, .. } = expression {
            let encoding = Encoding::Ordinal(enumeration);
            let sql = self.bind_value(value, encoding)?;
            return Ok(Term::new(sql, encoding, value.is_null()));
        }
        let term = self.term(expression)?;
        Ok(Term::new(
            self.ordinal_of(&term.sql, enumeration),
            Encoding::Ordinal(enumeration),
            true,
        ))
    }

    fn ordinal_of(&self, sql: &str, enumeration: EnumerationId) -> String {
        let mut text = format!("(CASE {sql}");
        for (place, member) in self.model[enumeration].members.iter().enumerate() {
            text.push_str(&format!(" WHEN {} THEN {place}", constant(&member.name)));
        }
        text.push_str(" END)");
        text
    }
}

/// The enumeration of an expression's value.
pub(crate) fn enumeration_of(expression: &Expression) -> Option<EnumerationId> {
    match expression {
        Expression::Literal {
            scalar_type: ScalarType::Enumeration(enumeration),
            ..
        }
        | Expression::Attribute {
            scalar_type: ScalarType::Enumeration(enumeration),
            ..
        } => Some(*enumeration),
        Expression::If { then, .. } => enumeration_of(then),
        _ => None,
    }
}
