//! Random requests: over every path to the data, to rows that are visible, hidden or not there.

use crate::data::RowId;
use crate::generate::expressions::Writer;
use crate::generate::{name_of, new_key, new_row, new_value};
use crate::judge::{Judge, Known};
use crate::model::{EntityId, Navigation};
use crate::random::Random;
use crate::request::{
    Action, Answer, Body, Expand, Given, Options, Part, Path, Request, RowName, Step,
};
use crate::value::Scalar;
use crate::writing::{makes_keys, seen_targets, visible_rows};

/// A request; none if what was tried makes no sense for the model.
pub(crate) fn request(random: &mut Random, judge: &Judge<'_>) -> Option<Request> {
    let entity = entity(random, judge)?;
    match random.below(100) {
        0..50 => read(random, judge, entity),
        50..64 => create(random, judge, entity),
        64..78 => update(random, judge, entity),
        78..84 => delete(random, judge, entity),
        84..92 => reference(random, judge, entity),
        92..97 => property(random, judge, entity),
        97 => Some(Request {
            path: collection(entity),
            action: Action::Metadata,
        }),
        98 => judge.model.container(entity).is_none().then(|| Request {
            path: collection(entity),
            action: Action::Unknown,
        }),
        _ => read(random, judge, entity),
    }
}

/// An entity of the application; known ones mostly.
fn entity(random: &mut Random, judge: &Judge<'_>) -> Option<EntityId> {
    let mut all: Vec<EntityId> = judge
        .model
        .ids()
        .filter(|id| !judge.model.entities[*id].is_system)
        .collect();
    if random.percent(93) {
        all.retain(|id| judge.knows_entity(*id) != Known::No);
    }
    random.pick(&all).copied()
}

fn collection(entity: EntityId) -> Path {
    Path {
        entity,
        key: None,
        cast: None,
        steps: Vec::new(),
    }
}

/// Whether a name may be used: known ones, and seldom others.
fn may(random: &mut Random, judge: &Judge<'_>, entity: EntityId, name: &str) -> bool {
    judge.knows(entity, name) == Known::Yes || random.percent(4)
}

/// A path to a row, as a reader would write it. `is_root`: without detours.
pub(crate) fn path_to(random: &mut Random, judge: &Judge<'_>, row: RowId, is_root: bool) -> Path {
    let model = judge.model;
    let found = &judge.data.rows[&row];
    if let Some(association) = model.container(found.entity)
        && let Some(container) = found.references.get(&association)
    {
        let mut path = path_to(random, judge, *container, is_root);
        let navigation = model.associations[association].inverse.clone();
        path.steps.push(Step {
            navigation: navigation.unwrap_or_default(),
            key: Some(found.key.clone()),
        });
        return path;
    }
    if !is_root && random.percent(10) {
        // By a reference to it.
        let mut ways = Vec::new();
        for (name, navigation) in model.navigations(found.entity) {
            let partner = navigation.partner();
            let Some(back) = model.name_of(partner) else {
                continue;
            };
            let _ = name;
            for other in judge.data.targets(model, row, navigation) {
                if model.container(judge.data.rows[&other].entity).is_none() {
                    ways.push((other, back.to_owned(), model.is_many(partner)));
                }
            }
        }
        if let Some((other, navigation, is_many)) = random.pick(&ways).cloned() {
            let from = &judge.data.rows[&other];
            return Path {
                entity: from.entity,
                key: Some(from.key.clone()),
                cast: None,
                steps: vec![Step {
                    navigation,
                    key: is_many.then(|| found.key.clone()),
                }],
            };
        }
    }
    let mut entities = model.lineage(found.entity);
    entities.retain(|id| !model.entities[*id].is_system);
    let entity = if is_root || random.percent(70) {
        found.entity
    } else {
        *random.pick(&entities).unwrap_or(&found.entity)
    };
    Path {
        entity,
        key: Some(found.key.clone()),
        cast: None,
        steps: Vec::new(),
    }
}

/// A row of an entity: visible mostly, hidden, or one that is not there.
fn row_path(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Path> {
    let visible = visible_rows(judge, entity);
    let all = judge.data.of(judge.model, entity);
    let row = if random.percent(82) {
        random.pick(&visible)
    } else {
        random.pick(&all)
    };
    match row {
        Some(row) => Some(path_to(random, judge, *row, false)),
        None if judge.model.container(entity).is_none() => {
            let (_, kind) = judge.model.key(entity);
            Some(Path {
                key: Some(new_key(random, kind)),
                ..collection(entity)
            })
        }
        None => None,
    }
}

fn end_of(judge: &Judge<'_>, path: &Path) -> EntityId {
    judge.resolve(path).1
}

fn read(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Request> {
    let model = judge.model;
    let mut path = if model.container(entity).is_none() && random.percent(55) {
        collection(entity)
    } else {
        row_path(random, judge, entity)?
    };
    if random.percent(30) && path.steps.is_empty() {
        let mut family = model.family(path.entity);
        family.retain(|id| *id != path.entity);
        path.cast = random.pick(&family).copied();
    }
    let steps = if path.key.is_some() && random.percent(45) {
        random.between(1, 2)
    } else {
        0
    };
    for _ in 0..steps {
        let (end, is_many) = (end_of(judge, &path), judge.is_many(&path));
        if is_many {
            break;
        }
        let mut navigations = model.navigations(end);
        navigations.retain(|(name, _)| may(random, judge, end, name));
        let Some((name, navigation)) = random.pick(&navigations).cloned() else {
            break;
        };
        let key = (model.is_many(navigation) && random.percent(40))
            .then(|| key_of_target(random, judge, &path, &name, navigation));
        path.steps.push(Step {
            navigation: name,
            key,
        });
    }
    let (end, is_many) = (end_of(judge, &path), judge.is_many(&path));
    let part = if is_many {
        match random.below(10) {
            0 | 1 => Part::Count,
            2 => Part::References,
            _ => Part::Rows,
        }
    } else {
        match random.below(10) {
            0 | 1 => {
                let mut names = model.member_names(end);
                names.retain(|name| {
                    model.kind(end, name).is_some() && may(random, judge, end, name)
                });
                let name = random.pick(&names).cloned()?;
                if random.percent(50) {
                    Part::Property(name)
                } else {
                    Part::Value(name)
                }
            }
            2 => Part::References,
            _ => Part::Rows,
        }
    };
    let mut options = match part {
        Part::Rows => options(random, judge, end, is_many, 2),
        Part::Count if random.percent(50) => Options {
            filter: Some(writer(random, judge).condition(end, 0, 2)),
            ..Options::default()
        },
        _ => Options::default(),
    };
    if is_many && part == Part::Rows && random.percent(20) {
        options.page = Some(random.between(1, 4));
    }
    Some(Request {
        path,
        action: Action::Read(part, options),
    })
}

fn key_of_target(
    random: &mut Random,
    judge: &Judge<'_>,
    path: &Path,
    name: &str,
    navigation: Navigation,
) -> Scalar {
    let seen = match judge.find(path) {
        crate::reading::Found::One(row) => {
            if random.percent(80) {
                seen_targets(judge, row, name)
            } else {
                judge.data.targets(judge.model, row, navigation)
            }
        }
        _ => Vec::new(),
    };
    let target = judge.model.target_of(navigation);
    let any = judge.data.of(judge.model, target);
    match random.pick(&seen).or(random.pick(&any)) {
        Some(row) => judge.data.rows[row].key.clone(),
        None => new_key(random, judge.model.key(target).1),
    }
}

fn writer<'a>(random: &'a mut Random, judge: &'a Judge<'_>) -> Writer<'a> {
    Writer::of_requests(
        judge.model,
        random,
        Box::new(|entity, name| judge.knows(entity, name) == Known::Yes),
    )
}

fn options(
    random: &mut Random,
    judge: &Judge<'_>,
    entity: EntityId,
    is_many: bool,
    depth: usize,
) -> Options {
    let model = judge.model;
    let mut options = Options::default();
    if random.percent(25) {
        let mut names = model.member_names(entity);
        names.retain(|name| {
            model.kind(entity, name).is_some()
                && random.percent(50)
                && may(random, judge, entity, name)
        });
        if !names.is_empty() {
            options.select = Some(names);
        }
    }
    if is_many {
        if random.percent(45) {
            options.filter = Some(writer(random, judge).condition(entity, 0, 2));
        }
        if random.percent(35) {
            for _ in 0..random.between(1, 2) {
                let term = writer(random, judge).term(entity);
                let descending = random.percent(40);
                options.order.extend(term.map(|term| (term, descending)));
            }
        }
        if random.percent(15) {
            options.top = Some(random.below(4));
        }
        if random.percent(10) {
            options.skip = Some(random.below(3));
        }
        options.count = random.percent(20);
    }
    if depth > 0 && random.percent(35) {
        let mut navigations = model.navigations(entity);
        navigations.retain(|(name, _)| random.percent(50) && may(random, judge, entity, name));
        for (name, navigation) in navigations {
            let target = model.target_of(navigation);
            let is_many = model.is_many(navigation);
            let counts_only = is_many && random.percent(10);
            let mut inner = self::options(random, judge, target, is_many, depth - 1);
            if counts_only {
                inner = Options {
                    filter: inner.filter,
                    ..Options::default()
                };
            }
            options.expand.push(Expand {
                navigation: name,
                counts_only,
                options: inner,
            });
        }
    }
    options
}

/// Whether a body gives a member.
type Wanted = Box<dyn Fn(EntityId, &str) -> bool>;

/// Which members a body gives: writable ones mostly.
fn wants(random: &mut Random, judge: &Judge<'_>, is_row: Option<RowId>) -> Wanted {
    let everything = random.percent(10);
    let model = judge.model;
    let allowed: Vec<Vec<String>> = model
        .ids()
        .map(|entity| {
            let mut names = model.member_names(entity);
            names.retain(|name| {
                let writable = match is_row {
                    Some(row) => judge.writes(row, name),
                    None => judge.may_write(entity, name),
                };
                writable || random.percent(6)
            });
            names
        })
        .collect();
    Box::new(move |entity, name| everything || allowed[entity].iter().any(|known| known == name))
}

/// Adds what a client may try and must not: system attributes, names of others.
fn spoil(random: &mut Random, judge: &Judge<'_>, entity: EntityId, body: &mut Body) {
    if !random.percent(8) {
        return;
    }
    let model = judge.model;
    let others: Vec<EntityId> = if random.percent(60) {
        vec![entity]
    } else {
        model.family(model.root(entity))
    };
    let Some(other) = random.pick(&others).copied() else {
        return;
    };
    let mut candidates: Vec<(String, Scalar)> = model
        .attributes(other)
        .iter()
        .filter(|(_, attribute)| model.shown_by(other, &attribute.name).is_none())
        .map(|(_, attribute)| (attribute.name.clone(), new_value(random, attribute)))
        .collect();
    candidates.push(("createdAt".to_owned(), Scalar::Instant(1_000_000_000)));
    if let Some((name, value)) = random.pick(&candidates).cloned()
        && !body.members.iter().any(|(known, _)| *known == name)
        && (model.kind(entity, &name).is_some())
    {
        body.members.push((name, Given::Value(value)));
    }
}

fn answer(random: &mut Random) -> Answer {
    match random.below(10) {
        0 => Answer::Minimal,
        1..4 => Answer::Representation,
        _ => Answer::Default,
    }
}

fn create(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Request> {
    let model = judge.model;
    let mut entity = entity;
    if random.percent(85) && !judge.may_create(entity) {
        let creatable: Vec<EntityId> = model
            .ids()
            .filter(|id| !model.entities[*id].is_system && judge.may_create(*id))
            .collect();
        entity = *random.pick(&creatable)?;
    }
    let wanted = wants(random, judge, None);
    let container = model.container(entity);
    if container.is_none() && random.percent(65) {
        // Through the collection of a base sometimes.
        let mut made = entity;
        if random.percent(15) {
            made = *random.pick(&model.family(entity))?;
        }
        let mut body = new_row(random, model, judge.data, made, &wanted)?;
        body.entity = (made != entity).then_some(made);
        nest(random, judge, made, &mut body, &wanted, 2);
        spoil(random, judge, made, &mut body);
        body.answer = answer(random);
        if random.percent(12) {
            let key = if random.percent(70) {
                new_key(random, model.key(entity).1)
            } else {
                let rows = judge.data.of(model, entity);
                judge.data.rows[random.pick(&rows)?].key.clone()
            };
            let path = Path {
                key: Some(key),
                ..collection(entity)
            };
            body.members.retain(|(name, _)| name != model.key(made).0);
            return Some(Request {
                path,
                action: Action::PutNew(body),
            });
        }
        if random.percent(3) {
            // The key of another row.
            let rows = judge.data.of(model, entity);
            let row = random.pick(&rows)?;
            let (key, _) = model.key(made);
            body.members.retain(|(name, _)| name != key);
            let value = judge.data.rows[row].key.clone();
            body.members.push((key.to_owned(), Given::Value(value)));
        }
        return Some(Request {
            path: collection(entity),
            action: Action::Post(body),
        });
    }
    // Behind a navigation that leads to it.
    let mut ways = Vec::new();
    for from in model.ids().filter(|id| !model.entities[*id].is_system) {
        for (name, navigation) in model.navigations(from) {
            let fits = model.target_of(navigation) == entity
                && model.is_many(navigation)
                && container.is_none_or(|association| association == navigation.association);
            if fits && may(random, judge, from, &name) {
                ways.push((from, name, navigation));
            }
        }
    }
    let (from, name, navigation) = random.pick(&ways).cloned()?;
    let mut path = row_path(random, judge, from)?;
    path.steps.push(Step {
        navigation: name,
        key: None,
    });
    let mut body = new_row(random, model, judge.data, entity, &wanted)?;
    body.members.retain(|(name, _)| {
        model
            .navigation(entity, name)
            .is_none_or(|own| own.association != navigation.association)
            && model.foreign_key(navigation.association) != Some(name)
    });
    nest(random, judge, entity, &mut body, &wanted, 1);
    spoil(random, judge, entity, &mut body);
    body.answer = answer(random);
    Some(Request {
        path,
        action: Action::Post(body),
    })
}

/// Adds nested rows and links to the body of a new row.
fn nest(
    random: &mut Random,
    judge: &Judge<'_>,
    entity: EntityId,
    body: &mut Body,
    wanted: &dyn Fn(EntityId, &str) -> bool,
    depth: usize,
) {
    let model = judge.model;
    if depth == 0 {
        return;
    }
    for (name, navigation) in model.navigations(entity) {
        let association = navigation.association;
        let is_given = body
            .members
            .iter()
            .any(|(known, _)| *known == name || model.foreign_key(association) == Some(known));
        if is_given || !wanted(entity, &name) || model.contains(navigation.partner()) {
            continue;
        }
        let target = model.target_of(navigation);
        let is_self = model.root(target) == model.root(entity);
        // Contained rows are made in their container, and have no URL to be referred by.
        let is_elsewhere = model.container(target).is_some() && !model.contains(navigation);
        if is_self || is_elsewhere || !random.percent(25) {
            continue;
        }
        if random.percent(50) && !model.contains(navigation) {
            let rows = judge.data.of(model, target);
            let mut names: Vec<RowName> = Vec::new();
            for _ in 0..random.between(1, 2) {
                if let Some(row) = random.pick(&rows) {
                    let row = name_of(judge.data, *row);
                    if !names.contains(&row) {
                        names.push(row);
                    }
                }
            }
            if model.is_many(navigation) {
                body.members.push((name, Given::BindMany(names)));
            } else if let Some(row) = names.pop() {
                body.members.push((name, Given::Bind(Some(row))));
            }
            continue;
        }
        let count = if model.is_many(navigation) {
            random.between(1, 2)
        } else {
            1
        };
        let mut nested = Vec::new();
        for _ in 0..count {
            let Some(mut row) = new_row(random, model, judge.data, target, wanted) else {
                continue;
            };
            // What it belongs to is told by where it stands.
            row.members.retain(|(name, _)| {
                model
                    .navigation(target, name)
                    .is_none_or(|own| own.association != association)
                    && model.foreign_key(association) != Some(name)
            });
            nest(random, judge, target, &mut row, wanted, depth - 1);
            nested.push(row);
        }
        if model.is_many(navigation) {
            body.members.push((name, Given::Rows(nested)));
        } else if let Some(row) = nested.pop() {
            body.members.push((name, Given::Row(row)));
        }
    }
}

fn update(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Request> {
    let model = judge.model;
    let path = row_path(random, judge, entity)?;
    let end = end_of(judge, &path);
    let row = match judge.find(&path) {
        crate::reading::Found::One(row) => Some(row),
        _ => None,
    };
    if random.percent(12) {
        // PUT of the whole row.
        let wanted = |_: EntityId, name: &str| row.is_none_or(|row| judge.writes(row, name));
        let mut body = new_row(random, model, judge.data, end, &wanted)?;
        body.members.retain(|(name, _)| name != model.key(end).0);
        if let Some(row) = row
            && random.percent(50)
        {
            // What cannot be written is sent back as it is.
            for (_, attribute) in model.attributes(end) {
                let name = &attribute.name;
                let value = judge.attribute(row, name, crate::judge::Sight::Readers);
                let shown = model.shown_by(end, name);
                let is_given = body.members.iter().any(|(known, _)| {
                    known == name
                        || model
                            .navigation(end, known)
                            .is_some_and(|own| Some(own.association) == shown)
                });
                if !is_given && judge.knows(end, name) == Known::Yes {
                    body.members.push((name.clone(), Given::Value(value)));
                }
            }
        }
        body.answer = answer(random);
        return Some(Request {
            path,
            action: Action::Put(body),
        });
    }
    let mut body = Body::default();
    let wanted = wants(random, judge, row);
    let mut attributes: Vec<_> = model
        .attributes(end)
        .into_iter()
        .map(|(_, attribute)| attribute.clone())
        .collect();
    attributes.retain(|attribute| {
        model.shown_by(end, &attribute.name).is_none() && wanted(end, &attribute.name)
    });
    for attribute in attributes {
        if !random.percent(45) {
            continue;
        }
        let value = match row {
            Some(row) if random.percent(15) => judge.data.value(model, row, &attribute.name),
            _ if !attribute.required && random.percent(15) => Scalar::Null,
            _ => new_value(random, &attribute),
        };
        body.members
            .push((attribute.name.clone(), Given::Value(value)));
    }
    for (name, navigation) in model.navigations(end) {
        let target = model.target_of(navigation);
        let has_url = model.container(target).is_none() || model.contains(navigation);
        if has_url && wanted(end, &name) && random.percent(30) {
            change_navigation(
                random, judge, end, row, &name, navigation, &mut body, &wanted,
            );
        }
    }
    spoil(random, judge, end, &mut body);
    body.answer = answer(random);
    let action = if random.percent(4) {
        Action::PatchStale(body)
    } else {
        Action::Patch(body)
    };
    Some(Request { path, action })
}

#[allow(clippy::too_many_arguments, reason = "a part of `update`")]
fn change_navigation(
    random: &mut Random,
    judge: &Judge<'_>,
    entity: EntityId,
    row: Option<RowId>,
    name: &str,
    navigation: Navigation,
    body: &mut Body,
    wanted: &dyn Fn(EntityId, &str) -> bool,
) {
    let model = judge.model;
    let target = model.target_of(navigation);
    let pick = |random: &mut Random| {
        let seen = visible_rows(judge, target);
        let all = judge.data.of(model, target);
        let row = if random.percent(80) {
            random.pick(&seen)
        } else {
            random.pick(&all)
        };
        row.map(|row| name_of(judge.data, *row))
    };
    if model.contains(navigation) {
        let lines = row.map_or(Vec::new(), |row| judge.data.targets(model, row, navigation));
        let mut rows = Vec::new();
        for line in lines {
            if random.percent(65) {
                let mut changed = Body::default();
                let key = model.key(target).0.to_owned();
                let value = judge.data.rows[&line].key.clone();
                changed.members.push((key, Given::Value(value)));
                for (_, attribute) in model.attributes(target) {
                    let is_plain = model.shown_by(target, &attribute.name).is_none();
                    if is_plain && judge.writes(line, &attribute.name) && random.percent(40) {
                        let value = new_value(random, attribute);
                        changed
                            .members
                            .push((attribute.name.clone(), Given::Value(value)));
                    }
                }
                rows.push(changed);
            }
        }
        if random.percent(60)
            && let Some(mut new) = new_row(random, model, judge.data, target, wanted)
        {
            if makes_keys(model, target) && random.percent(40) {
                new.members.retain(|(name, _)| name != model.key(target).0);
            }
            rows.push(new);
        }
        body.members.push((name.to_owned(), Given::Rows(rows)));
    } else if model.is_many_to_many(navigation) {
        let mut names: Vec<RowName> = Vec::new();
        for _ in 0..random.below(3) {
            if let Some(row) = pick(random)
                && !names.contains(&row)
            {
                names.push(row);
            }
        }
        let given = if random.percent(50) {
            Given::Replace(names)
        } else {
            Given::BindMany(names)
        };
        body.members.push((name.to_owned(), given));
    } else if model.is_many(navigation) {
        if let Some(row) = pick(random) {
            body.members
                .push((name.to_owned(), Given::BindMany(vec![row])));
        }
    } else {
        let is_null = random.percent(25);
        let to = if is_null { None } else { pick(random) };
        if to.is_none() && !is_null {
            return;
        }
        let foreign_key = model
            .foreign_key(navigation.association)
            .filter(|_| navigation.forward);
        match foreign_key {
            Some(attribute) if random.percent(50) => {
                let value = to.map_or(Scalar::Null, |to| to.key);
                body.members
                    .push((attribute.to_owned(), Given::Value(value)));
            }
            _ => body.members.push((name.to_owned(), Given::Bind(to))),
        }
    }
    let _ = entity;
}

fn delete(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Request> {
    Some(Request {
        path: row_path(random, judge, entity)?,
        action: Action::Delete,
    })
}

fn property(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Request> {
    let model = judge.model;
    let path = row_path(random, judge, entity)?;
    let end = end_of(judge, &path);
    let mut names = model.member_names(end);
    names.retain(|name| model.kind(end, name).is_some() && may(random, judge, end, name));
    let name = random.pick(&names).cloned()?;
    if random.percent(40) {
        return Some(Request {
            path,
            action: Action::DeleteProperty(name),
        });
    }
    let value = match model.shown_by(end, &name) {
        Some(association) => {
            let rows = judge.data.of(model, model.associations[association].target);
            judge.data.rows[random.pick(&rows)?].key.clone()
        }
        None => match model.attribute(end, &name) {
            Some(attribute) => new_value(random, attribute),
            None => model.kind(end, &name)?.random(random),
        },
    };
    Some(Request {
        path,
        action: Action::PutProperty(name, value),
    })
}

fn reference(random: &mut Random, judge: &Judge<'_>, entity: EntityId) -> Option<Request> {
    let model = judge.model;
    let mut path = row_path(random, judge, entity)?;
    let end = end_of(judge, &path);
    let mut navigations = model.navigations(end);
    navigations.retain(|(name, navigation)| {
        // Contained rows have no URL to be referred by.
        !model.contains(*navigation)
            && model.container(model.target_of(*navigation)).is_none()
            && may(random, judge, end, name)
    });
    let (name, navigation) = random.pick(&navigations).cloned()?;
    let row = match judge.find(&path) {
        crate::reading::Found::One(row) => Some(row),
        _ => None,
    };
    let target = model.target_of(navigation);
    let is_many = model.is_many(navigation);
    path.steps.push(Step {
        navigation: name,
        key: None,
    });
    let any = |random: &mut Random| {
        let seen = visible_rows(judge, target);
        let all = judge.data.of(model, target);
        let row = if random.percent(80) {
            random.pick(&seen)
        } else {
            random.pick(&all)
        };
        row.map(|row| name_of(judge.data, *row))
    };
    if random.percent(60) {
        let to = any(random)?;
        return Some(Request {
            path,
            action: Action::SetReference(to),
        });
    }
    let current = row.map_or(Vec::new(), |row| judge.data.targets(model, row, navigation));
    let to = match random.pick(&current) {
        Some(row) if random.percent(85) => Some(name_of(judge.data, *row)),
        _ => any(random),
    };
    if !is_many {
        return Some(Request {
            path,
            action: Action::RemoveReference(None),
        });
    }
    Some(Request {
        path,
        action: Action::RemoveReference(Some(to?)),
    })
}
