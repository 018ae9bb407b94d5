//! A statement of a write: SQL for one dialect, values, and what comes back.

use rust_decimal::Decimal;
use stoa_model::model::{Attribute, ColumnType, Model};
use stoa_model::value::{ScalarType, Value};
use uuid::Uuid;

use crate::error::StoreError;
use crate::read::parameter::{Arguments, ordinal};
use crate::sql::{Binding, Encoding};
use crate::store::Dialect;

/// How a column keeps a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    SmallInteger,
    Integer,
    Long,
    /// Exact decimal with so many digits after the point.
    Decimal(u8),
    Real,
    Double,
    Text,
    DateTime,
    Date,
    Time,
    Duration,
    Uuid,
    Binary,
    Json,
}

impl Form {
    pub(super) fn of(attribute: &Attribute) -> Self {
        match attribute.column_type {
            Some(ColumnType::SmallInteger) => return Self::SmallInteger,
            Some(ColumnType::Real) => return Self::Real,
            Some(ColumnType::Double) => return Self::Double,
            None => {}
        }
        match attribute.scalar_type {
            ScalarType::String | ScalarType::Enumeration(_) | ScalarType::File => Self::Text,
            ScalarType::Integer => Self::Integer,
            ScalarType::Long => Self::Long,
            ScalarType::Decimal { scale, .. } => Self::Decimal(scale),
            ScalarType::Boolean => Self::Boolean,
            ScalarType::DateTime => Self::DateTime,
            ScalarType::Date => Self::Date,
            ScalarType::Time => Self::Time,
            ScalarType::Duration => Self::Duration,
            ScalarType::Uuid => Self::Uuid,
            ScalarType::Binary => Self::Binary,
            ScalarType::Json => Self::Json,
        }
    }

    /// Type of an array of such values in PostgreSQL.
    pub(super) fn array_type(self) -> &'static str {
        match self {
            Self::Boolean => "boolean[]",
            Self::SmallInteger => "smallint[]",
            Self::Integer => "integer[]",
            Self::Long | Self::Duration => "bigint[]",
            Self::Decimal(_) => "numeric[]",
            Self::Real => "real[]",
            Self::Double => "double precision[]",
            Self::Text => "text[]",
            Self::DateTime => "timestamptz[]",
            Self::Date => "date[]",
            Self::Time => "time[]",
            Self::Uuid => "uuid[]",
            Self::Binary => "bytea[]",
            Self::Json => "json[]",
        }
    }
}

/// A bound value.
#[derive(Clone, Debug)]
pub(super) enum Parameter {
    One(Value, Form),
    /// All values of a column, for `unnest` (PostgreSQL).
    Many(Vec<Value>),
    /// A value of an expression.
    Compared(Value, Encoding),
    /// The values of a list in an expression (PostgreSQL).
    Among(Vec<Value>, Encoding),
}

/// What expressions have behind their placeholders.
pub(super) fn parameters(
    model: &Model,
    bindings: &[Binding],
    arguments: &Arguments,
    now: i64,
) -> Result<Vec<Parameter>, StoreError> {
    bindings
        .iter()
        .map(|binding| {
            Ok(match *binding {
                Binding::Value(position, Encoding::Ordinal(enumeration)) => {
                    let place = ordinal(model, enumeration, arguments.value(position)?);
                    Parameter::One(place.map_or(Value::Null, Value::Integer), Form::Long)
                }
                Binding::Value(position, encoding) => {
                    Parameter::Compared(arguments.value(position)?.clone(), encoding)
                }
                Binding::List(position, encoding) => {
                    Parameter::Among(arguments.list(position)?.to_vec(), encoding)
                }
                Binding::Item(position, item, encoding) => {
                    let list = arguments.list(position)?;
                    let value = list.get(item).or_else(|| list.last());
                    Parameter::Compared(value.cloned().unwrap_or(Value::Null), encoding)
                }
                Binding::Now => Parameter::One(Value::DateTime(now), Form::DateTime),
                Binding::Number(..) | Binding::Parent(_) | Binding::Parents(..) => {
                    return Err(StoreError::internal("a condition is no query"));
                }
            })
        })
        .collect()
}

/// A statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter>,
    /// Forms of the columns that come back.
    pub(super) returns: Vec<Form>,
}

/// A statement in the making.
pub(super) struct Writer {
    dialect: Dialect,
    pub(super) sql: String,
    parameters: Vec<Parameter>,
}

impl Writer {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sql: String::with_capacity(256),
            parameters: Vec::new(),
        }
    }

    /// Placeholders so far.
    pub(super) fn count(&self) -> usize {
        self.parameters.len()
    }

    /// Takes what stands behind placeholders that are numbered already.
    pub(super) fn add(&mut self, parameters: Vec<Parameter>) -> &mut Self {
        self.parameters.extend(parameters);
        self
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        self.sql.push('"');
        for character in name.chars() {
            if character == '"' {
                self.sql.push('"');
            }
            self.sql.push(character);
        }
        self.sql.push('"');
        self
    }

    pub(super) fn names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> &mut Self {
        for (position, name) in names.into_iter().enumerate() {
            if position > 0 {
                self.sql.push_str(", ");
            }
            self.name(name);
        }
        self
    }

    /// A text constant of the model.
    pub(super) fn constant(&mut self, text: &str) -> &mut Self {
        self.sql.push('\'');
        self.sql.push_str(&text.replace('\'', "''"));
        self.sql.push('\'');
        self
    }

    pub(super) fn bind(&mut self, value: Value, form: Form) -> &mut Self {
        self.parameter(Parameter::One(value, form))
    }

    pub(super) fn parameter(&mut self, parameter: Parameter) -> &mut Self {
        use std::fmt::Write;
        self.parameters.push(parameter);
        let sign = if self.is_postgres() { '$' } else { '?' };
        // Writing to a String cannot fail.
        let _ = write!(self.sql, "{sign}{}", self.parameters.len());
        self
    }

    pub(super) fn finish(self, returns: Vec<Form>) -> Statement {
        Statement {
            sql: self.sql,
            parameters: self.parameters,
            returns,
        }
    }
}

/// A decimal as SQLite keeps it: times 10^scale.
pub(super) fn scaled(value: Decimal, scale: u8) -> Result<i64, StoreError> {
    let mut value = value;
    value.rescale(u32::from(scale));
    i64::try_from(value.mantissa())
        .map_err(|_| StoreError::internal("a decimal has too many digits"))
}

/// Why the database refused.
#[derive(Debug)]
pub(super) enum Failure {
    /// A rule of the data.
    Refused(Refusal),
    /// Anything else.
    Error(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// A rule of the data that the database says is broken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Columns of a unique constraint or key, if the database says which, else the constraint's name.
    Unique {
        table: String,
        columns: Vec<String>,
        constraint: String,
    },
    Reference {
        table: String,
        constraint: String,
    },
    NotNull {
        column: String,
    },
    Check {
        constraint: String,
    },
    /// A value is longer or greater than the column.
    TooLarge,
}

/// A decoded row.
pub(super) type Row = Vec<Value>;

/// One connection in one transaction.
pub(super) trait Connection {
    fn dialect(&self) -> Dialect;
    /// Runs a statement.
    async fn query(&mut self, statement: Statement) -> Result<Vec<Row>, Failure>;
    /// Runs statements in their order, all sent before the first has answered; each has its own outcome.
    async fn several(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Result<Vec<Row>, Failure>>, Failure>;
    /// Runs statements of which none needs what another gives.
    async fn all(&mut self, statements: Vec<Statement>) -> Result<(), Failure>;
    /// Sets a mark to come back to.
    async fn mark(&mut self) -> Result<(), Failure>;
    /// Goes back to the mark.
    async fn back(&mut self) -> Result<(), Failure>;
}

/// The integer in a row.
pub(super) fn integer(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Integer(value)) => Some(*value),
        _ => None,
    }
}

/// The text in a row.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Text(value)) => Some(value),
        _ => None,
    }
}

pub(super) fn uuid_of(bytes: &[u8]) -> Result<Value, StoreError> {
    Uuid::from_slice(bytes)
        .map(Value::Uuid)
        .map_err(|_| StoreError::internal("a key is no UUID"))
}
