//! Access rules at work: what a reader sees of the model, of the data, and what the reader may change.
//!
//! Everything that is read or written goes through [`Access`]: the store takes nothing but [`Permitted`]
//! queries and changes, so that a new path to the data cannot forget the rules.
//!
//! Rules add up. A row is there for a reader if the condition of a rule with anything in `read` holds; a
//! value is there if such a rule names it. Expressions of the *request* see what the reader sees;
//! expressions of *rules* see everything.

mod change;
pub mod explain;
mod guard;
mod logic;
mod print;
mod query;
mod reader;
mod redact;
mod rules;
#[cfg(test)]
mod tests;
mod user;
mod variables;
mod view;

use std::ops::Deref;
use std::sync::Arc;

use self::guard::Guard;
use self::rules::EntityRules;
use crate::change::{Action, Change, Operation, Violation};
use crate::expression::Expression;
use crate::model::{AttributeId, Model, NavigationId, RoleId};
use crate::query::{Query, Source};
use crate::value::Value;

/// What must all be true for a condition to be.
fn operands_of(condition: &Expression) -> &[Expression] {
    match condition {
        Expression::And(operands) => operands,
        one => std::slice::from_ref(one),
    }
}

/// Something that has been judged and may go to the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Permitted<T>(T);

impl<T> Permitted<T> {
    /// For what the runtime does for itself, and for tests: nobody's rules apply. Never for what a request
    /// asks for.
    #[must_use]
    pub fn by_system(inner: T) -> Self {
        Self(inner)
    }

    /// What was permitted.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Permitted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A change with what must be judged in its transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgedChange {
    /// What to do.
    pub change: Change,
    /// One for each operation, or none at all when nothing needs to be judged.
    pub judgements: Vec<Judgement>,
    /// Who does it, for the audit trail; none: the runtime itself.
    pub actor: Option<Actor>,
}

impl From<Change> for JudgedChange {
    fn from(change: Change) -> Self {
        Self {
            change,
            judgements: Vec::new(),
            actor: None,
        }
    }
}

impl JudgedChange {
    /// A query for a row of this change without the conditions that have been judged to be true of the row,
    /// if there are any: for a read in the change's own transaction, right after all was judged.
    #[must_use]
    pub fn without_judged(&self, model: &Model, query: &Query) -> Option<Query> {
        let filter = query.filter.as_ref()?;
        let demands = &self.judged_row(model, query)?.row.after;
        let operands = operands_of(filter);
        let is_judged = |operand: &Expression| {
            demands
                .iter()
                .any(|demand| operands_of(&demand.condition).contains(operand))
        };
        let others = operands.iter().filter(|operand| !is_judged(operand));
        let others: Vec<Expression> = others.cloned().collect();
        if others.len() == operands.len() {
            return None;
        }
        Some(Query {
            filter: (!others.is_empty()).then(|| logic::conjunction(others)),
            ..query.clone()
        })
    }

    /// What is judged of the row that a query is about, if this change inserts it.
    fn judged_row(&self, model: &Model, query: &Query) -> Option<&Judgement> {
        let Source::Key(key) = &query.source else {
            return None;
        };
        let parts = &model[query.entity].key;
        let mut judged = self.change.operations.iter().zip(&self.judgements);
        let (_, judgement) = judged.find(|(operation, _)| match &operation.action {
            Action::Insert { entity, values, .. } => {
                let is_given = |(part, value): (&AttributeId, &Value)| {
                    values
                        .iter()
                        .any(|(id, given)| id == part && given == value)
                };
                *entity == query.entity
                    && parts.len() == key.len()
                    && parts.iter().zip(key).all(is_given)
            }
            _ => false,
        })?;
        Some(judgement)
    }
}

impl Permitted<JudgedChange> {
    /// Adds, at the end, an operation that the runtime does for itself in the same transaction: nobody's
    /// rules apply to it.
    pub fn add_system_operation(&mut self, operation: Operation) {
        let JudgedChange {
            change, judgements, ..
        } = &mut self.0;
        change.operations.push(operation);
        if !judgements.is_empty() {
            judgements.push(Judgement::default());
        }
    }
}

/// Who makes a request, as the audit trail names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// Name of the user or administrator; `anonymous`; or of the command.
    pub name: String,
    /// `id` of the user.
    pub id: Option<uuid::Uuid>,
    /// Address of the client.
    pub address: Option<String>,
    /// Identity of the request.
    pub request: Option<String>,
}

/// What must be true of the rows of an operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The row of the operation: inserted, changed or deleted; `from` of `Link`, `Unlink`, `Retain`.
    /// Of an `Upsert`: if it changes a row that is there.
    pub row: RowJudgement,
    /// Of an `Upsert`: if it inserts.
    pub inserted: Vec<Demand>,
    /// The row `to` of `Link`; each row that `Unlink` disconnects; each row that `Retain` would delete.
    /// Rows that are not `visible` are left as they are by `Retain` and by `Unlink` of all.
    pub other: RowJudgement,
    /// Of a row with to-one references: where their targets are visible, which are [`crate::query::ROW`].
    /// Only for saying what stands in the way of a change: what is not visible is missing.
    pub targets: Vec<(NavigationId, Expression)>,
    /// Of `Link` and `Unlink` of a many-to-many association: one of the two must hold, before and after.
    pub either: Option<Either>,
}

/// What must be true of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowJudgement {
    /// Before the operation, else the row is not there: [`Denial`] is not found. None: always.
    pub visible: Option<Expression>,
    /// Before the operation.
    pub before: Vec<Demand>,
    /// When all operations of the change are done; not of rows that are gone by then.
    pub after: Vec<Demand>,
}

/// A condition that refuses a change where it is not true. The row is [`crate::query::ROW`].
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// The condition.
    pub condition: Expression,
    /// What to say when it is not true.
    pub denial: Denial,
}

/// One of two conditions on two rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Either {
    /// On the row `from`; none: never true.
    pub from: Option<Expression>,
    /// On the row `to`; none: never true.
    pub to: Option<Expression>,
    /// What to say when neither is true.
    pub denial: Denial,
}

/// What a user may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Create such a row.
    Create,
    /// Change this row, in this way.
    Update,
    /// Delete this row.
    Delete,
    /// Give this member a value, or this value: name of the property.
    Member(String),
    /// Refer to that row by this navigation: as if it did not exist.
    Reference(String),
}

/// A change that no rule can allow, whatever is in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    /// The change.
    pub change: Change,
    /// Position of the operation.
    pub operation: usize,
    /// What is not allowed.
    pub denial: Denial,
}

/// What the rules allow to somebody with a set of roles. Made once for each set; shared by requests.
#[derive(Debug)]
pub struct Access {
    model: Arc<Model>,
    view: Arc<Model>,
    roles: Vec<RoleId>,
    rules: Vec<EntityRules>,
}

impl Access {
    /// Compiles the rules of these roles. Without a rule there is nothing.
    #[must_use]
    pub fn new(model: &Arc<Model>, roles: &[RoleId]) -> Self {
        let rules = rules::compile(model, roles);
        Self {
            view: Arc::new(view::view(model, &rules)),
            model: Arc::clone(model),
            roles: roles.to_vec(),
            rules,
        }
    }

    fn guard<'a>(&'a self, user: &'a [Value]) -> Guard<'a> {
        Guard {
            model: &self.model,
            rules: &self.rules,
            user,
        }
    }

    /// The application's own model: for the store.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The model as the reader sees it: what is hidden has no name in it. Ids are those of the application's
    /// own model. Requests are resolved against it, `$metadata` shows it.
    #[must_use]
    pub fn view(&self) -> &Arc<Model> {
        &self.view
    }

    /// The query with the rules in it. `user` holds the values of [`crate::model::UserModel::values`], null
    /// where the user has none.
    #[must_use]
    pub fn query(&self, mut query: Query, user: &[Value]) -> Permitted<Query> {
        self.guard(user).query(&mut query);
        Permitted(query)
    }

    /// The change with what its transaction must judge. `now` is the instant (microseconds since the Unix
    /// epoch) that defaults were made with.
    ///
    /// # Errors
    /// What is refused without a look at the data.
    pub fn change(
        &self,
        mut change: Change,
        user: &[Value],
        now: i64,
        actor: Actor,
    ) -> Result<Permitted<JudgedChange>, Denied> {
        match change::judge(self, &mut change, user, now) {
            Ok(judgements) => Ok(Permitted(JudgedChange {
                change,
                judgements,
                actor: Some(actor),
            })),
            Err((operation, denial)) => Err(Denied {
                change,
                operation,
                denial,
            }),
        }
    }

    /// Violations without the names of what the reader may not see: those are empty.
    #[must_use]
    pub fn redact(&self, change: &Change, violations: Vec<Violation>) -> Vec<Violation> {
        violations
            .into_iter()
            .map(|violation| redact::redact(&self.view, change, violation))
            .collect()
    }
}
