//! A failure made small: what is not needed for it is taken away, piece by piece.

use std::time::{Duration, Instant};

use crate::case::{Case, Failure};
use crate::court::Kind;
use crate::data::{Database, RowId};
use crate::model::{EntityId, Members, Model, Permission};
use crate::request::{Action, Body, Given, Options, Request};
use crate::value::Scalar;

/// The smallest case found that fails in the same way, and its failure.
pub(crate) async fn shrink(
    case: Case,
    failure: Box<Failure>,
    kind: Kind,
    time: Duration,
) -> (Case, Box<Failure>) {
    let start = Instant::now();
    // SQLite is quicker to set up.
    let mut kind = kind;
    if kind == Kind::Postgres
        && let Ok(Some(other)) = case.ask_anew(Kind::Sqlite).await
        && category(&other) == category(&failure)
    {
        kind = Kind::Sqlite;
    }
    let (mut best, mut why) = (case, failure);
    loop {
        let mut progress = false;
        let mut position = 0;
        loop {
            let smaller = candidates(&best);
            let Some(candidate) = smaller.into_iter().nth(position) else {
                break;
            };
            if start.elapsed() > time {
                return (best, why);
            }
            match candidate.ask_anew(kind).await {
                Ok(Some(failure)) if category(&failure) == category(&why) => {
                    best = candidate;
                    why = failure;
                    progress = true;
                    // The same position means another piece now.
                }
                _ => position += 1,
            }
        }
        if !progress {
            return (best, why);
        }
    }
}

/// What kind of failure it is.
fn category(failure: &Failure) -> (String, u16, String) {
    let word = failure.difference.split(':').next().unwrap_or_default();
    (
        word.to_owned(),
        failure.answer.status,
        failure.answer.code(),
    )
}

fn candidates(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    rules(case, &mut all);
    rows(case, &mut all);
    requests(case, &mut all);
    members(case, &mut all);
    roles(case, &mut all);
    all
}

fn with_model(case: &Case, change: impl FnOnce(&mut Model)) -> Case {
    let mut smaller = case.clone();
    change(&mut smaller.model);
    smaller
}

fn rules(case: &Case, all: &mut Vec<Case>) {
    let count = case.model.rules.len();
    // Half of them at once, then one by one.
    if count > 3 {
        for half in [0..count / 2, count / 2..count] {
            all.push(with_model(case, |model| {
                model.rules.drain(half);
            }));
        }
    }
    for position in 0..count {
        all.push(with_model(case, |model| {
            model.rules.remove(position);
        }));
    }
    for position in 0..count {
        let rule = &case.model.rules[position];
        if let Some(condition) = &rule.condition {
            all.push(with_model(case, |model| {
                model.rules[position].condition = None
            }));
            for smaller in condition.smaller() {
                all.push(with_model(case, |model| {
                    model.rules[position].condition = Some(smaller);
                }));
            }
        }
        for is_create in [true, false] {
            let permission = if is_create {
                &rule.create
            } else {
                &rule.delete
            };
            let simpler = match permission {
                Permission::No => Vec::new(),
                Permission::Yes => vec![Permission::No],
                Permission::When(condition) => {
                    let mut simpler = vec![Permission::No, Permission::Yes];
                    simpler.extend(condition.smaller().into_iter().map(Permission::When));
                    simpler
                }
            };
            for simpler in simpler {
                all.push(with_model(case, |model| {
                    let rule = &mut model.rules[position];
                    if is_create {
                        rule.create = simpler;
                    } else {
                        rule.delete = simpler;
                    }
                }));
            }
        }
        for is_read in [true, false] {
            let members = if is_read { &rule.read } else { &rule.write };
            let mut simpler = Vec::new();
            match members {
                Members::All => simpler.push(Vec::new()),
                Members::Only(names) => {
                    for name in 0..names.len() {
                        let mut names = names.clone();
                        names.remove(name);
                        simpler.push(names);
                    }
                }
            }
            for names in simpler {
                all.push(with_model(case, |model| {
                    let rule = &mut model.rules[position];
                    if is_read {
                        rule.read = Members::Only(names);
                    } else {
                        rule.write = Members::Only(names);
                    }
                }));
            }
        }
    }
}

/// Without a row, and without those that cannot be without it.
fn without(model: &Model, data: &Database, row: RowId) -> Database {
    let mut data = data.clone();
    let mut gone = vec![row];
    while let Some(row) = gone.pop() {
        data.remove(row);
        for (id, other) in &mut data.rows {
            let lost: Vec<usize> = other
                .references
                .iter()
                .filter(|(_, target)| **target == row)
                .map(|(association, _)| *association)
                .collect();
            for association in lost {
                if model.is_required(association) {
                    gone.push(*id);
                }
                other.references.remove(&association);
            }
        }
    }
    data
}

fn rows(case: &Case, all: &mut Vec<Case>) {
    let with_data = |data: Database| {
        let mut smaller = case.clone();
        if smaller
            .reader
            .user
            .is_some_and(|user| !data.rows.contains_key(&user))
        {
            smaller.reader.user = None;
        }
        smaller.data = data;
        smaller
    };
    let ids: Vec<RowId> = case.data.rows.keys().copied().collect();
    for chunk in ids.chunks((ids.len() / 4).max(2)) {
        let mut data = case.data.clone();
        for id in chunk {
            if data.rows.contains_key(id) {
                data = without(&case.model, &data, *id);
            }
        }
        all.push(with_data(data));
    }
    for id in &ids {
        all.push(with_data(without(&case.model, &case.data, *id)));
    }
    for link in &case.data.links {
        let mut data = case.data.clone();
        data.links.remove(link);
        all.push(with_data(data));
    }
    for (id, row) in &case.data.rows {
        for association in row.references.keys() {
            if !case.model.is_required(*association) {
                let mut data = case.data.clone();
                if let Some(row) = data.rows.get_mut(id) {
                    row.references.remove(association);
                }
                all.push(with_data(data));
            }
        }
        for (name, value) in &row.values {
            let required = case
                .model
                .attribute(row.entity, name)
                .is_some_and(|attribute| attribute.required);
            if !required && !value.is_null() {
                let mut data = case.data.clone();
                if let Some(row) = data.rows.get_mut(id) {
                    row.values.insert(name.clone(), Scalar::Null);
                }
                all.push(with_data(data));
            }
        }
    }
    if case.reader.user.is_some() {
        let mut smaller = case.clone();
        smaller.reader.user = None;
        all.push(smaller);
    }
}

fn requests(case: &Case, all: &mut Vec<Case>) {
    let Request { path, action } = &case.request;
    let mut with = |action: Action| {
        let mut smaller = case.clone();
        smaller.request.action = action;
        all.push(smaller);
    };
    match action {
        Action::Read(part, options) => {
            for options in smaller_options(options) {
                with(Action::Read(part.clone(), options));
            }
        }
        Action::Post(body) => smaller_bodies(body)
            .into_iter()
            .for_each(|body| with(Action::Post(body))),
        Action::Patch(body) => smaller_bodies(body)
            .into_iter()
            .for_each(|body| with(Action::Patch(body))),
        Action::PatchStale(body) => smaller_bodies(body)
            .into_iter()
            .for_each(|body| with(Action::PatchStale(body))),
        Action::Put(body) => smaller_bodies(body)
            .into_iter()
            .for_each(|body| with(Action::Put(body))),
        Action::PutNew(body) => smaller_bodies(body)
            .into_iter()
            .for_each(|body| with(Action::PutNew(body))),
        _ => {}
    }
    if !path.steps.is_empty() && matches!(action, Action::Read(..)) {
        let mut smaller = case.clone();
        smaller.request.path.steps.pop();
        all.push(smaller);
    }
    if path.cast.is_some() {
        let mut smaller = case.clone();
        smaller.request.path.cast = None;
        all.push(smaller);
    }
}

fn smaller_options(options: &Options) -> Vec<Options> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Options)| {
        let mut smaller = options.clone();
        change(&mut smaller);
        all.push(smaller);
    };
    if options.page.is_some() {
        with(&|options| options.page = None);
    }
    if options.top.is_some() {
        with(&|options| options.top = None);
    }
    if options.skip.is_some() {
        with(&|options| options.skip = None);
    }
    if options.count {
        with(&|options| options.count = false);
    }
    if let Some(select) = &options.select {
        with(&|options| options.select = None);
        for position in 0..select.len() {
            if select.len() > 1 {
                with(&|options| {
                    if let Some(select) = &mut options.select {
                        select.remove(position);
                    }
                });
            }
        }
    }
    if let Some(filter) = &options.filter {
        with(&|options| options.filter = None);
        for smaller in filter.smaller() {
            with(&|options| options.filter = Some(smaller.clone()));
        }
    }
    for position in 0..options.order.len() {
        with(&|options| {
            options.order.remove(position);
        });
    }
    for position in 0..options.expand.len() {
        with(&|options| {
            options.expand.remove(position);
        });
        for inner in smaller_options(&options.expand[position].options) {
            with(&|options| options.expand[position].options = inner.clone());
        }
    }
    all
}

fn smaller_bodies(body: &Body) -> Vec<Body> {
    let mut all = Vec::new();
    for position in 0..body.members.len() {
        let mut smaller = body.clone();
        smaller.members.remove(position);
        all.push(smaller);
    }
    for (position, (name, given)) in body.members.iter().enumerate() {
        let mut with = |given: Given| {
            let mut smaller = body.clone();
            smaller.members[position] = (name.clone(), given);
            all.push(smaller);
        };
        match given {
            Given::Row(nested) => smaller_bodies(nested)
                .into_iter()
                .for_each(|nested| with(Given::Row(nested))),
            Given::Rows(rows) => {
                for row in 0..rows.len() {
                    let mut fewer = rows.clone();
                    fewer.remove(row);
                    with(Given::Rows(fewer));
                    for nested in smaller_bodies(&rows[row]) {
                        let mut rows = rows.clone();
                        rows[row] = nested;
                        with(Given::Rows(rows));
                    }
                }
            }
            Given::BindMany(rows) | Given::Replace(rows) if rows.len() > 1 => {
                for row in 0..rows.len() {
                    let mut fewer = rows.clone();
                    fewer.remove(row);
                    with(match given {
                        Given::Replace(_) => Given::Replace(fewer),
                        _ => Given::BindMany(fewer),
                    });
                }
            }
            _ => {}
        }
    }
    all
}

/// Attributes and associations that are not needed.
fn members(case: &Case, all: &mut Vec<Case>) {
    for entity in case.model.ids() {
        if case.model.entities[entity].is_system {
            continue;
        }
        for position in 0..case.model.entities[entity].attributes.len() {
            let name = case.model.entities[entity].attributes[position]
                .name
                .clone();
            if case.model.shown_by(entity, &name).is_some() {
                continue;
            }
            let mut smaller = case.clone();
            smaller.model.entities[entity].attributes.remove(position);
            forget(&mut smaller, &name);
            all.push(smaller);
        }
    }
    // The last one only: others would get new numbers.
    if let Some(association) = case.model.associations.last() {
        let number = case.model.associations.len() - 1;
        let mut smaller = case.clone();
        for name in [&association.name, &association.inverse]
            .into_iter()
            .flatten()
        {
            forget(&mut smaller, name);
        }
        if let Some(attribute) = case.model.foreign_key(number) {
            let attributes = &mut smaller.model.entities[association.holder].attributes;
            attributes.retain(|known| known.name != attribute);
            forget(&mut smaller, attribute);
        }
        smaller.model.associations.pop();
        smaller.data.links.retain(|link| link.0 != number);
        for row in smaller.data.rows.values_mut() {
            row.references.remove(&number);
        }
        all.push(smaller);
    }
    // Entities without rows and rules: the last one, for the same reason.
    let last = case.model.entities.len() - 1;
    let is_used = case.data.rows.values().any(|row| row.entity == last)
        || case.model.rules.iter().any(|rule| rule.entity == last)
        || names_entity(&case.request, last)
        || case
            .model
            .associations
            .iter()
            .any(|association| association.holder == last || association.target == last);
    if !is_used && last > 1 {
        all.push(with_model(case, |model| {
            model.entities.pop();
        }));
    }
}

/// Whether a request names an entity by its position.
fn names_entity(request: &Request, entity: EntityId) -> bool {
    let is_named = match &request.action {
        Action::Post(body)
        | Action::Patch(body)
        | Action::PatchStale(body)
        | Action::Put(body)
        | Action::PutNew(body) => body_names_entity(body, entity),
        Action::SetReference(row) | Action::RemoveReference(Some(row)) => row.entity == entity,
        Action::Metadata
        | Action::Unknown
        | Action::Read(..)
        | Action::Delete
        | Action::RemoveReference(None)
        | Action::PutProperty(..)
        | Action::DeleteProperty(_) => false,
    };
    is_named || request.path.entity == entity || request.path.cast == Some(entity)
}

fn body_names_entity(body: &Body, entity: EntityId) -> bool {
    let is_named = |given: &Given| match given {
        Given::Value(_) => false,
        Given::Bind(row) => row.as_ref().is_some_and(|row| row.entity == entity),
        Given::BindMany(rows) | Given::Replace(rows) => rows.iter().any(|row| row.entity == entity),
        Given::Row(body) => body_names_entity(body, entity),
        Given::Rows(bodies) => bodies.iter().any(|body| body_names_entity(body, entity)),
    };
    body.entity == Some(entity) || body.members.iter().any(|(_, given)| is_named(given))
}

/// Takes a name out of lists of rules and out of rows.
fn forget(case: &mut Case, name: &str) {
    for rule in &mut case.model.rules {
        for members in [&mut rule.read, &mut rule.write] {
            if let Members::Only(names) = members {
                names.retain(|known| known != name);
            }
        }
    }
    for row in case.data.rows.values_mut() {
        row.values.remove(name);
    }
}

fn roles(case: &Case, all: &mut Vec<Case>) {
    for position in 0..case.reader.roles.len() {
        let mut smaller = case.clone();
        smaller.reader.roles.remove(position);
        all.push(smaller);
    }
    for role in &case.model.roles {
        if !case.model.rules.iter().any(|rule| rule.role == *role)
            && !case.reader.roles.contains(role)
        {
            all.push(with_model(case, |model| {
                model.roles.retain(|known| known != role);
            }));
        }
    }
    if case.model.anonymous
        && !case.model.rules.iter().any(|rule| rule.role == "Anonymous")
        && !case.reader.roles.iter().any(|role| role == "Anonymous")
    {
        all.push(with_model(case, |model| model.anonymous = false));
    }
}

#[test]
fn an_entity_that_the_request_names_stays() {
    let mut model = crate::generate::model(&mut crate::random::Random::new(1));
    model.entities.push(model.entities[2].clone());
    let last = model.entities.len() - 1;
    let case = |action: Action, cast: Option<EntityId>| Case {
        model: model.clone(),
        data: Database::default(),
        reader: crate::judge::Reader::root(),
        request: Request {
            path: crate::request::Path {
                entity: 2,
                key: None,
                cast,
                steps: Vec::new(),
            },
            action,
        },
    };
    let loses_it = |case: &Case| {
        let mut smaller = Vec::new();
        members(case, &mut smaller);
        smaller.iter().any(|case| case.model.entities.len() == last)
    };
    let body = Body {
        entity: Some(last),
        ..Body::default()
    };
    let nested = Body {
        members: vec![("Lines".to_owned(), Given::Rows(vec![body.clone()]))],
        ..Body::default()
    };
    assert!(loses_it(&case(Action::Delete, None)));
    assert!(!loses_it(&case(Action::Delete, Some(last))));
    assert!(!loses_it(&case(Action::Post(body), None)));
    assert!(!loses_it(&case(Action::Patch(nested), None)));
}
