//! What rules mean, written down plainly: which rows a reader sees, which members of them, and what
//! expressions are worth.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::data::{Database, RowId};
use crate::expression::{Expression, Function, Operator, Place, Variable};
use crate::model::{EntityId, Members, Model, Navigation, Permission, Rule};
use crate::value::{NOW, Scalar};

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) roles: Vec<String>,
    /// Row of the user, whose entity extends `System.User`.
    pub(crate) user: Option<RowId>,
    /// May do everything, whatever the rules say.
    pub(crate) is_root: bool,
}

/// Whether a name is there for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
    /// The rules of access leave it open.
    Open,
}

/// The rules at work on a state of the data.
pub(crate) struct Judge<'a> {
    pub(crate) model: &'a Model,
    pub(crate) data: &'a Database,
    pub(crate) reader: &'a Reader,
    /// What is known of the user: the data when the request began.
    known: &'a Database,
    matches: RefCell<HashMap<(usize, RowId), bool>>,
}

/// What an expression sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything: in rules.
    Everything,
    /// What the reader sees: in requests.
    Readers,
}

/// Rows that variables stand for.
pub(crate) type Rows = Vec<(Variable, RowId)>;

impl<'a> Judge<'a> {
    pub(crate) fn new(model: &'a Model, data: &'a Database, reader: &'a Reader) -> Self {
        Self {
            model,
            data,
            reader,
            known: data,
            matches: RefCell::default(),
        }
    }

    /// In the midst of a request, which began with the data `known`.
    pub(crate) fn amid(self, known: &'a Database) -> Self {
        Self { known, ..self }
    }

    /// Rules of the reader's roles that an entity has or inherits, with their numbers.
    fn rules(&self, entity: EntityId) -> Vec<(usize, &'a Rule)> {
        let has = |rule: &Rule| {
            self.reader.roles.contains(&rule.role) && self.model.is_a(entity, rule.entity)
        };
        self.model
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| has(rule))
            .collect()
    }

    /// Rules that hold of a row.
    fn matching(&self, row: RowId) -> Vec<&'a Rule> {
        let entity = self.data.rows[&row].entity;
        let mut found = Vec::new();
        for (number, rule) in self.rules(entity) {
            let known = self.matches.borrow().get(&(number, row)).copied();
            let matches = known.unwrap_or_else(|| {
                let matches = rule
                    .condition
                    .as_ref()
                    .is_none_or(|condition| self.holds(condition, row, Sight::Everything));
                self.matches.borrow_mut().insert((number, row), matches);
                matches
            });
            if matches {
                found.push(rule);
            }
        }
        found
    }

    pub(crate) fn sees(&self, row: RowId) -> bool {
        self.reader.is_root || self.matching(row).iter().any(|rule| !rule.read.is_empty())
    }

    /// Of a row that the reader sees.
    pub(crate) fn reads(&self, row: RowId, member: &str) -> bool {
        if self.reader.is_root {
            return true;
        }
        let entity = self.data.rows[&row].entity;
        if member == self.model.key(entity).0 {
            return self.sees(row);
        }
        self.matching(row).iter().any(|rule| rule.read.has(member))
    }

    pub(crate) fn writes(&self, row: RowId, member: &str) -> bool {
        self.reader.is_root || self.matching(row).iter().any(|rule| rule.write.has(member))
    }

    pub(crate) fn creates(&self, row: RowId) -> bool {
        self.reader.is_root
            || self
                .matching(row)
                .iter()
                .any(|rule| self.permits(&rule.create, row))
    }

    pub(crate) fn deletes(&self, row: RowId) -> bool {
        self.reader.is_root
            || self
                .matching(row)
                .iter()
                .any(|rule| self.permits(&rule.delete, row))
    }

    fn permits(&self, permission: &Permission, row: RowId) -> bool {
        match permission {
            Permission::No => false,
            Permission::Yes => true,
            Permission::When(condition) => self.holds(condition, row, Sight::Everything),
        }
    }

    /// Whether any rule could let the reader create (delete) rows of an entity.
    pub(crate) fn may_create(&self, entity: EntityId) -> bool {
        self.reader.is_root
            || self
                .rules(entity)
                .iter()
                .any(|(_, rule)| !matches!(rule.create, Permission::No))
    }

    pub(crate) fn may_delete(&self, entity: EntityId) -> bool {
        self.reader.is_root
            || self
                .rules(entity)
                .iter()
                .any(|(_, rule)| !matches!(rule.delete, Permission::No))
    }

    /// Whether any rule could let the reader write a member of some row of an entity.
    pub(crate) fn may_write(&self, entity: EntityId, member: &str) -> bool {
        if matches!(member, "createdAt" | "changedAt") {
            // The system's own.
            return false;
        }
        if self.reader.is_root {
            return true;
        }
        let model = self.model;
        let writes = |entity: EntityId, member: &str| {
            model.family(entity).into_iter().any(|entity| {
                self.rules(entity)
                    .iter()
                    .any(|(_, rule)| rule.write.has(member))
            })
        };
        if writes(entity, member) {
            return true;
        }
        // A reference may be written by either end, and so may an attribute that shows it.
        let navigation = match model.shown_by(entity, member) {
            Some(association) => Some(Navigation {
                association,
                forward: true,
            }),
            None => model.navigation(entity, member),
        };
        navigation.is_some_and(|navigation| {
            let end = |entity: EntityId, navigation: Navigation| {
                let name = model.name_of(navigation);
                name.is_some_and(|name| writes(entity, name))
            };
            end(entity, navigation) || end(model.target_of(navigation), navigation.partner())
        })
    }

    /// Whether an entity is there for a reader at all.
    pub(crate) fn knows_entity(&self, entity: EntityId) -> Known {
        if self.reader.is_root {
            return Known::Yes;
        }
        let any = |entity: EntityId, read: bool| {
            self.rules(entity).iter().any(|(_, rule)| {
                !rule.read.is_empty()
                    || (!read
                        && (!rule.write.is_empty()
                            || !matches!(rule.create, Permission::No)
                            || !matches!(rule.delete, Permission::No)))
            })
        };
        let family = self.model.family(entity);
        if any(entity, true) {
            Known::Yes
        } else if family.iter().any(|entity| any(*entity, false)) {
            // Nothing to see of it but rows of others, or nothing to see and something to do.
            if family.iter().any(|entity| any(*entity, true)) {
                Known::Yes
            } else {
                Known::Open
            }
        } else {
            Known::No
        }
    }

    /// Whether an attribute or navigation has a name for reading.
    pub(crate) fn knows(&self, entity: EntityId, member: &str) -> Known {
        if self.model.kind(entity, member).is_none()
            && self.model.navigation(entity, member).is_none()
        {
            return Known::No;
        }
        if self.reader.is_root {
            return Known::Yes;
        }
        // Rows of specialisations are rows of the entity: what their rules show of them has a name too.
        let has = |of: EntityId, has: &dyn Fn(&Rule) -> bool| {
            self.rules(of).iter().any(|(_, rule)| has(rule))
        };
        let any = |test: &dyn Fn(&Rule) -> bool| {
            let family = self.model.family(entity);
            family.into_iter().any(|special| has(special, test))
        };
        if member == self.model.key(entity).0 {
            return if any(&|rule| !rule.read.is_empty()) {
                Known::Yes
            } else {
                Known::Open
            };
        }
        if !any(&|rule| rule.read.has(member)) {
            return Known::No;
        }
        match self.model.navigation(entity, member) {
            // Where it leads there is nothing to see: named or not, it is empty.
            Some(navigation) => match self.knows_entity(self.model.target_of(navigation)) {
                Known::Yes => Known::Yes,
                _ => Known::Open,
            },
            None => Known::Yes,
        }
    }

    /// Whether a member may be named in bodies.
    pub(crate) fn knows_in_body(&self, entity: EntityId, member: &str) -> Known {
        if member == self.model.key(entity).0 {
            let is_given = self.may_create(entity) || self.knows(entity, member) == Known::Yes;
            return if is_given { Known::Yes } else { Known::Open };
        }
        let exists = self.model.kind(entity, member).is_some()
            || self.model.navigation(entity, member).is_some();
        if exists && self.may_write(entity, member) {
            return Known::Yes;
        }
        self.knows(entity, member)
    }

    /// Whether an expression is true of a row.
    pub(crate) fn holds(&self, condition: &Expression, row: RowId, sight: Sight) -> bool {
        self.value(condition, &vec![(0, row)], sight).is_true()
    }

    /// The row at the end of a path.
    fn row(&self, place: &Place, rows: &Rows, sight: Sight) -> Option<RowId> {
        let (_, mut row) = rows
            .iter()
            .rev()
            .find(|(variable, _)| *variable == place.variable)
            .copied()?;
        for step in &place.path {
            row = self.targets(row, step, sight).first().copied()?;
        }
        Some(row)
    }

    /// Targets of a navigation; none where the reader does not see them.
    pub(crate) fn targets(&self, row: RowId, name: &str, sight: Sight) -> Vec<RowId> {
        let entity = self.data.rows[&row].entity;
        let Some(navigation) = self.model.navigation(entity, name) else {
            return Vec::new();
        };
        if sight == Sight::Readers && !self.reads(row, name) {
            return Vec::new();
        }
        let mut targets = self.data.targets(self.model, row, navigation);
        if sight == Sight::Readers {
            targets.retain(|target| self.sees(*target));
        }
        targets
    }

    /// An attribute of a row, null where the reader may not see it.
    pub(crate) fn attribute(&self, row: RowId, name: &str, sight: Sight) -> Scalar {
        let entity = self.data.rows[&row].entity;
        if self.model.kind(entity, name).is_none()
            || (sight == Sight::Readers && !self.reads(row, name))
        {
            return Scalar::Null;
        }
        if matches!(name, "createdAt" | "changedAt") {
            // Some instant of the past: only compared with null.
            return Scalar::Instant(0);
        }
        self.data.value(self.model, row, name)
    }

    pub(crate) fn value(&self, expression: &Expression, rows: &Rows, sight: Sight) -> Scalar {
        match expression {
            Expression::Literal(value) => value.clone(),
            Expression::Attribute { from, cast, name } => {
                let Some(row) = self.row(from, rows, sight) else {
                    return Scalar::Null;
                };
                let entity = self.data.rows[&row].entity;
                let fits = cast.as_ref().is_none_or(|cast| {
                    self.model
                        .lineage(entity)
                        .iter()
                        .any(|id| self.model.entities[*id].name == *cast)
                });
                if fits {
                    self.attribute(row, name, sight)
                } else {
                    Scalar::Null
                }
            }
            Expression::Target { from, is_null } => {
                Scalar::Boolean(self.row(from, rows, sight).is_none() == *is_null)
            }
            Expression::IsOf(name) => {
                let row = rows.first().map(|(_, row)| self.data.rows[row].entity);
                Scalar::Boolean(row.is_some_and(|entity| {
                    self.model
                        .lineage(entity)
                        .iter()
                        .any(|id| self.model.entities[*id].name == *name)
                }))
            }
            Expression::Compare(operator, left, right) => {
                self.compare(*operator, left, right, rows, sight)
            }
            Expression::And(operands) => {
                let values: Vec<Scalar> = operands
                    .iter()
                    .map(|operand| self.value(operand, rows, sight))
                    .collect();
                conjunction(&values, false)
            }
            Expression::Or(operands) => {
                let values: Vec<Scalar> = operands
                    .iter()
                    .map(|operand| self.value(operand, rows, sight))
                    .collect();
                conjunction(&values, true)
            }
            Expression::Not(inner) => match self.value(inner, rows, sight) {
                Scalar::Boolean(value) => Scalar::Boolean(!value),
                _ => Scalar::Null,
            },
            Expression::In(left, list) => {
                let value = self.value(left, rows, sight);
                if value.is_null() && matches!(**left, Expression::User(_)) {
                    return Scalar::Null;
                }
                Scalar::Boolean(list.contains(&value))
            }
            Expression::Lambda {
                is_any,
                from,
                navigation,
                variable,
                condition,
            } => {
                let targets = self
                    .row(from, rows, sight)
                    .map_or(Vec::new(), |row| self.targets(row, navigation, sight));
                let mut truths = targets.into_iter().map(|target| {
                    condition.as_ref().is_none_or(|condition| {
                        let mut rows = rows.clone();
                        rows.push((*variable, target));
                        self.value(condition, &rows, sight).is_true()
                    })
                });
                Scalar::Boolean(if *is_any {
                    truths.any(|truth| truth)
                } else {
                    truths.all(|truth| truth)
                })
            }
            Expression::Count {
                from,
                navigation,
                variable,
                filter,
            } => {
                let targets = self
                    .row(from, rows, sight)
                    .map_or(Vec::new(), |row| self.targets(row, navigation, sight));
                let counted = targets.into_iter().filter(|target| {
                    filter.as_ref().is_none_or(|filter| {
                        let mut rows = rows.clone();
                        rows.push((*variable, *target));
                        self.value(filter, &rows, sight).is_true()
                    })
                });
                Scalar::Integer(counted.count() as i64)
            }
            Expression::Call(function, arguments) => {
                let values: Vec<Scalar> = arguments
                    .iter()
                    .map(|argument| self.value(argument, rows, sight))
                    .collect();
                call(*function, &values)
            }
            Expression::Add(left, right) => {
                match (
                    self.value(left, rows, sight),
                    self.value(right, rows, sight),
                ) {
                    (Scalar::Integer(left), Scalar::Integer(right)) => {
                        Scalar::Integer(left + right)
                    }
                    _ => Scalar::Null,
                }
            }
            Expression::User(path) => self.user(path),
            Expression::IsUser(from) => {
                let Some(user) = self.reader.user else {
                    return Scalar::Null;
                };
                Scalar::Boolean(self.row(from, rows, sight) == Some(user))
            }
            Expression::Now => Scalar::Instant(NOW),
        }
    }

    /// Something about the user.
    pub(crate) fn user(&self, path: &[String]) -> Scalar {
        if !std::ptr::eq(self.data, self.known) {
            return Judge::new(self.model, self.known, self.reader).user(path);
        }
        let Some((last, steps)) = path.split_last() else {
            return Scalar::Null;
        };
        let Some(mut row) = self.reader.user else {
            return Scalar::Null;
        };
        for step in steps {
            match self.targets(row, step, Sight::Everything).first() {
                Some(next) => row = *next,
                None => return Scalar::Null,
            }
        }
        self.attribute(row, last, Sight::Everything)
    }

    fn compare(
        &self,
        operator: Operator,
        left: &Expression,
        right: &Expression,
        rows: &Rows,
        sight: Sight,
    ) -> Scalar {
        let (one, other) = (
            self.value(left, rows, sight),
            self.value(right, rows, sight),
        );
        let is_user = |expression: &Expression| matches!(expression, Expression::User(_));
        let is_null = |expression: &Expression| *expression == Expression::Literal(Scalar::Null);
        // A user's value that is null is equal to nothing, unless null is what is asked for.
        let unknown = (is_user(left) && one.is_null() && !is_null(right))
            || (is_user(right) && other.is_null() && !is_null(left));
        if unknown {
            return Scalar::Null;
        }
        Scalar::Boolean(match operator {
            Operator::Equal => one == other,
            Operator::NotEqual => one != other,
            _ if one.is_null() || other.is_null() => false,
            Operator::Less => one.order(&other).is_lt(),
            Operator::LessOrEqual => one.order(&other).is_le(),
            Operator::Greater => one.order(&other).is_gt(),
            Operator::GreaterOrEqual => one.order(&other).is_ge(),
        })
    }
}

/// Three-valued `or`, or `and`: one operand that is `decisive` decides.
fn conjunction(values: &[Scalar], decisive: bool) -> Scalar {
    if values.contains(&Scalar::Boolean(decisive)) {
        Scalar::Boolean(decisive)
    } else if values.iter().any(Scalar::is_null) {
        Scalar::Null
    } else {
        Scalar::Boolean(!decisive)
    }
}

fn call(function: Function, arguments: &[Scalar]) -> Scalar {
    match (function, arguments) {
        (Function::StartsWith, [Scalar::Text(text), Scalar::Text(part)]) => {
            Scalar::Boolean(text.starts_with(part.as_str()))
        }
        (Function::Contains, [Scalar::Text(text), Scalar::Text(part)]) => {
            Scalar::Boolean(text.contains(part.as_str()))
        }
        (Function::Length, [Scalar::Text(text)]) => Scalar::Integer(text.chars().count() as i64),
        (Function::ToLower, [Scalar::Text(text)]) => Scalar::Text(text.to_lowercase()),
        (Function::Concat, [Scalar::Text(one), Scalar::Text(other)]) => {
            Scalar::Text(format!("{one}{other}"))
        }
        // All dates that are generated are of 2019.
        (Function::Year, [Scalar::Date(_)]) => Scalar::Integer(2019),
        _ => Scalar::Null,
    }
}

impl Reader {
    pub(crate) fn root() -> Self {
        Self {
            roles: Vec::new(),
            user: None,
            is_root: true,
        }
    }
}

impl Members {
    pub(crate) fn none() -> Self {
        Self::Only(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_neither_true_nor_false() {
        let (yes, no, null) = (Scalar::Boolean(true), Scalar::Boolean(false), Scalar::Null);
        assert_eq!(conjunction(&[yes.clone(), null.clone()], false), null);
        assert_eq!(conjunction(&[no.clone(), null.clone()], false), no);
        assert_eq!(conjunction(&[yes.clone(), null.clone()], true), yes);
        assert_eq!(conjunction(&[no, null.clone()], true), null);
    }
}
