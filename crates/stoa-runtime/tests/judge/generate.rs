//! Random applications, rules, users, rows and requests.

pub(crate) mod expressions;
pub(crate) mod requests;

use crate::data::{Database, RowId};
use crate::generate::expressions::Writer;
use crate::judge::{Judge, Reader};
use crate::model::{
    Association, Attribute, Entity, EntityId, Key, Members, Model, OnDelete, Permission, Rule,
    Shape,
};
use crate::random::Random;
use crate::request::{Action, Body, Given, Path, Request, RowName, Step};
use crate::value::{Kind, Scalar};

/// Name of the entity of users of every application that has one.
pub(crate) const USERS: &str = "Worker";

const NAMES: [&str; 5] = ["Alpha", "Beta", "Gamma", "Delta", "Omega"];

/// Entities and associations, without rules.
pub(crate) fn model(random: &mut Random) -> Model {
    let mut model = Model {
        entities: vec![system_user(), worker()],
        associations: Vec::new(),
        roles: Vec::new(),
        anonymous: false,
        rules: Vec::new(),
    };
    let mut number = 0;
    for name in NAMES.iter().take(random.between(2, 4)) {
        model.entities.push(Entity {
            name: (*name).to_owned(),
            collection: format!("{name}s"),
            base: None,
            key: *random
                .pick(&[Key::Generated, Key::Generated, Key::Text, Key::Integer])
                .unwrap_or(&Key::Generated),
            attributes: Vec::new(),
            is_system: false,
        });
    }
    let plain = model.entities.len();
    // A hierarchy, of one or two levels.
    if random.percent(60) {
        let mut base = random.between(2, plain - 1);
        for name in ["Special", "Rare"].iter().take(random.between(1, 2)) {
            model.entities.push(Entity {
                name: (*name).to_owned(),
                collection: format!("{name}s"),
                base: Some(base),
                key: Key::Generated,
                attributes: Vec::new(),
                is_system: false,
            });
            if random.percent(60) {
                base = model.entities.len() - 1;
            }
        }
    }
    // Something contained.
    let mut line = None;
    if random.percent(60) {
        line = Some(model.entities.len());
        model.entities.push(Entity {
            name: "Line".to_owned(),
            collection: "Lines".to_owned(),
            base: None,
            key: *random
                .pick(&[Key::Generated, Key::Generated, Key::Integer])
                .unwrap_or(&Key::Generated),
            attributes: Vec::new(),
            is_system: false,
        });
    }
    for entity in 1..model.entities.len() {
        let count = random.between(1, 3);
        for _ in 0..count {
            number += 1;
            let attribute = attribute(random, number);
            model.entities[entity].attributes.push(attribute);
        }
    }
    if let Some(line) = line {
        let container = random.between(2, plain - 1);
        number += 1;
        model.associations.push(Association {
            holder: line,
            name: random.percent(75).then(|| format!("In{number}")),
            target: container,
            inverse: Some(format!("Lines{number}")),
            shape: Shape::Reference {
                required: false,
                contained: true,
                unique: false,
                foreign_key: None,
                on_delete: OnDelete::Cascade,
            },
        });
    }
    for _ in 0..random.between(2, 4) {
        number += 1;
        let association = reference(random, &mut model, number, line);
        model.associations.push(association);
    }
    if random.percent(60) {
        number += 1;
        let pick = |random: &mut Random| random.between(1, plain - 1);
        let (holder, target) = (pick(random), pick(random));
        model.associations.push(Association {
            holder,
            name: Some(format!("Tags{number}")),
            target,
            inverse: random.percent(80).then(|| format!("Tagged{number}")),
            shape: Shape::ManyToMany,
        });
    }
    model
}

fn system_user() -> Entity {
    let text = |name: &str, required: bool, unique: bool| Attribute {
        name: name.to_owned(),
        kind: Kind::Text,
        required,
        unique,
        default: None,
    };
    Entity {
        name: "SystemUser".to_owned(),
        collection: "SystemUsers".to_owned(),
        base: None,
        key: Key::Generated,
        attributes: vec![
            text("Name", true, true),
            text("FullName", false, false),
            text("Email", false, false),
            Attribute {
                name: "Active".to_owned(),
                kind: Kind::Boolean,
                required: true,
                unique: false,
                default: Some(Scalar::Boolean(true)),
            },
        ],
        is_system: true,
    }
}

fn worker() -> Entity {
    Entity {
        name: USERS.to_owned(),
        collection: format!("{USERS}s"),
        base: Some(0),
        key: Key::Generated,
        attributes: vec![
            Attribute {
                name: "Team".to_owned(),
                kind: Kind::Text,
                required: false,
                unique: false,
                default: None,
            },
            Attribute {
                name: "Grade".to_owned(),
                kind: Kind::Integer,
                required: false,
                unique: false,
                default: None,
            },
        ],
        is_system: false,
    }
}

fn attribute(random: &mut Random, number: usize) -> Attribute {
    let kind = Kind::ALL[random.below(Kind::ALL.len())];
    let unique = random.percent(8) && kind == Kind::Text;
    let required = !unique && random.percent(25);
    let default =
        (!unique && random.percent(if required { 60 } else { 20 })).then(|| kind.random(random));
    Attribute {
        name: format!("{kind:?}{number}"),
        kind,
        required,
        unique,
        default,
    }
}

fn reference(
    random: &mut Random,
    model: &mut Model,
    number: usize,
    line: Option<EntityId>,
) -> Association {
    let count = model.entities.len();
    let holder = random.between(1, count - 1);
    // Contained rows have no URL of their own: nothing refers to them.
    let mut target = random.between(1, count - 1);
    while Some(target) == line {
        target = random.between(1, count - 1);
    }
    // No circles of required references.
    let required = model.root(target) < model.root(holder) && random.percent(30);
    let unique = random.percent(12);
    let on_delete = match random.below(4) {
        0 if required => OnDelete::Cascade,
        0 => OnDelete::Clear,
        1 => OnDelete::Cascade,
        _ => OnDelete::Prevent,
    };
    let foreign_key = random.percent(25).then(|| {
        let (_, kind) = model.key(target);
        let name = format!("Key{number}");
        model.entities[holder].attributes.push(Attribute {
            name: name.clone(),
            kind,
            required,
            unique: false,
            default: None,
        });
        name
    });
    Association {
        holder,
        name: Some(format!("To{number}")),
        target,
        inverse: random.percent(75).then(|| format!("From{number}")),
        shape: Shape::Reference {
            required,
            contained: false,
            unique,
            foreign_key,
            on_delete,
        },
    }
}

/// Roles and rules for a model that has entities only.
pub(crate) fn rules(random: &mut Random, model: &mut Model) {
    model.anonymous = random.percent(50);
    model.roles = (1..=random.between(1, 4))
        .map(|number| format!("Role{number}"))
        .collect();
    let mut roles = model.roles.clone();
    if model.anonymous {
        roles.push("Anonymous".to_owned());
    }
    model.rules.clear();
    for role in &roles {
        for entity in model.ids() {
            if model.entities[entity].is_system || random.percent(18) {
                continue;
            }
            for _ in 0..random.between(1, 2) {
                let rule = rule(random, model, entity, role);
                model.rules.push(rule);
            }
        }
    }
}

fn rule(random: &mut Random, model: &Model, entity: EntityId, role: &str) -> Rule {
    let mut condition = |percent: u64| {
        random
            .percent(percent)
            .then(|| Writer::of_rules(model, random).condition(entity, 0, 2))
    };
    let main = condition(50);
    let create = condition(20);
    let delete = condition(20);
    let permission = |random: &mut Random, when| match when {
        Some(condition) => Permission::When(condition),
        None if random.percent(60) => Permission::Yes,
        None => Permission::No,
    };
    let create = permission(random, create);
    let delete = permission(random, delete);
    Rule {
        entity,
        role: role.to_owned(),
        create,
        delete,
        read: members(random, model, entity, false),
        write: members(random, model, entity, true),
        condition: main,
    }
}

fn members(random: &mut Random, model: &Model, entity: EntityId, is_write: bool) -> Members {
    if random.percent(35) {
        return Members::All;
    }
    if random.percent(15) {
        return Members::none();
    }
    let mut names = model.member_names(entity);
    names.retain(|name| {
        let is_system = matches!(name.as_str(), "createdAt" | "changedAt");
        let is_own_key = name == model.key(entity).0;
        !(is_write && (is_system || is_own_key)) && random.percent(60)
    });
    Members::Only(names)
}

/// Somebody.
pub(crate) fn reader(random: &mut Random, model: &Model, data: &Database) -> Reader {
    if model.anonymous && random.percent(12) {
        return Reader {
            roles: vec!["Anonymous".to_owned()],
            user: None,
            is_root: false,
        };
    }
    let mut roles = model.roles.clone();
    roles.retain(|_| random.percent(55));
    if roles.is_empty() && random.percent(90) {
        roles.extend(random.pick(&model.roles).cloned());
    }
    let users: Vec<RowId> = model
        .ids()
        .filter(|id| model.entities[*id].name == USERS)
        .flat_map(|id| data.of(model, id))
        .collect();
    Reader {
        roles,
        user: random.pick(&users).copied(),
        is_root: false,
    }
}

/// A row to set up, as the root user creates it; none if what it needs is not there.
pub(crate) fn row_to_set_up(
    random: &mut Random,
    model: &Model,
    data: &Database,
    entity: EntityId,
) -> Option<Request> {
    if model.entities[entity].is_system {
        return None;
    }
    let root = Reader::root();
    let judge = Judge::new(model, data, &root);
    let mut body = new_row(random, model, data, entity, &|_, _| true)?;
    let (key, kind) = model.key(entity);
    if !body.members.iter().any(|(name, _)| name == key) {
        let value = new_key(random, kind);
        body.members
            .insert(0, (key.to_owned(), Given::Value(value)));
    }
    let path = match model.container(entity) {
        Some(association) => {
            let target = model.associations[association].target;
            let container = *random.pick(&data.of(model, target))?;
            body.members.retain(|(name, _)| {
                model
                    .navigation(entity, name)
                    .is_none_or(|navigation| navigation.association != association)
            });
            let mut path = requests::path_to(random, &judge, container, true);
            path.steps.push(Step {
                navigation: model.associations[association].inverse.clone()?,
                key: None,
            });
            path
        }
        None => Path {
            entity,
            key: None,
            cast: None,
            steps: Vec::new(),
        },
    };
    Some(Request {
        path,
        action: Action::Post(body),
    })
}

pub(crate) fn new_key(random: &mut Random, kind: Kind) -> Scalar {
    match kind {
        Kind::Text => Scalar::Text(format!("k{}", random.below(100_000))),
        Kind::Integer => Scalar::Integer(random.below(100_000) as i64),
        _ => Scalar::Uuid(random.uuid()),
    }
}

/// A body for a new row; `wanted` says which of the members that may be left out are given.
pub(crate) fn new_row(
    random: &mut Random,
    model: &Model,
    data: &Database,
    entity: EntityId,
    wanted: &dyn Fn(EntityId, &str) -> bool,
) -> Option<Body> {
    let mut body = Body::default();
    let (key, kind) = model.key(entity);
    if kind != Kind::Uuid || random.percent(70) {
        let value = new_key(random, kind);
        body.members.push((key.to_owned(), Given::Value(value)));
    }
    for association in model.references(entity) {
        let described = &model.associations[association];
        let required = model.is_required(association);
        let foreign_key = model.foreign_key(association);
        let Some(name) = &described.name else {
            continue;
        };
        if model.is_containment(association) {
            continue;
        }
        if !required && (!wanted(entity, name) || random.percent(35)) {
            continue;
        }
        let target = model.associations[association].target;
        let rows = data.of(model, target);
        let Some(row) = random.pick(&rows) else {
            if required {
                return None;
            }
            continue;
        };
        let to = name_of(data, *row);
        match foreign_key {
            Some(attribute) if random.percent(50) => {
                body.members
                    .push((attribute.to_owned(), Given::Value(to.key)));
            }
            _ => body.members.push((name.clone(), Given::Bind(Some(to)))),
        }
    }
    for (_, attribute) in model.attributes(entity) {
        if model.shown_by(entity, &attribute.name).is_some() {
            continue;
        }
        let needed = attribute.required && attribute.default.is_none();
        if !needed && (!wanted(entity, &attribute.name) || random.percent(15)) {
            continue;
        }
        let value = if !attribute.required && random.percent(20) {
            Scalar::Null
        } else {
            new_value(random, attribute)
        };
        body.members
            .push((attribute.name.clone(), Given::Value(value)));
    }
    Some(body)
}

pub(crate) fn new_value(random: &mut Random, attribute: &Attribute) -> Scalar {
    if attribute.unique {
        let bound = if random.percent(15) { 4 } else { 100_000 };
        return Scalar::Text(format!("u{}", random.below(bound)));
    }
    attribute.kind.random(random)
}

/// A row's name in the collection of its entity.
pub(crate) fn name_of(data: &Database, row: RowId) -> RowName {
    let row = &data.rows[&row];
    RowName {
        entity: row.entity,
        key: row.key.clone(),
    }
}
