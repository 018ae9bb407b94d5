//! Expected answers to writes, and the rows after them.
//!
//! A write is tried on a copy of the data, operation by operation. Every reason to refuse it is collected:
//! which of several reasons is told is left open, that it is refused is not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::data::{Database, Row, RowId};
use crate::expect::{Content, Expected, Success};
use crate::judge::{Judge, Known, Reader, Sight};
use crate::model::{AssociationId, EntityId, Key, Model, Navigation, OnDelete, Shape};
use crate::reading::{Found, worse};
use crate::request::{Action, Answer, Body, Expand, Given, Options, Path, Request, RowName};
use crate::value::Scalar;

const FORBIDDEN: (u16, &str) = (403, "Forbidden");
const NOT_FOUND: (u16, &str) = (404, "NotFound");
const REFERENCE: (u16, &str) = (400, "ReferenceNotFound");
const REQUIRED: (u16, &str) = (400, "Required");
const NOT_UNIQUE: (u16, &str) = (409, "NotUnique");
const UNKNOWN: (u16, &str) = (400, "UnknownProperty");

type Refusal = (u16, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Create,
    Patch,
    Put,
    /// A contained row with its key: changed or made.
    Nested,
}

/// What must hold when everything is done.
enum After {
    Create(RowId),
    /// The row's member may be written.
    Member(RowId, String),
    /// As `Member`; where only a specialisation's rule could allow it, the rules leave it open.
    MemberOfBase(RowId, String),
    /// The reference may be set, seen from one end or the other.
    Link(RowId, AssociationId),
    /// As `Link`, by a navigation that shows its column as an attribute: which of the two is asked about is
    /// left open.
    LinkOrMember(RowId, AssociationId, String),
    /// The row that it refers to is visible.
    Visible(RowId, AssociationId),
    /// One of the ends of a many-to-many association may be written.
    /// A link, by the right of an end that is named.
    Either(Navigation, [Option<RowId>; 2]),
}

struct Trial<'a> {
    model: &'a Model,
    reader: &'a Reader,
    data: Database,
    /// The data when the request began.
    before: &'a Database,
    refusals: Vec<Refusal>,
    /// Refusals that the rules leave open.
    open: Vec<Refusal>,
    after: Vec<After>,
    /// Rows of this change.
    new: BTreeSet<RowId>,
}

impl Judge<'_> {
    /// Whether PUT sets an attribute that it does not name.
    fn is_put(&self, entity: EntityId, name: &str) -> bool {
        self.may_write(entity, name) && self.knows(entity, name) == Known::Yes
    }

    pub(crate) fn expect(&self, request: &Request) -> Expected {
        match &request.action {
            Action::Metadata => self.metadata(),
            Action::Unknown => Expected::refused(401, "NotSignedIn"),
            Action::Read(part, options) => self.read(&request.path, part, options),
            _ => self.write(request),
        }
    }

    fn write(&self, request: &Request) -> Expected {
        let path = &request.path;
        let (mut known, mut entity) = self.resolve(path);
        if let Action::PutProperty(name, _) | Action::DeleteProperty(name) = &request.action {
            known = worse(known, self.knows(entity, name));
        }
        if known == Known::No {
            return Expected::refused(404, "NotFound");
        }
        let mut trial = Trial {
            model: self.model,
            reader: self.reader,
            data: self.data.clone(),
            before: self.data,
            refusals: Vec::new(),
            open: Vec::new(),
            after: Vec::new(),
            new: BTreeSet::new(),
        };
        if known == Known::Open {
            trial.open.push(NOT_FOUND);
        }
        let mut row = None;
        let mut answer = Answer::Minimal;
        let mut expand = Vec::new();
        let mut is_insert = false;
        match &request.action {
            Action::Post(body) | Action::PutNew(body) => {
                is_insert = true;
                answer = body.answer;
                expand = body
                    .members
                    .iter()
                    .filter(|(_, given)| match given {
                        Given::Row(_) => true,
                        Given::Rows(rows) => !rows.is_empty(),
                        _ => false,
                    })
                    .map(|(name, _)| name.clone())
                    .collect();
                entity = body.entity.unwrap_or(entity);
                row = trial.post(path, body, matches!(request.action, Action::PutNew(_)));
            }
            Action::Patch(body) | Action::Put(body) | Action::PatchStale(body) => {
                answer = body.answer;
                let mode = if matches!(request.action, Action::Put(_)) {
                    Mode::Put
                } else {
                    Mode::Patch
                };
                trial.check(entity, body, mode, &[]);
                if trial.refusals.is_empty() {
                    match self.find(path) {
                        Found::One(found) => {
                            let is_linked = body
                                .members
                                .iter()
                                .any(|(_, given)| !matches!(given, Given::Value(_)));
                            if !path.steps.is_empty() && is_linked {
                                // A change of the way that it is reached by loses it on the way.
                                trial.open.push(NOT_FOUND);
                            }
                            trial.update(found, entity, body, mode);
                            row = Some(found);
                            if matches!(request.action, Action::PatchStale(_)) {
                                trial.refusals.push((412, "PreconditionFailed"));
                            }
                        }
                        _ => trial.absent(),
                    }
                }
            }
            Action::Delete => {
                if !self.may_delete(entity) {
                    trial.open.push(FORBIDDEN);
                }
                match self.find(path) {
                    Found::One(found) => trial.delete(found),
                    _ => trial.absent(),
                }
            }
            Action::PutProperty(name, value) => {
                let body = Body {
                    members: vec![(name.clone(), Given::Value(value.clone()))],
                    ..Body::default()
                };
                self.property(&mut trial, path, entity, name, &body);
            }
            Action::DeleteProperty(name) => {
                let body = Body {
                    members: vec![(name.clone(), Given::Value(Scalar::Null))],
                    ..Body::default()
                };
                self.property(&mut trial, path, entity, name, &body);
            }
            Action::SetReference(to) => self.set_reference(&mut trial, path, to),
            Action::RemoveReference(to) => {
                self.remove_reference(&mut trial, path, to.as_ref());
            }
            Action::Metadata | Action::Unknown | Action::Read(..) => {}
        }
        trial.finish();
        trial.expected(row, entity, answer, is_insert, &expand)
    }

    fn property(
        &self,
        trial: &mut Trial<'_>,
        path: &Path,
        entity: EntityId,
        name: &str,
        body: &Body,
    ) {
        if name == self.model.key(entity).0 || matches!(name, "createdAt" | "changedAt") {
            trial.refusals.push((400, "ReadOnly"));
            return;
        }
        trial.check(entity, body, Mode::Patch, &[]);
        if !trial.refusals.is_empty() {
            return;
        }
        match self.find(path) {
            Found::One(found) => trial.update(found, entity, body, Mode::Patch),
            _ => trial.absent(),
        }
    }

    /// The row that a path to a navigation starts at, and the navigation.
    fn referring(&self, path: &Path) -> Option<(Option<RowId>, Navigation)> {
        let (last, steps) = path.steps.split_last()?;
        let before = Path {
            steps: steps.to_vec(),
            ..path.clone()
        };
        let (_, entity) = self.resolve(&before);
        let navigation = self.model.navigation(entity, &last.navigation)?;
        match self.find(&before) {
            Found::One(row) => Some((Some(row), navigation)),
            _ => Some((None, navigation)),
        }
    }

    fn set_reference(&self, trial: &mut Trial<'_>, path: &Path, to: &RowName) {
        let Some((from, navigation)) = self.referring(path) else {
            return;
        };
        if trial.named(to) == Known::No {
            trial.refusals.push((400, "InvalidReference"));
            return;
        }
        let target = self.data.find(self.model, to.entity, &to.key);
        let target = target.filter(|row| trial.fits(*row, to.entity));
        let Some(from) = from else {
            trial.absent();
            return;
        };
        if navigation.forward && !self.model.is_many_to_many(navigation) {
            trial.refer(from, navigation.association, target);
        } else {
            trial.link(navigation, from, target);
        }
    }

    fn remove_reference(&self, trial: &mut Trial<'_>, path: &Path, to: Option<&RowName>) {
        let Some((from, navigation)) = self.referring(path) else {
            return;
        };
        let is_own = navigation.forward && !self.model.is_many_to_many(navigation);
        if is_own && self.model.is_required(navigation.association) {
            trial.refusals.push(REQUIRED);
            return;
        }
        if to.is_some_and(|to| trial.named(to) == Known::No) {
            trial.refusals.push((400, "InvalidReference"));
            return;
        }
        let key = path.steps.last().and_then(|step| step.key.clone());
        let Some(from) = from else {
            trial.absent();
            return;
        };
        let target = match (to, key) {
            (Some(to), _) => {
                let row = self.data.find(self.model, to.entity, &to.key);
                Some(row.filter(|row| trial.fits(*row, to.entity)))
            }
            (None, Some(key)) => {
                let entity = self.model.target_of(navigation);
                Some(self.data.find(self.model, entity, &key))
            }
            (None, None) => None,
        };
        if is_own {
            trial.clear(from, navigation.association);
        } else {
            trial.unlink(navigation, from, target);
        }
    }
}

impl Trial<'_> {
    fn judge(&self) -> Judge<'_> {
        Judge::new(self.model, &self.data, self.reader).amid(self.before)
    }

    fn absent(&mut self) {
        self.refusals.push(NOT_FOUND);
    }

    fn fits(&self, row: RowId, entity: EntityId) -> bool {
        self.model.is_a(self.data.rows[&row].entity, entity)
    }

    /// Whether the URL of a row can be understood.
    fn named(&mut self, row: &RowName) -> Known {
        let known = self.judge().knows_entity(row.entity);
        if known == Known::Open {
            self.open.push((400, "InvalidReference"));
        }
        known
    }

    /// Faults of a body that the model alone tells. `given`: references that the place gives.
    fn check(&mut self, declared: EntityId, body: &Body, mode: Mode, given: &[AssociationId]) {
        let model = self.model;
        let entity = body.entity.unwrap_or(declared);
        if let Some(special) = body.entity {
            match self.judge().knows_entity(special) {
                Known::No => {
                    self.refusals.push((400, "UnknownType"));
                    return;
                }
                Known::Open => self.open.push((400, "UnknownType")),
                Known::Yes => {}
            }
        }
        let key = model.key(entity).0;
        let mut named: BTreeSet<&str> = BTreeSet::new();
        let mut referred: BTreeSet<AssociationId> = given.iter().copied().collect();
        for (name, value) in &body.members {
            let known = self.judge().knows_in_body(entity, name);
            match known {
                Known::No => {
                    self.refusals.push(UNKNOWN);
                    continue;
                }
                Known::Open => self.open.push(UNKNOWN),
                Known::Yes => {}
            }
            if let Given::Value(value) = value {
                named.insert(name);
                let required = model
                    .attribute(entity, name)
                    .is_some_and(|attribute| attribute.required);
                if value.is_null() && (required || name == key) {
                    self.refusals.push(REQUIRED);
                }
                continue;
            }
            let Some(navigation) = model.navigation(entity, name) else {
                continue;
            };
            let is_own = navigation.forward && !model.is_many_to_many(navigation);
            if is_own && !referred.insert(navigation.association) {
                // Given twice: by the place, or by another member.
                let same = given.contains(&navigation.association);
                if same {
                    self.open.push((400, "InvalidReference"));
                }
            }
            let target = model.target_of(navigation);
            match value {
                Given::Bind(Some(row)) => self.check_name(row),
                Given::Bind(None) => {
                    if is_own && model.is_required(navigation.association) {
                        self.refusals.push(REQUIRED);
                    }
                }
                Given::BindMany(rows) | Given::Replace(rows) => {
                    for row in rows {
                        self.check_name(row);
                    }
                }
                Given::Row(nested) => {
                    let given = nested_references(model, navigation);
                    self.check(target, nested, Mode::Create, &given);
                }
                Given::Rows(rows) => {
                    let given = nested_references(model, navigation);
                    let key = model.key(target).0;
                    for nested in rows {
                        let has_key = nested.members.iter().any(|(name, _)| name == key);
                        let mode = if mode != Mode::Create && has_key {
                            Mode::Nested
                        } else {
                            Mode::Create
                        };
                        self.check(target, nested, mode, &given);
                    }
                }
                Given::Value(_) => {}
            }
        }
        if matches!(mode, Mode::Create | Mode::Put) {
            for (_, attribute) in model.attributes(entity) {
                let shown = model.shown_by(entity, &attribute.name);
                let is_missing = attribute.required
                    && attribute.default.is_none()
                    && !named.contains(attribute.name.as_str())
                    && !shown.is_some_and(|association| referred.contains(&association));
                if is_missing {
                    let is_asked_for =
                        mode == Mode::Create || self.judge().is_put(entity, &attribute.name);
                    if is_asked_for {
                        self.refusals.push(REQUIRED);
                    }
                }
            }
        }
        if mode == Mode::Create {
            for association in model.references(entity) {
                let by_attribute = model
                    .foreign_key(association)
                    .is_some_and(|attribute| named.contains(attribute));
                if model.is_required(association)
                    && !referred.contains(&association)
                    && !by_attribute
                {
                    self.refusals.push(REQUIRED);
                }
            }
        }
    }

    fn check_name(&mut self, row: &RowName) {
        if self.named(row) == Known::No {
            self.refusals.push((400, "InvalidReference"));
        }
    }

    fn post(&mut self, path: &Path, body: &Body, is_upsert: bool) -> Option<RowId> {
        let model = self.model;
        let judge = Judge::new(model, self.before, self.reader);
        let (_, entity) = judge.resolve(path);
        if is_upsert {
            self.check(entity, body, Mode::Create, &[]);
            if !self.refusals.is_empty() {
                return None;
            }
            let key = path.key.clone()?;
            if self.data.find(model, entity, &key).is_some() {
                self.refusals.push((412, "PreconditionFailed"));
                let inserted = body.entity.unwrap_or(entity);
                if !self.judge().may_create(inserted) {
                    self.open.push(FORBIDDEN);
                }
                // Other refusals may be told of the row that would be made.
                self.open.push(FORBIDDEN);
                self.open.push(REFERENCE);
                self.open.push(NOT_UNIQUE);
                return None;
            }
            return Some(self.insert(entity, body, None, Some(key)));
        }
        if path.steps.is_empty() {
            self.check(entity, body, Mode::Create, &[]);
            if !self.refusals.is_empty() {
                return None;
            }
            return Some(self.insert(entity, body, None, None));
        }
        let (from, navigation) = judge.referring(path)?;
        let given = nested_references(model, navigation);
        self.check(entity, body, Mode::Create, &given);
        if !self.refusals.is_empty() {
            return None;
        }
        let Some(from) = from else {
            let inserted = body.entity.unwrap_or(entity);
            if !self.judge().may_create(inserted) {
                self.open.push(FORBIDDEN);
            }
            self.open.push(FORBIDDEN);
            self.open.push(NOT_UNIQUE);
            self.open.push(REFERENCE);
            self.absent();
            return None;
        };
        if model.is_many_to_many(navigation) {
            let row = self.insert(entity, body, None, None);
            self.link(navigation, from, Some(row));
            return Some(row);
        }
        // What is behind the place may be told as missing in either way.
        if !self.judge().sees(from) {
            self.open.push(NOT_FOUND);
        }
        let row = self.insert(entity, body, Some((navigation.association, from)), None);
        self.open.push(NOT_FOUND);
        Some(row)
    }

    /// A new row with everything nested in it.
    fn insert(
        &mut self,
        declared: EntityId,
        body: &Body,
        place: Option<(AssociationId, RowId)>,
        key: Option<Scalar>,
    ) -> RowId {
        let model = self.model;
        let entity = body.entity.unwrap_or(declared);
        let (key_name, _) = model.key(entity);
        let mut values = BTreeMap::new();
        let mut references: BTreeMap<AssociationId, RowId> = BTreeMap::new();
        let mut demands: Vec<Box<dyn Fn(RowId) -> After>> = Vec::new();
        let mut given_key = None;
        if !self.judge().may_create(entity) {
            self.refusals.push(FORBIDDEN);
        }
        for (name, given) in &body.members {
            match given {
                Given::Value(value) if name == key_name => given_key = Some(value.clone()),
                Given::Value(_) if matches!(name.as_str(), "createdAt" | "changedAt") => {}
                Given::Value(value) => {
                    let name = name.clone();
                    if let Some(association) = model.shown_by(entity, &name) {
                        if value.is_null() {
                            continue;
                        }
                        let target = model.associations[association].target;
                        match self.data.find(model, target, value) {
                            Some(target) => {
                                references.insert(association, target);
                                demands.push(Box::new(move |row| After::Visible(row, association)));
                            }
                            None => self.refusals.push(REFERENCE),
                        }
                        demands.push(Box::new(move |row| {
                            After::LinkOrMember(row, association, name.clone())
                        }));
                        continue;
                    }
                    values.insert(name.clone(), value.clone());
                    let default = model
                        .attribute(entity, &name)
                        .and_then(|attribute| attribute.default.clone());
                    if !value.is_null() && Some(value) != default.as_ref() {
                        demands.push(Box::new(move |row| After::Member(row, name.clone())));
                    }
                }
                Given::Bind(Some(to)) => {
                    let Some(navigation) = own(model, entity, name) else {
                        continue;
                    };
                    let target = self.data.find(model, to.entity, &to.key);
                    match target.filter(|row| self.fits(*row, to.entity)) {
                        Some(target) => {
                            references.insert(navigation.association, target);
                            demands.extend(link_demands(model, navigation.association));
                        }
                        None => self.refusals.push(REFERENCE),
                    }
                }
                Given::Row(nested) => {
                    let Some(navigation) = own(model, entity, name) else {
                        continue;
                    };
                    let target = self.insert(model.target_of(navigation), nested, None, None);
                    references.insert(navigation.association, target);
                    demands.extend(link_demands(model, navigation.association));
                }
                _ => {}
            }
        }
        if let Some((association, from)) = place
            && references.insert(association, from).is_none()
        {
            demands.extend(link_demands(model, association));
        }
        for (_, attribute) in model.attributes(entity) {
            if let Some(default) = &attribute.default
                && !body.members.iter().any(|(name, _)| *name == attribute.name)
            {
                values.insert(attribute.name.clone(), default.clone());
            }
        }
        let key = key.or(given_key);
        let row = Row {
            entity,
            is_key_unknown: key.is_none(),
            key: key.unwrap_or(Scalar::Null),
            values,
            references,
        };
        if !row.is_key_unknown && self.data.find(model, entity, &row.key).is_some() {
            self.refusals.push(NOT_UNIQUE);
        }
        let row = self.data.insert(row);
        self.new.insert(row);
        self.check_unique(row);
        self.after.push(After::Create(row));
        for demand in demands {
            self.after.push(demand(row));
        }
        self.follow(row, entity, body, Mode::Create);
        row
    }

    /// Links and rows that come after a row.
    fn follow(&mut self, row: RowId, entity: EntityId, body: &Body, mode: Mode) {
        let model = self.model;
        let navigation_of = |name: &str| model.navigation(entity, name);
        if mode != Mode::Create {
            for (name, given) in &body.members {
                let Some(navigation) = navigation_of(name) else {
                    continue;
                };
                let is_replaced = matches!(given, Given::Replace(_))
                    || (matches!(given, Given::Bind(None)) && own(model, entity, name).is_none());
                if is_replaced {
                    self.unlink(navigation, row, None);
                }
            }
        }
        for (name, given) in &body.members {
            let Some(navigation) = navigation_of(name) else {
                continue;
            };
            let links: Vec<&RowName> = match given {
                Given::BindMany(rows) | Given::Replace(rows) => rows.iter().collect(),
                Given::Bind(Some(to)) if own(model, entity, name).is_none() => vec![to],
                _ => Vec::new(),
            };
            for to in links {
                let target = self.data.find(model, to.entity, &to.key);
                let target = target.filter(|row| self.fits(*row, to.entity));
                self.link(navigation, row, target);
            }
        }
        for (name, given) in &body.members {
            let Some(navigation) = navigation_of(name) else {
                continue;
            };
            let nested: Vec<&Body> = match given {
                Given::Rows(rows) if mode != Mode::Create && model.contains(navigation) => {
                    self.replace_contained(row, navigation, rows, mode);
                    continue;
                }
                Given::Rows(rows) => rows.iter().collect(),
                Given::Row(nested) if own(model, entity, name).is_none() => vec![nested],
                _ => continue,
            };
            let target = model.target_of(navigation);
            for nested in nested {
                if model.is_many_to_many(navigation) {
                    let made = self.insert(target, nested, None, None);
                    self.link(navigation, row, Some(made));
                } else {
                    self.insert(target, nested, Some((navigation.association, row)), None);
                }
            }
        }
    }

    fn update(&mut self, row: RowId, entity: EntityId, body: &Body, mode: Mode) {
        let model = self.model;
        let entity = body.entity.unwrap_or(entity);
        if !self.fits(row, entity) {
            self.absent();
            return;
        }
        let key = model.key(entity).0;
        let mut values: Vec<(String, Scalar)> = Vec::new();
        let mut references: Vec<(AssociationId, Option<Option<RowId>>)> = Vec::new();
        for (name, given) in &body.members {
            match given {
                Given::Value(_)
                    if name == key || matches!(name.as_str(), "createdAt" | "changedAt") => {}
                Given::Value(value) => values.push((name.clone(), value.clone())),
                Given::Bind(to) => {
                    let Some(navigation) = own(model, entity, name) else {
                        continue;
                    };
                    let to = to.as_ref().map(|to| {
                        let target = self.data.find(model, to.entity, &to.key);
                        target.filter(|row| self.fits(*row, to.entity))
                    });
                    references.push((navigation.association, to));
                }
                _ => {}
            }
        }
        if mode == Mode::Put {
            for (_, attribute) in model.attributes(entity) {
                let name = &attribute.name;
                let shown = model.shown_by(entity, name);
                let is_given = values.iter().any(|(known, _)| known == name)
                    || references.iter().any(|(known, _)| Some(*known) == shown);
                // What no rule lets them write or see stays as it is, as computed values do.
                if !is_given && self.judge().is_put(entity, name) {
                    let default = attribute.default.clone().unwrap_or(Scalar::Null);
                    values.push((name.clone(), default));
                }
            }
        }
        self.change(row, entity, &values, &references);
        self.follow(row, entity, body, mode);
    }

    /// New values and references of a row.
    fn change(
        &mut self,
        row: RowId,
        entity: EntityId,
        values: &[(String, Scalar)],
        references: &[(AssociationId, Option<Option<RowId>>)],
    ) {
        let model = self.model;
        let mut refusals = Vec::new();
        let mut open = Vec::new();
        let unchanged: BTreeSet<AssociationId> = references
            .iter()
            .filter(|(association, to)| {
                self.data.rows[&row].references.get(association) == to.flatten().as_ref()
            })
            .map(|(association, _)| *association)
            .collect();
        let judge = self.judge();
        for (name, value) in values {
            let is_unchanged =
                judge.reads(row, name) && self.data.value(model, row, name) == *value;
            if is_unchanged || judge.writes(row, name) {
                continue;
            }
            match model.shown_by(entity, name) {
                // The reference may be written: so may what shows it, as far as anybody says.
                Some(association) if may_link(&judge, row, association) => open.push(FORBIDDEN),
                _ => refusals.push(FORBIDDEN),
            }
        }
        for (association, to) in references {
            let current = self.data.rows[&row].references.get(association);
            if current == to.flatten().as_ref() {
                // It stays: whether that has to be allowed is left open.
                let mut refused = Vec::new();
                judge_link(&judge, row, *association, &mut refused, &mut open);
                open.extend(refused);
            } else {
                judge_link(&judge, row, *association, &mut refusals, &mut open);
            }
        }
        let actual = self.data.rows[&row].entity;
        let mut after = Vec::new();
        for (name, _) in values {
            if let Some(association) = model.shown_by(entity, name) {
                if judge.may_write(actual, name) {
                    after.push(After::LinkOrMember(row, association, name.clone()));
                }
            } else if judge.may_write(entity, name) {
                after.push(After::Member(row, name.clone()));
            } else if judge.may_write(actual, name) {
                after.push(After::MemberOfBase(row, name.clone()));
            }
        }
        self.refusals.extend(refusals);
        self.open.extend(open);
        self.after.extend(after);
        for (name, value) in values {
            let Some(association) = model.shown_by(entity, name) else {
                self.set(row, name, value.clone());
                continue;
            };
            if value.is_null() {
                self.row(row, |row| {
                    row.references.remove(&association);
                });
                continue;
            }
            let target = model.associations[association].target;
            match self.data.find(model, target, value) {
                Some(target) => {
                    self.row(row, |row| {
                        row.references.insert(association, target);
                    });
                    self.after.push(After::Visible(row, association));
                }
                None => self.refusals.push(REFERENCE),
            }
        }
        for (association, to) in references {
            match to {
                None => self.row(row, |row| {
                    row.references.remove(association);
                }),
                Some(None) => self.refusals.push(REFERENCE),
                Some(Some(target)) => self.row(row, |row| {
                    row.references.insert(*association, *target);
                }),
            }
            let demands = link_demands(model, *association);
            if unchanged.contains(association) {
                self.after.push(After::Visible(row, *association));
                self.open.push(FORBIDDEN);
            } else {
                self.after
                    .extend(demands.into_iter().map(|demand| demand(row)));
            }
        }
        self.check_unique(row);
    }

    fn row(&mut self, id: RowId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.data.rows.get_mut(&id) {
            change(row);
        }
    }

    fn set(&mut self, id: RowId, name: &str, value: Scalar) {
        self.row(id, |row| {
            row.values.insert(name.to_owned(), value);
        });
    }

    /// Of `$ref` of a to-one reference.
    fn refer(&mut self, row: RowId, association: AssociationId, to: Option<RowId>) {
        let entity = self.data.rows[&row].entity;
        if to.is_none() {
            self.open.push(NOT_FOUND);
        }
        self.change(row, entity, &[], &[(association, Some(to))]);
    }

    fn clear(&mut self, row: RowId, association: AssociationId) {
        let entity = self.data.rows[&row].entity;
        self.change(row, entity, &[], &[(association, None)]);
    }

    /// Connects two rows, by a navigation that the row `from` does not keep itself.
    fn link(&mut self, navigation: Navigation, from: RowId, to: Option<RowId>) {
        let judge = self.judge();
        let sees_from = judge.sees(from);
        let seen = to.filter(|to| judge.sees(*to) || self.new.contains(to));
        if !sees_from {
            let refusals = if self.new.contains(&from) {
                &mut self.open
            } else {
                &mut self.refusals
            };
            refusals.push(NOT_FOUND);
            refusals.push(FORBIDDEN);
        }
        let Some(to) = seen else {
            self.refusals.push(REFERENCE);
            self.open.push(NOT_FOUND);
            return;
        };
        if !self.judge().sees(to) {
            self.open.extend([NOT_FOUND, REFERENCE, FORBIDDEN]);
        }
        if self.model.is_many_to_many(navigation) {
            // A new row is judged as it is in the end. Beside it, a row that gave no right before gives none
            // because of the link.
            let ends = if self.new.contains(&from) || self.new.contains(&to) {
                let judge = self.judge();
                let counts = |row: RowId, navigation: Navigation| {
                    let counts = self.new.contains(&row) || may_write(&judge, row, navigation);
                    counts.then_some(row)
                };
                [counts(from, navigation), counts(to, navigation.partner())]
            } else {
                if !either(&self.judge(), navigation, [Some(from), Some(to)]) {
                    self.refusals.push(FORBIDDEN);
                }
                [Some(from), Some(to)]
            };
            self.data.link(navigation, from, to);
            self.after.push(After::Either(navigation, ends));
            return;
        }
        let association = navigation.association;
        let (mut refusals, mut open) = (Vec::new(), Vec::new());
        judge_link(&self.judge(), to, association, &mut refusals, &mut open);
        self.refusals.append(&mut refusals);
        self.open.append(&mut open);
        self.row(to, |row| {
            row.references.insert(association, from);
        });
        self.check_unique(to);
        for demand in link_demands(self.model, association) {
            self.after.push(demand(to));
        }
    }

    /// Disconnects one row (which may not be there), or all that are visible.
    fn unlink(&mut self, navigation: Navigation, from: RowId, to: Option<Option<RowId>>) {
        let model = self.model;
        if !self.judge().sees(from) {
            // It was visible when the request began.
            self.open.extend([NOT_FOUND, FORBIDDEN]);
        }
        let current = self.data.targets(model, from, navigation);
        let targets: Vec<RowId> = match to {
            None => {
                let judge = self.judge();
                let seen = current.iter().filter(|row| judge.sees(**row));
                seen.copied().collect()
            }
            Some(to) => {
                let seen = to.filter(|to| self.judge().sees(*to));
                let Some(to) = seen.filter(|to| current.contains(to)) else {
                    // Nothing is there to be taken away: nothing happens, whatever is said.
                    self.open.extend([NOT_FOUND, REFERENCE, FORBIDDEN]);
                    return;
                };
                vec![to]
            }
        };
        for to in targets {
            if model.is_many_to_many(navigation) {
                let ends = [Some(from), Some(to)];
                if !either(&self.judge(), navigation, ends) {
                    self.refusals.push(FORBIDDEN);
                }
                self.data.unlink(navigation, from, to);
                self.after.push(After::Either(navigation, ends));
                continue;
            }
            let association = navigation.association;
            let (mut refusals, mut open) = (Vec::new(), Vec::new());
            judge_link(&self.judge(), to, association, &mut refusals, &mut open);
            self.refusals.append(&mut refusals);
            self.open.append(&mut open);
            if model.is_required(association) {
                self.refusals.push(REQUIRED);
            }
            self.row(to, |row| {
                row.references.remove(&association);
            });
        }
    }

    /// A contained navigation that is given whole.
    fn replace_contained(
        &mut self,
        row: RowId,
        navigation: Navigation,
        bodies: &[Body],
        mode: Mode,
    ) {
        let model = self.model;
        let entity = model.target_of(navigation);
        let key_name = model.key(entity).0;
        let key_of = |body: &Body| {
            body.members.iter().find_map(|(name, given)| match given {
                Given::Value(value) if name == key_name => Some(value.clone()),
                _ => None,
            })
        };
        let keep: Vec<Scalar> = bodies.iter().filter_map(key_of).collect();
        let name = model.name_of(navigation).unwrap_or_default();
        if !self.judge().sees(row) || !self.judge().reads(row, name) {
            // What is there already may be told as taken.
            self.open
                .extend([NOT_FOUND, FORBIDDEN, NOT_UNIQUE, REQUIRED]);
        }
        for line in self.data.targets(model, row, navigation) {
            if !keep.contains(&self.data.rows[&line].key) && self.judge().sees(line) {
                self.delete(line);
            }
        }
        for body in bodies {
            let Some(key) = key_of(body) else {
                self.insert(entity, body, Some((navigation.association, row)), None);
                continue;
            };
            let made = body.entity.unwrap_or(entity);
            match self.data.find(model, entity, &key) {
                Some(line)
                    if self.data.rows[&line]
                        .references
                        .get(&navigation.association)
                        == Some(&row) =>
                {
                    if !self.judge().sees(line) {
                        // As what it is, or as a row whose key is taken.
                        self.refusals.push(FORBIDDEN);
                        self.open.extend([NOT_FOUND, NOT_UNIQUE]);
                        continue;
                    }
                    // The reference to the container stays: whether it has to be writable is left open.
                    let judge = self.judge();
                    let mut refusals = Vec::new();
                    let mut open = Vec::new();
                    judge_link(
                        &judge,
                        line,
                        navigation.association,
                        &mut refusals,
                        &mut open,
                    );
                    self.open.append(&mut refusals);
                    self.open.append(&mut open);
                    let mode = if mode == Mode::Put {
                        Mode::Put
                    } else {
                        Mode::Nested
                    };
                    self.update(line, made, body, mode);
                    self.open.push(FORBIDDEN);
                }
                Some(_) => {
                    self.refusals.push(NOT_UNIQUE);
                    self.open.push(FORBIDDEN);
                }
                None => {
                    self.missing(made, body);
                    self.insert(entity, body, Some((navigation.association, row)), Some(key));
                }
            }
        }
    }

    /// What a nested row lacks that turns out to be new.
    fn missing(&mut self, entity: EntityId, body: &Body) {
        let model = self.model;
        for (_, attribute) in model.attributes(entity) {
            let is_given = body.members.iter().any(|(name, _)| {
                *name == attribute.name
                    || model.navigation(entity, name).is_some_and(|navigation| {
                        model.shown_by(entity, &attribute.name) == Some(navigation.association)
                    })
            });
            if attribute.required && attribute.default.is_none() && !is_given {
                self.refusals.push(REQUIRED);
            }
        }
        for association in model.references(entity) {
            let is_given = body.members.iter().any(|(name, _)| {
                model.foreign_key(association) == Some(name)
                    || model
                        .navigation(entity, name)
                        .is_some_and(|navigation| navigation.association == association)
            });
            if model.is_required(association) && !model.is_containment(association) && !is_given {
                self.refusals.push(REQUIRED);
            }
        }
    }

    fn delete(&mut self, row: RowId) {
        let judge = self.judge();
        if !judge.sees(row) {
            self.absent();
            return;
        }
        if !judge.deletes(row) {
            self.refusals.push(FORBIDDEN);
        }
        let mut gone = vec![row];
        let mut at = 0;
        let mut cleared = Vec::new();
        let mut prevented = Vec::new();
        while at < gone.len() {
            let target = gone[at];
            at += 1;
            for (id, holder) in &self.data.rows {
                for (association, referred) in &holder.references {
                    if *referred != target {
                        continue;
                    }
                    match &self.model.associations[*association].shape {
                        Shape::Reference {
                            contained: true, ..
                        }
                        | Shape::Reference {
                            on_delete: OnDelete::Cascade,
                            ..
                        } => {
                            if !gone.contains(id) {
                                gone.push(*id);
                            }
                        }
                        Shape::Reference {
                            on_delete: OnDelete::Clear,
                            ..
                        } => cleared.push((*id, *association)),
                        _ => prevented.push(*id),
                    }
                }
            }
        }
        for id in prevented {
            if gone.contains(&id) {
                self.open.push((409, "Referenced"));
            } else {
                self.refusals.push((409, "Referenced"));
            }
        }
        for (id, association) in cleared {
            self.row(id, |row| {
                row.references.remove(&association);
            });
        }
        for id in gone {
            self.data.remove(id);
        }
    }

    /// Unique attributes and references of a row.
    fn check_unique(&mut self, id: RowId) {
        let model = self.model;
        let row = &self.data.rows[&id];
        let mut broken = false;
        for (declared_by, attribute) in model.attributes(row.entity) {
            let value = self.data.value(model, id, &attribute.name);
            if !attribute.unique || value.is_null() {
                continue;
            }
            broken |= self.data.of(model, declared_by).iter().any(|other| {
                *other != id && self.data.value(model, *other, &attribute.name) == value
            });
        }
        for (association, target) in &row.references {
            if let Shape::Reference { unique: true, .. } = model.associations[*association].shape {
                broken |= self.data.rows.iter().any(|(other, row)| {
                    *other != id && row.references.get(association) == Some(target)
                });
            }
        }
        if broken {
            self.refusals.push(NOT_UNIQUE);
        }
    }

    /// Judges what must hold in the end.
    fn finish(&mut self) {
        let judge = self.judge();
        let (mut refusals, mut open) = (Vec::new(), Vec::new());
        for after in &self.after {
            let rows: Vec<RowId> = match after {
                After::Create(row)
                | After::Member(row, _)
                | After::MemberOfBase(row, _)
                | After::Link(row, _)
                | After::LinkOrMember(row, ..)
                | After::Visible(row, _) => vec![*row],
                After::Either(_, ends) => ends.iter().flatten().copied().collect(),
            };
            if rows.iter().any(|row| !self.data.rows.contains_key(row)) {
                continue;
            }
            match after {
                After::Create(row) => {
                    if !judge.creates(*row) {
                        refusals.push(FORBIDDEN);
                    }
                }
                After::Member(row, name) => {
                    if !judge.writes(*row, name) {
                        refusals.push(FORBIDDEN);
                    }
                }
                After::MemberOfBase(row, name) => {
                    if !judge.writes(*row, name) {
                        open.push(FORBIDDEN);
                    }
                }
                After::Link(row, association) => {
                    if !may_link(&judge, *row, *association) {
                        refusals.push(FORBIDDEN);
                    }
                }
                After::LinkOrMember(row, association, attribute) => {
                    let by_link = may_link(&judge, *row, *association);
                    let by_attribute = judge.writes(*row, attribute);
                    if !by_link && !by_attribute {
                        refusals.push(FORBIDDEN);
                    } else if !by_link || !by_attribute {
                        open.push(FORBIDDEN);
                    }
                }
                After::Visible(row, association) => {
                    let target = self.data.rows[row].references.get(association);
                    if target.is_some_and(|target| !judge.sees(*target)) {
                        if target.is_some_and(|target| self.new.contains(target)) {
                            open.push(REFERENCE);
                            open.push(FORBIDDEN);
                        } else {
                            refusals.push(REFERENCE);
                        }
                    }
                }
                After::Either(navigation, ends) => {
                    if !either(&judge, *navigation, *ends) {
                        refusals.push(FORBIDDEN);
                    }
                }
            }
        }
        self.refusals.extend(refusals);
        self.open.extend(open);
    }

    fn expected(
        self,
        row: Option<RowId>,
        entity: EntityId,
        answer: Answer,
        is_insert: bool,
        expand: &[String],
    ) -> Expected {
        let mut refusals = self.refusals.clone();
        if !refusals.is_empty() {
            refusals.extend(&self.open);
            return Expected {
                success: None,
                refusals,
            };
        }
        let judge = self.judge();
        let wants = match answer {
            Answer::Default => is_insert,
            Answer::Minimal => false,
            Answer::Representation => true,
        };
        let (statuses, content) = match row {
            Some(row) if wants && self.data.rows.contains_key(&row) => {
                let status = if is_insert { 201 } else { 200 };
                if judge.sees(row) {
                    let options = Options {
                        expand: expand
                            .iter()
                            .filter(|name| judge.knows(entity, name) == Known::Yes)
                            .map(|name| Expand {
                                navigation: name.clone(),
                                counts_only: false,
                                options: Options::default(),
                            })
                            .collect(),
                        ..Options::default()
                    };
                    let object = judge.object(row, entity, &options);
                    (vec![status], Content::Row(with_unknown_keys(object)))
                } else {
                    (vec![status, 204], Content::Nothing)
                }
            }
            _ => (vec![204], Content::Nothing),
        };
        Expected {
            success: Some(Success {
                statuses,
                content,
                after: Some(self.data),
            }),
            refusals: self.open,
        }
    }
}

/// Keys that the database makes stand for any.
fn with_unknown_keys(value: Json) -> Json {
    match value {
        Json::String(text) if text.starts_with("ffffffff-ffff-ffff-") => {
            Json::String("<key>".to_owned())
        }
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, with_unknown_keys(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(with_unknown_keys).collect()),
        other => other,
    }
}

/// A to-one navigation that the entity itself keeps.
fn own(model: &Model, entity: EntityId, name: &str) -> Option<Navigation> {
    model
        .navigation(entity, name)
        .filter(|navigation| navigation.forward && !model.is_many_to_many(*navigation))
}

/// References that a nested row gets from where it stands.
fn nested_references(model: &Model, navigation: Navigation) -> Vec<AssociationId> {
    if navigation.forward || model.is_many_to_many(navigation) {
        Vec::new()
    } else {
        vec![navigation.association]
    }
}

fn link_demands(model: &Model, association: AssociationId) -> Vec<Box<dyn Fn(RowId) -> After>> {
    let link: Box<dyn Fn(RowId) -> After> = match model.foreign_key(association) {
        Some(attribute) => {
            let attribute = attribute.to_owned();
            Box::new(move |row| After::LinkOrMember(row, association, attribute.clone()))
        }
        None => Box::new(move |row| After::Link(row, association)),
    };
    vec![link, Box::new(move |row| After::Visible(row, association))]
}

/// Judges a reference before it changes.
fn judge_link(
    judge: &Judge<'_>,
    holder: RowId,
    association: AssociationId,
    refusals: &mut Vec<Refusal>,
    open: &mut Vec<Refusal>,
) {
    let by_link = may_link(judge, holder, association);
    let by_attribute = judge
        .model
        .foreign_key(association)
        .map(|attribute| judge.writes(holder, attribute));
    match by_attribute {
        None if !by_link => refusals.push(FORBIDDEN),
        Some(false) if !by_link => {
            // Unchanged values are no change.
            refusals.push(FORBIDDEN);
        }
        Some(by_attribute) if by_attribute != by_link => open.push(FORBIDDEN),
        _ => {}
    }
}

/// Whether a reference as it stands may be made or taken away, seen from one end or the other.
fn may_link(judge: &Judge<'_>, holder: RowId, association: AssociationId) -> bool {
    let forward = Navigation {
        association,
        forward: true,
    };
    let Some(target) = judge.data.rows[&holder].references.get(&association) else {
        return true;
    };
    may_write(judge, holder, forward) || may_write(judge, *target, forward.partner())
}

/// Whether a row gives the right to what it is connected with.
fn may_write(judge: &Judge<'_>, row: RowId, navigation: Navigation) -> bool {
    judge.reader.is_root
        || judge
            .model
            .name_of(navigation)
            .is_some_and(|name| judge.writes(row, name))
}

/// Whether one of the ends gives the right to a link.
fn either(judge: &Judge<'_>, navigation: Navigation, [from, to]: [Option<RowId>; 2]) -> bool {
    from.is_some_and(|row| may_write(judge, row, navigation))
        || to.is_some_and(|row| may_write(judge, row, navigation.partner()))
}

/// Whether any row can be reached: used by generators to choose what exists.
pub(crate) fn visible_rows(judge: &Judge<'_>, entity: EntityId) -> Vec<RowId> {
    let mut rows = judge.data.of(judge.model, entity);
    rows.retain(|row| judge.sees(*row));
    rows
}

/// Whether the key of new rows may be left out.
pub(crate) fn makes_keys(model: &Model, entity: EntityId) -> bool {
    model.entities[model.root(entity)].key == Key::Generated
}

/// What a reader sees of the targets of a navigation.
pub(crate) fn seen_targets(judge: &Judge<'_>, row: RowId, name: &str) -> Vec<RowId> {
    judge.targets(row, name, Sight::Readers)
}
