//! Random conditions and values.

use crate::expression::{Expression, Function, Operator, Place, Variable};
use crate::generate::USERS;
use crate::model::{EntityId, Model};
use crate::random::Random;
use crate::value::{Kind, Scalar};

/// Whether a member may be named.
type Filter<'a> = Box<dyn Fn(EntityId, &str) -> bool + 'a>;

/// Writes expressions about a model.
pub(crate) struct Writer<'a> {
    model: &'a Model,
    random: &'a mut Random,
    is_rule: bool,
    known: Filter<'a>,
    next: Variable,
}

impl<'a> Writer<'a> {
    pub(crate) fn of_rules(model: &'a Model, random: &'a mut Random) -> Self {
        Self {
            model,
            random,
            is_rule: true,
            known: Box::new(|_, _| true),
            next: 1,
        }
    }

    /// For requests; names that are not `known` occur seldom.
    pub(crate) fn of_requests(model: &'a Model, random: &'a mut Random, known: Filter<'a>) -> Self {
        Self {
            model,
            random,
            is_rule: false,
            known,
            next: 1,
        }
    }

    fn may(&mut self, entity: EntityId, name: &str) -> bool {
        (self.known)(entity, name) || self.random.percent(3)
    }

    /// Names of attributes of an entity that are of a kind (any kind if none).
    fn attributes(&mut self, entity: EntityId, kind: Option<Kind>) -> Vec<(String, Kind)> {
        let mut all: Vec<(String, Kind)> = self
            .model
            .attributes(entity)
            .iter()
            .map(|(_, attribute)| (attribute.name.clone(), attribute.kind))
            .collect();
        let (key, key_kind) = self.model.key(entity);
        all.push((key.to_owned(), key_kind));
        all.retain(|(name, own)| kind.is_none_or(|kind| kind == *own) && self.may(entity, name));
        all
    }

    fn navigation(&mut self, entity: EntityId, many: bool) -> Option<(String, EntityId)> {
        let mut all: Vec<(String, EntityId)> = self
            .model
            .navigations(entity)
            .into_iter()
            .filter(|(_, navigation)| self.model.is_many(*navigation) == many)
            .map(|(name, navigation)| (name, self.model.target_of(navigation)))
            .collect();
        all.retain(|(name, _)| self.may(entity, name));
        self.random.pick(&all).cloned()
    }

    /// The row itself, or one that to-one navigations lead to.
    fn place(&mut self, entity: EntityId, variable: Variable) -> (Place, EntityId) {
        let mut place = Place {
            variable,
            path: Vec::new(),
        };
        let mut reached = entity;
        while place.path.len() < 3 && self.random.percent(30) {
            let Some((name, target)) = self.navigation(reached, false) else {
                break;
            };
            place.path.push(name);
            reached = target;
        }
        (place, reached)
    }

    fn attribute(
        &mut self,
        entity: EntityId,
        variable: Variable,
        kind: Option<Kind>,
    ) -> Option<(Expression, Kind)> {
        let (from, reached) = self.place(entity, variable);
        if self.random.percent(8) {
            // Of a specialisation.
            let mut family = self.model.family(reached);
            family.retain(|id| *id != reached);
            if let Some(special) = self.random.pick(&family).copied() {
                let own = self.attributes(special, kind);
                if let Some((name, kind)) = self.random.pick(&own).cloned() {
                    let cast = Some(self.model.entities[special].name.clone());
                    return Some((Expression::Attribute { from, cast, name }, kind));
                }
            }
        }
        let all = self.attributes(reached, kind);
        let (name, kind) = self.random.pick(&all).cloned()?;
        let expression = Expression::Attribute {
            from,
            cast: None,
            name,
        };
        Some((expression, kind))
    }

    /// Something to order by.
    pub(crate) fn term(&mut self, entity: EntityId) -> Option<Expression> {
        if self.random.percent(10)
            && let Some((navigation, _)) = self.navigation(entity, true)
        {
            self.next += 1;
            return Some(Expression::Count {
                from: Place::default(),
                navigation,
                variable: self.next,
                filter: None,
            });
        }
        self.attribute(entity, 0, None).map(|(term, _)| term)
    }

    pub(crate) fn condition(
        &mut self,
        entity: EntityId,
        variable: Variable,
        depth: usize,
    ) -> Expression {
        if depth > 0 && self.random.percent(35) {
            let count = self.random.between(2, 3);
            return match self.random.below(3) {
                0 => Expression::And(
                    (0..count)
                        .map(|_| self.condition(entity, variable, depth - 1))
                        .collect(),
                ),
                1 => Expression::Or(
                    (0..count)
                        .map(|_| self.condition(entity, variable, depth - 1))
                        .collect(),
                ),
                _ => Expression::Not(Box::new(self.condition(entity, variable, depth - 1))),
            };
        }
        for _ in 0..8 {
            if let Some(atom) = self.atom(entity, variable, depth) {
                return atom;
            }
        }
        let key = self.model.key(entity).0.to_owned();
        Expression::Compare(
            Operator::NotEqual,
            Box::new(Expression::Attribute {
                from: Place {
                    variable,
                    path: Vec::new(),
                },
                cast: None,
                name: key,
            }),
            Box::new(Expression::Literal(Scalar::Null)),
        )
    }

    fn atom(&mut self, entity: EntityId, variable: Variable, depth: usize) -> Option<Expression> {
        match self.random.below(100) {
            0..36 => {
                let (left, kind) = self.attribute(entity, variable, None)?;
                let right = if self.random.percent(15) {
                    Scalar::Null
                } else {
                    kind.random(self.random)
                };
                let operator = self.operator(kind, right.is_null());
                Some(compare(operator, left, Expression::Literal(right)))
            }
            36..42 => {
                let (left, kind) = self.attribute(entity, variable, None)?;
                let (right, _) = self.attribute(entity, variable, Some(kind))?;
                let operator = self.operator(kind, false);
                Some(compare(operator, left, right))
            }
            42..48 => {
                let (mut from, reached) = self.place(entity, variable);
                let (name, _) = self.navigation(reached, false)?;
                from.path.push(name);
                Some(Expression::Target {
                    from,
                    is_null: self.random.percent(50),
                })
            }
            48..62 if depth > 0 => {
                let (from, reached) = self.place(entity, variable);
                let (navigation, target) = self.navigation(reached, true)?;
                self.next += 1;
                let inner = self.next;
                let is_any = self.random.percent(60);
                let condition = (!is_any || self.random.percent(75))
                    .then(|| Box::new(self.condition(target, inner, depth - 1)));
                Some(Expression::Lambda {
                    is_any,
                    from,
                    navigation,
                    variable: inner,
                    condition,
                })
            }
            62..69 => {
                let (from, reached) = self.place(entity, variable);
                let (navigation, target) = self.navigation(reached, true)?;
                self.next += 1;
                let inner = self.next;
                let filter = (depth > 0 && self.random.percent(40))
                    .then(|| Box::new(self.plain_condition(target, inner)));
                let count = Expression::Count {
                    from,
                    navigation,
                    variable: inner,
                    filter,
                };
                let operator = self.operator(Kind::Integer, false);
                let number = Scalar::Integer(self.random.below(3) as i64);
                Some(compare(operator, count, Expression::Literal(number)))
            }
            69..82 if self.is_rule => self.about_user(entity, variable),
            82..86 => {
                let (left, _) = self.attribute(entity, variable, Some(Kind::Boolean))?;
                Some(left)
            }
            86..90 => {
                let (left, kind) = self.attribute(entity, variable, None)?;
                let mut list: Vec<Scalar> = (0..self.random.between(1, 3))
                    .map(|_| kind.random(self.random))
                    .collect();
                if self.random.percent(15) {
                    list.push(Scalar::Null);
                }
                Some(Expression::In(Box::new(left), list))
            }
            90..96 => self.call(entity, variable),
            96..98 => {
                if self.is_rule {
                    let (left, _) = self.attribute(entity, variable, Some(Kind::Instant))?;
                    let operator = self.operator(Kind::Instant, false);
                    Some(compare(operator, left, Expression::Now))
                } else {
                    let name = if self.random.percent(50) {
                        "createdAt"
                    } else {
                        "changedAt"
                    };
                    if !self.may(entity, name) {
                        return None;
                    }
                    let left = Expression::Attribute {
                        from: Place {
                            variable,
                            path: Vec::new(),
                        },
                        cast: None,
                        name: name.to_owned(),
                    };
                    let operator = if self.random.percent(50) {
                        Operator::Equal
                    } else {
                        Operator::NotEqual
                    };
                    Some(compare(operator, left, Expression::Literal(Scalar::Null)))
                }
            }
            _ if variable == 0 => {
                let family = self.model.family(entity);
                let special = *self.random.pick(&family)?;
                (special != entity)
                    .then(|| Expression::IsOf(self.model.entities[special].name.clone()))
            }
            _ => None,
        }
    }

    /// A condition without paths, inside of which other variables are out of reach.
    fn plain_condition(&mut self, entity: EntityId, variable: Variable) -> Expression {
        let all = self.attributes(entity, None);
        let (name, kind) = self.random.pick(&all).cloned().unwrap_or_else(|| {
            let (key, kind) = self.model.key(entity);
            (key.to_owned(), kind)
        });
        let left = Expression::Attribute {
            from: Place {
                variable,
                path: Vec::new(),
            },
            cast: None,
            name,
        };
        let operator = self.operator(kind, false);
        let right = Expression::Literal(kind.random(self.random));
        compare(operator, left, right)
    }

    fn operator(&mut self, kind: Kind, is_null: bool) -> Operator {
        if !kind.is_ordered() || is_null || self.random.percent(50) {
            return if self.random.percent(60) {
                Operator::Equal
            } else {
                Operator::NotEqual
            };
        }
        Operator::ALL[self.random.below(Operator::ALL.len())]
    }

    fn about_user(&mut self, entity: EntityId, variable: Variable) -> Option<Expression> {
        let users = self
            .model
            .ids()
            .find(|id| self.model.entities[*id].name == USERS)?;
        if self.random.percent(30) {
            let (mut from, reached) = self.place(entity, variable);
            let owners: Vec<String> = self
                .model
                .navigations(reached)
                .into_iter()
                .filter(|(_, navigation)| {
                    !self.model.is_many(*navigation) && self.model.target_of(*navigation) == users
                })
                .map(|(name, _)| name)
                .collect();
            let owner = self.random.pick(&owners).cloned()?;
            from.path.push(owner);
            return Some(Expression::IsUser(from));
        }
        let mut path = Vec::new();
        let mut reached = users;
        if self.random.percent(30)
            && let Some((name, target)) = self.navigation(users, false)
        {
            path.push(name);
            reached = target;
        }
        let all = self.attributes(reached, None);
        let (name, kind) = self.random.pick(&all).cloned()?;
        path.push(name);
        let user = Expression::User(path);
        if self.random.percent(12) {
            let operator = self.operator(kind, true);
            return Some(compare(operator, user, Expression::Literal(Scalar::Null)));
        }
        let (own, _) = self.attribute(entity, variable, Some(kind))?;
        let operator = self.operator(kind, false);
        Some(if self.random.percent(70) {
            compare(operator, own, user)
        } else {
            compare(operator, user, own)
        })
    }

    fn call(&mut self, entity: EntityId, variable: Variable) -> Option<Expression> {
        let text = |random: &mut Random| {
            let pool = ["a", "ash", "A", "ir"];
            Expression::Literal(Scalar::Text(pool[random.below(pool.len())].to_owned()))
        };
        match self.random.below(6) {
            0 | 1 => {
                let (left, _) = self.attribute(entity, variable, Some(Kind::Text))?;
                let function = if self.random.percent(50) {
                    Function::StartsWith
                } else {
                    Function::Contains
                };
                let part = text(self.random);
                Some(Expression::Call(function, vec![left, part]))
            }
            2 => {
                let (left, _) = self.attribute(entity, variable, Some(Kind::Text))?;
                let length = Expression::Call(Function::Length, vec![left]);
                let operator = self.operator(Kind::Integer, false);
                Some(compare(
                    operator,
                    length,
                    Expression::Literal(Scalar::Integer(4)),
                ))
            }
            3 => {
                let (left, _) = self.attribute(entity, variable, Some(Kind::Text))?;
                let lower = Expression::Call(Function::ToLower, vec![left]);
                let operator = self.operator(Kind::Text, false);
                if self.random.percent(30) {
                    let part = text(self.random);
                    let (other, _) = self.attribute(entity, variable, Some(Kind::Text))?;
                    let sum = Expression::Call(Function::Concat, vec![lower, part]);
                    return Some(compare(operator, sum, other));
                }
                let right = Expression::Literal(Scalar::Text("ash".to_owned()));
                Some(compare(operator, lower, right))
            }
            4 => {
                let (left, _) = self.attribute(entity, variable, Some(Kind::Date))?;
                let year = Expression::Call(Function::Year, vec![left]);
                let right = Expression::Literal(Scalar::Integer(2019));
                Some(compare(self.operator(Kind::Integer, false), year, right))
            }
            _ => {
                let (left, _) = self.attribute(entity, variable, Some(Kind::Integer))?;
                let sum = Expression::Add(
                    Box::new(left),
                    Box::new(Expression::Literal(Scalar::Integer(2))),
                );
                let right = Expression::Literal(Scalar::Integer(4));
                Some(compare(self.operator(Kind::Integer, false), sum, right))
            }
        }
    }
}

fn compare(operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression::Compare(operator, Box::new(left), Box::new(right))
}
