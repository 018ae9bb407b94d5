//! Conditions on one row that is being written: what a change must fulfil.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use stoa_model::expression::{Expression, Variable};
use stoa_model::model::{EntityId, Model, NavigationId};
use stoa_model::query::{ROW, Source};

use super::Binding;
use super::builder::{Builder, column, key};
use super::shape::Positions;
use crate::error::StoreError;
use crate::store::Dialect;

/// Conditions on a row, as columns that are true or not.
#[derive(Debug)]
pub(crate) struct Judged {
    /// One for each condition, or one for all of them: true, or false, never null.
    pub(crate) columns: Vec<String>,
    /// The row's table, under [`super::plan::ROOT_ALIAS`], and what its paths reach; empty where the table
    /// stands outside of the text.
    pub(crate) from: String,
    pub(crate) bindings: Vec<Binding>,
}

/// Texts of conditions that have been asked for before, with a bound.
pub(crate) struct Texts {
    known: Mutex<LruCache<Box<[u8]>, Known>>,
}

struct Known {
    judged: Arc<Judged>,
    /// Keeps the model alive, whose address is part of the key.
    _model: Arc<Model>,
}

/// How conditions stand in a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// See [`Judge::rows`].
    Rows,
    /// See [`Judge::inside`].
    Inside,
}

impl Texts {
    pub(crate) fn new(most: usize) -> Self {
        let most = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        Self {
            known: Mutex::new(LruCache::new(most)),
        }
    }

    /// The text for conditions of a shape on rows of `entity`, made if it is the first time.
    pub(crate) fn judged(
        &self,
        model: &Arc<Model>,
        mut key: Vec<u8>,
        (standing, entity, offset): (Standing, EntityId, usize),
        make: impl FnOnce() -> Result<Judged, StoreError>,
    ) -> Result<Arc<Judged>, StoreError> {
        key.push(standing as u8);
        key.extend_from_slice(&entity.0.to_le_bytes());
        key.extend_from_slice(&offset.to_le_bytes());
        key.extend_from_slice(&(Arc::as_ptr(model) as usize).to_le_bytes());
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(key.as_slice()) {
            return Ok(Arc::clone(&known.judged));
        }
        let judged = Arc::new(make()?);
        let known = Known {
            judged: Arc::clone(&judged),
            _model: Arc::clone(model),
        };
        lock().put(key.into_boxed_slice(), known);
        Ok(judged)
    }
}

/// What decides the text of conditions.
pub(crate) struct Judge<'a> {
    pub(crate) model: &'a Model,
    pub(crate) dialect: Dialect,
    pub(crate) positions: &'a Positions,
    /// Placeholders that the statement has already.
    pub(crate) offset: usize,
}

impl Judge<'_> {
    fn builder(&self) -> Builder<'_> {
        Builder::new(self.model, self.dialect, self.positions).after_placeholders(self.offset)
    }

    /// Conditions on a row of `entity` that is in its table.
    pub(crate) fn rows(
        &self,
        entity: EntityId,
        conditions: &[&Expression],
    ) -> Result<Judged, StoreError> {
        let mut builder = self.builder();
        builder.open(ROW, entity);
        let columns = conditions
            .iter()
            .map(|condition| {
                Ok(format!(
                    "({}) IS TRUE",
                    builder.condition(condition, false)?
                ))
            })
            .collect::<Result<_, StoreError>>()?;
        let from = builder.close()?;
        Ok(Judged {
            columns,
            from,
            bindings: builder.into_bindings(),
        })
    }

    /// Conditions on a row that the statement around has under [`super::plan::ROOT_ALIAS`]: one column that
    /// is true if all of them are.
    pub(crate) fn inside(
        &self,
        entity: EntityId,
        conditions: &[&Expression],
    ) -> Result<Judged, StoreError> {
        let mut builder = self.builder();
        builder.open(ROW, entity);
        let text = builder.detached(conditions)?;
        builder.close()?;
        Ok(Judged {
            columns: vec![text],
            from: String::new(),
            bindings: builder.into_bindings(),
        })
    }

    /// Finds the keys of the rows of a source, two at most.
    pub(crate) fn keys(
        &self,
        entity: EntityId,
        source: &Source,
    ) -> Result<(String, Vec<Binding>), StoreError> {
        let mut builder = self.builder();
        let alias = builder.open(ROW, entity);
        let mut conditions = builder.source(source, entity, &alias)?;
        conditions.extend(builder.type_condition(entity, &alias));
        let columns: Vec<String> = key(&self.model[entity])
            .map(|part| column(&alias, &part.column))
            .collect();
        let from = builder.close()?;
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let sql = format!("SELECT {} FROM {from}{filter} LIMIT 2", columns.join(", "));
        Ok((sql, builder.into_bindings()))
    }
}

impl Builder<'_> {
    /// All conditions on the innermost scope's row, whose table stands outside of the text.
    pub(crate) fn detached(&mut self, conditions: &[&Expression]) -> Result<String, StoreError> {
        let texts = conditions
            .iter()
            .map(|condition| self.condition(condition, false))
            .collect::<Result<Vec<_>, _>>()?;
        let all = texts.join(" AND ");
        if !self.has_joins() {
            return Ok(format!("({all}) IS TRUE"));
        }
        let (from, condition) = self.joins_alone();
        let filter = condition.map_or_else(String::new, |condition| format!(" WHERE {condition}"));
        Ok(format!("(SELECT {all} FROM {from}{filter}) IS TRUE"))
    }
}

/// Whether a condition on a new row of `entity` looks at nothing but the row and rows of other tables that
/// it refers to: the statement that inserts the row does not see it.
pub(crate) fn concerns_itself_only(
    model: &Model,
    entity: EntityId,
    condition: &Expression,
) -> bool {
    let leads_away = |from: Variable, path: &[NavigationId]| {
        let mut place = entity;
        from == ROW
            && path.iter().all(|id| {
                place = model[place][*id].target;
                model[place].root != model[entity].root
            })
    };
    let all = |expressions: &[Expression]| {
        expressions
            .iter()
            .all(|expression| concerns_itself_only(model, entity, expression))
    };
    match condition {
        Expression::Literal { .. } | Expression::User { .. } => true,
        Expression::Attribute { from, path, .. }
        | Expression::HasTarget { from, path, .. }
        | Expression::IsOf { from, path, .. } => leads_away(*from, path),
        Expression::Compare { left, right, .. } | Expression::Arithmetic { left, right, .. } => {
            concerns_itself_only(model, entity, left) && concerns_itself_only(model, entity, right)
        }
        Expression::And(conditions) | Expression::Or(conditions) => all(conditions),
        Expression::Not(inner) | Expression::Negate(inner) | Expression::Holds(inner) => {
            concerns_itself_only(model, entity, inner)
        }
        Expression::Call { arguments, .. } => all(arguments),
        Expression::In { left, list } => concerns_itself_only(model, entity, left) && all(list),
        Expression::If { condition, then } => {
            concerns_itself_only(model, entity, condition)
                && concerns_itself_only(model, entity, then)
        }
        Expression::Lambda { .. } | Expression::Count { .. } | Expression::AsType { .. } => false,
    }
}
