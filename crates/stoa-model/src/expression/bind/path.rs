//! Paths: names of properties, navigations, types, variables.

use super::super::error::{Error, ErrorKind, nearest};
use super::super::syntax::{Arguments, Path, Segment, SegmentKind, Start, built_in_names};
use super::super::{Expression, Quantifier, Variable};
use super::{Binder, Operand, Reached, boolean};
use crate::model::{
    Attribute, AttributeId, Entity, EntityId, Model, Navigation, NavigationId, Purpose,
};
use crate::value::ScalarType;

/// Most navigations of one path: each is a join.
const MAXIMUM_STEPS: usize = 10;
/// Most lambdas inside of lambdas: each is a subquery for each row.
const MAXIMUM_LAMBDAS: usize = 8;

/// A to-many navigation with what narrows it.
struct Rows {
    reached: Reached,
    variable: Variable,
    filter: Option<Expression>,
}

impl Binder<'_> {
    pub(super) fn path(&mut self, path: &Path, position: usize) -> Result<Operand, Error> {
        let mut segments = path.segments.iter();
        let row = |(from, entity)| Reached {
            from,
            path: Vec::new(),
            entity,
            cast: entity,
        };
        let mut reached = match &path.start {
            Start::Implicit => {
                let variable = match path.segments.first().map(|first| &first.kind) {
                    Some(SegmentKind::Name {
                        name,
                        arguments: None,
                    }) => self
                        .lambdas
                        .iter()
                        .rev()
                        .find(|(known, ..)| known == name)
                        .map(|(_, from, entity)| (*from, *entity)),
                    _ => None,
                };
                match variable {
                    Some(variable) => {
                        segments.next();
                        row(variable)
                    }
                    None => row(self.scope.implicit),
                }
            }
            Start::It => match self.scope.it {
                Some(it) => row(it),
                None => {
                    return Err(Error::unsupported(
                        position,
                        "$it is not supported inside $expand",
                    )
                    .expecting("$this"));
                }
            },
            Start::This => row(self.scope.this),
            Start::Root => return Err(Error::unsupported(position, "$root is not supported")),
            Start::User => return self.user(path, position),
            Start::Alias(name) => {
                let Some((_, node)) = self.aliases.iter().find(|(known, _)| known == name) else {
                    let known = nearest(name, self.aliases.iter().map(|(known, _)| known.as_str()));
                    return Err(Error::new(
                        ErrorKind::UnknownName,
                        position,
                        format!("the alias '@{name}' has no value"),
                    )
                    .suggesting(known.map(|known| format!("@{known}"))));
                };
                let operand = self.operand(node)?;
                if path.segments.is_empty() {
                    return Ok(operand);
                }
                match operand {
                    Operand::Row(reached) => reached,
                    _ => {
                        return Err(Error::new(
                            ErrorKind::Type,
                            position,
                            format!("'@{name}' is no row and has no properties"),
                        ));
                    }
                }
            }
        };
        while let Some(segment) = segments.next() {
            let name = match &segment.kind {
                SegmentKind::Name {
                    name,
                    arguments: None,
                } => name,
                SegmentKind::Name {
                    name,
                    arguments: Some(arguments),
                } => {
                    return Err(self.function_or_key(&reached, name, arguments, segment.position));
                }
                SegmentKind::Annotation(_) => {
                    return Err(Error::unsupported(
                        segment.position,
                        "annotations in expressions are not supported",
                    ));
                }
                SegmentKind::Lambda { .. } | SegmentKind::Count { .. } | SegmentKind::Filter(_) => {
                    return Err(Error::new(
                        ErrorKind::Type,
                        segment.position,
                        "this needs a collection before it",
                    ));
                }
            };
            let entity = &self.model[reached.cast];
            if let Some((id, attribute)) = attribute(entity, name) {
                let scalar_type = attribute.scalar_type;
                // An attribute that the type inherits is there in rows of other types too, where it has
                // no value for who asks by this one.
                let narrowed = (self.model[reached.entity]
                    .specialisations
                    .contains(&reached.cast)
                    && attribute.declared_by != reached.cast)
                    .then(|| Expression::IsOf {
                        from: reached.from,
                        path: reached.path.clone(),
                        entity: reached.cast,
                    });
                let mut expression = Expression::Attribute {
                    from: reached.from,
                    path: reached.path,
                    entity: reached.cast,
                    attribute: id,
                    scalar_type,
                };
                if let Some(condition) = narrowed {
                    expression = Expression::If {
                        condition: Box::new(condition),
                        then: Box::new(expression),
                    };
                }
                return after_attribute(name, segments.next())
                    .map(|()| Operand::Scalar(expression, scalar_type));
            }
            if let Some((id, navigation)) = navigation(entity, name) {
                let (many, target) = (navigation.many, navigation.target);
                self.step(&mut reached, id, name, segment.position)?;
                if many {
                    return self.rows(reached, name, segment.position, segments.as_slice());
                }
                reached.entity = target;
                reached.cast = target;
                continue;
            }
            reached.cast = self.cast(&reached, name, segment.position)?;
        }
        Ok(Operand::Row(reached))
    }

    /// Adds a navigation, whose id must mean the same in the entity and in what it was cast to.
    fn step(
        &self,
        reached: &mut Reached,
        id: NavigationId,
        name: &str,
        position: usize,
    ) -> Result<(), Error> {
        let declared_by = |entity: EntityId| {
            self.model[entity]
                .navigations
                .get(id.index())
                .map(|navigation| navigation.declared_by)
        };
        if declared_by(reached.entity) != declared_by(reached.cast) {
            let message = format!(
                "navigations of a specialisation such as '{name}' are not supported in expressions"
            );
            return Err(Error::unsupported(position, message));
        }
        if reached.path.len() >= MAXIMUM_STEPS {
            let message = format!("the path has more than {MAXIMUM_STEPS} navigations");
            return Err(Error::new(ErrorKind::Limit, position, message));
        }
        reached.path.push(id);
        Ok(())
    }

    fn cast(&self, reached: &Reached, name: &str, position: usize) -> Result<EntityId, Error> {
        let current = &self.model[reached.cast];
        let bare = bare_name(self.model, name);
        let Some(target) = find_type(self.model, bare) else {
            return Err(unknown_property(self.model, current, name, position));
        };
        if !name.contains('.')
            && target != reached.cast
            && !current.specialisations.contains(&target)
        {
            return Err(unknown_property(self.model, current, name, position));
        }
        check_cast(self.model, reached.cast, target, position)?;
        Ok(target)
    }

    /// What follows a to-many navigation.
    fn rows(
        &mut self,
        reached: Reached,
        name: &str,
        position: usize,
        rest: &[Segment],
    ) -> Result<Operand, Error> {
        let target = self.model[reached.entity].navigations
            [reached.path[reached.path.len() - 1].index()]
        .target;
        let mut rows = Rows {
            reached,
            variable: self.new_variable(position)?,
            filter: None,
        };
        for (at, segment) in rest.iter().enumerate() {
            if !matches!(segment.kind, SegmentKind::Filter(_)) && at + 1 < rest.len() {
                let next = &rest[at + 1];
                if !matches!(segment.kind, SegmentKind::Name { .. }) {
                    return Err(Error::new(
                        ErrorKind::Type,
                        next.position,
                        "nothing can follow here",
                    ));
                }
            }
            match &segment.kind {
                SegmentKind::Filter(condition) => {
                    let condition =
                        self.with_row(rows.variable, target, |binder| binder.boolean(condition))?;
                    rows.filter = Some(match rows.filter.take() {
                        None => condition,
                        Some(first) => Expression::And(vec![first, condition]),
                    });
                }
                SegmentKind::Count {
                    search: Some(_), ..
                } => {
                    return Err(Error::unsupported(
                        segment.position,
                        "$search is not supported",
                    ));
                }
                SegmentKind::Count {
                    filter,
                    search: None,
                } => {
                    if let Some(condition) = filter {
                        let condition = self
                            .with_row(rows.variable, target, |binder| binder.boolean(condition))?;
                        rows.filter = Some(match rows.filter.take() {
                            None => condition,
                            Some(first) => Expression::And(vec![first, condition]),
                        });
                    }
                    let count = Expression::Count {
                        from: rows.reached.from,
                        path: rows.reached.path,
                        entity: target,
                        variable: rows.variable,
                        filter: rows.filter.map(Box::new),
                    };
                    return Ok(Operand::Scalar(count, ScalarType::Long));
                }
                SegmentKind::Lambda { quantifier, body } if rows.filter.is_none() => {
                    return self.lambda(rows, target, *quantifier, body.as_ref(), position);
                }
                SegmentKind::Name { name: next, .. }
                    if attribute(&self.model[target], next).is_some()
                        || navigation(&self.model[target], next).is_some() =>
                {
                    return Err(Error::new(
                        ErrorKind::Type,
                        segment.position,
                        format!("'{name}' is a collection: its rows are reached by any or all"),
                    )
                    .suggesting(Some(format!("{name}/any(x:x/{next} …)"))));
                }
                _ => {
                    return Err(Error::unsupported(
                        segment.position,
                        format!("this is not supported behind the collection '{name}'"),
                    ));
                }
            }
        }
        Err(Error::new(
            ErrorKind::Type,
            position,
            format!("'{name}' is a collection and has no value"),
        )
        .expecting("…/any(…), …/all(…) or …/$count"))
    }

    fn lambda(
        &mut self,
        rows: Rows,
        target: EntityId,
        quantifier: Quantifier,
        body: Option<&(String, Box<super::Node>)>,
        position: usize,
    ) -> Result<Operand, Error> {
        let condition = match body {
            None => None,
            Some(_) if self.lambdas.len() >= MAXIMUM_LAMBDAS => {
                let message = format!("more than {MAXIMUM_LAMBDAS} lambdas are nested");
                return Err(Error::new(ErrorKind::Limit, position, message));
            }
            Some((name, condition)) => {
                if self.lambdas.iter().any(|(known, ..)| known == name) {
                    return Err(Error::new(
                        ErrorKind::UnknownName,
                        position,
                        format!("the variable '{name}' is taken already"),
                    ));
                }
                self.lambdas.push((name.clone(), rows.variable, target));
                let condition = self.boolean(condition);
                self.lambdas.pop();
                Some(Box::new(condition?))
            }
        };
        Ok(boolean(Expression::Lambda {
            quantifier,
            from: rows.reached.from,
            path: rows.reached.path,
            entity: target,
            variable: rows.variable,
            condition,
        }))
    }

    fn new_variable(&mut self, position: usize) -> Result<Variable, Error> {
        let variable = Variable(self.next_variable);
        self.next_variable = self.next_variable.checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                position,
                "the expression has too many variables",
            )
        })?;
        Ok(variable)
    }

    fn with_row<T>(
        &mut self,
        variable: Variable,
        entity: EntityId,
        bind: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = self.scope;
        self.scope.implicit = (variable, entity);
        self.scope.this = (variable, entity);
        let result = bind(self);
        self.scope = outer;
        result
    }

    fn function_or_key(
        &self,
        reached: &Reached,
        name: &str,
        arguments: &Arguments,
        position: usize,
    ) -> Error {
        let entity = &self.model[reached.cast];
        if navigation(entity, name).is_some() && !matches!(arguments, Arguments::Empty) {
            return Error::unsupported(position, "keys in expressions are not supported")
                .expecting("a condition on the key, as in Items/any(x:x/id eq …)");
        }
        if name.contains('.') {
            return Error::unsupported(position, format!("the function '{name}' is not supported"));
        }
        let known = nearest(name, built_in_names());
        Error::new(
            ErrorKind::UnknownName,
            position,
            format!("there is no function '{name}'"),
        )
        .suggesting(known)
    }
}

fn after_attribute(name: &str, next: Option<&Segment>) -> Result<(), Error> {
    match next {
        None => Ok(()),
        Some(Segment {
            kind: SegmentKind::Annotation(_),
            position,
        }) => Err(Error::unsupported(
            *position,
            "annotations in expressions are not supported",
        )),
        Some(Segment {
            kind:
                SegmentKind::Name {
                    name: function,
                    arguments: Some(_),
                },
            position,
        }) => Err(Error::unsupported(
            *position,
            format!("the function '{function}' is not supported"),
        )),
        Some(segment) => Err(Error::new(
            ErrorKind::UnknownName,
            segment.position,
            format!("'{name}' is a single value: nothing can follow it"),
        )),
    }
}

/// The entity that a type name means, with or without the namespace.
///
/// # Errors
/// There is none.
pub fn resolve_type(model: &Model, name: &str, position: usize) -> Result<EntityId, Error> {
    find_type(model, bare_name(model, name)).ok_or_else(|| {
        let visible = model
            .entities
            .iter()
            .filter(|entity| model.is_known(entity.id))
            .map(|entity| entity.name.as_str());
        let known = nearest(bare_name(model, name), visible);
        Error::new(
            ErrorKind::UnknownName,
            position,
            format!("there is no type '{name}'"),
        )
        .suggesting(known)
    })
}

/// The entity of a name, if the reader may know of it.
fn find_type(model: &Model, bare: &str) -> Option<EntityId> {
    let id = *model.entities_by_name.get(bare)?;
    model.is_known(id).then_some(id)
}

fn check_cast(model: &Model, from: EntityId, to: EntityId, position: usize) -> Result<(), Error> {
    if from == to
        || model[from].specialisations.contains(&to)
        || model[to].specialisations.contains(&from)
    {
        return Ok(());
    }
    let message = format!(
        "{} is no specialisation of {}",
        model[to].name, model[from].name
    );
    Err(Error::new(ErrorKind::Type, position, message))
}

pub(super) fn bare_name<'n>(model: &Model, name: &'n str) -> &'n str {
    name.strip_prefix(model.name.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(name)
}

/// An attribute that is a property that the reader may see: not the version.
pub(super) fn attribute<'e>(
    entity: &'e Entity,
    name: &str,
) -> Option<(AttributeId, &'e Attribute)> {
    let id = *entity.attributes_by_name.get(name)?;
    let attribute = &entity[id];
    is_property(attribute).then_some((id, attribute))
}

fn is_property(attribute: &Attribute) -> bool {
    attribute.purpose != Purpose::Version && attribute.reach.is_readable()
}

/// A navigation that the reader may see.
pub(super) fn navigation<'e>(
    entity: &'e Entity,
    name: &str,
) -> Option<(NavigationId, &'e Navigation)> {
    let id = *entity.navigations_by_name.get(name)?;
    let navigation = &entity[id];
    navigation.reach.is_readable().then_some((id, navigation))
}

/// The fault that an entity has no such property.
#[must_use]
pub fn unknown_property(model: &Model, entity: &Entity, name: &str, position: usize) -> Error {
    let error = Error::new(
        ErrorKind::UnknownName,
        position,
        format!("{} has no property '{name}'", entity.name),
    );
    // A property of a specialisation is reached by naming the type.
    let special = entity
        .specialisations
        .iter()
        .map(|id| &model[*id])
        .find(|special| {
            model.is_known(special.id)
                && (attribute(special, name).is_some() || navigation(special, name).is_some())
        });
    if let Some(special) = special {
        return error.suggesting(Some(format!("{}.{}/{name}", model.name, special.name)));
    }
    let properties = entity
        .attributes
        .iter()
        .filter(|attribute| is_property(attribute));
    let names = properties.map(|attribute| attribute.name.as_str()).chain(
        entity
            .navigations
            .iter()
            .filter(|navigation| navigation.reach.is_readable())
            .filter_map(|navigation| navigation.name.as_deref()),
    );
    error.suggesting(nearest(name, names))
}
