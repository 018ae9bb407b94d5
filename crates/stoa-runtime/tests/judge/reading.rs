//! Expected answers to reads.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json, json};

use crate::data::RowId;
use crate::expect::{Content, Expected};
use crate::expression::{Expression, Place};
use crate::judge::{Judge, Known, Sight};
use crate::model::EntityId;
use crate::request::{Expand, Options, Part, Path};
use crate::value::{SHADES, Scalar};

/// What stands for an instant that the database gives.
pub(crate) const SOME_INSTANT: &str = "<instant>";

/// Rows that a path leads to.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A row on the way is not there, or the row with a key.
    Nowhere,
    /// The end of a to-one navigation leads nowhere.
    Nothing,
    One(RowId),
    Many(Vec<RowId>),
}

impl Judge<'_> {
    /// Whether every name of a path is there, and the entity that it leads to.
    pub(crate) fn resolve(&self, path: &Path) -> (Known, EntityId) {
        let mut known = self.knows_entity(path.entity);
        let mut entity = path.entity;
        if let Some(cast) = path.cast {
            known = worse(known, self.knows_entity(cast));
            entity = cast;
        }
        for step in &path.steps {
            known = worse(known, self.knows(entity, &step.navigation));
            let Some(navigation) = self.model.navigation(entity, &step.navigation) else {
                return (Known::No, entity);
            };
            entity = self.model.target_of(navigation);
        }
        (known, entity)
    }

    /// Whether the end of a path is several rows.
    pub(crate) fn is_many(&self, path: &Path) -> bool {
        let mut entity = path.cast.unwrap_or(path.entity);
        let mut is_many = path.key.is_none();
        for step in &path.steps {
            let Some(navigation) = self.model.navigation(entity, &step.navigation) else {
                return false;
            };
            is_many = self.model.is_many(navigation) && step.key.is_none();
            entity = self.model.target_of(navigation);
        }
        is_many
    }

    pub(crate) fn find(&self, path: &Path) -> Found {
        let narrowed = path.cast.unwrap_or(path.entity);
        let mut found = match &path.key {
            None => {
                let mut rows = self.data.of(self.model, narrowed);
                rows.retain(|row| self.sees(*row));
                Found::Many(rows)
            }
            Some(key) => {
                let row = self.data.find(self.model, path.entity, key);
                let row = row.filter(|row| {
                    self.model.is_a(self.data.rows[row].entity, narrowed) && self.sees(*row)
                });
                row.map_or(Found::Nowhere, Found::One)
            }
        };
        let mut entity = narrowed;
        for step in &path.steps {
            let Found::One(row) = found else {
                return Found::Nowhere;
            };
            let Some(navigation) = self.model.navigation(entity, &step.navigation) else {
                return Found::Nowhere;
            };
            let targets = self.targets(row, &step.navigation, Sight::Readers);
            found = match &step.key {
                Some(key) => targets
                    .into_iter()
                    .find(|target| self.data.rows[target].key == *key)
                    .map_or(Found::Nowhere, Found::One),
                None if self.model.is_many(navigation) => Found::Many(targets),
                None => targets
                    .first()
                    .map_or(Found::Nothing, |target| Found::One(*target)),
            };
            entity = self.model.target_of(navigation);
        }
        found
    }

    pub(crate) fn read(&self, path: &Path, part: &Part, options: &Options) -> Expected {
        let (mut known, entity) = self.resolve(path);
        if let Part::Property(name) | Part::Value(name) = part {
            known = worse(known, self.knows(entity, name));
        }
        if known == Known::No {
            return Expected::refused(404, "NotFound");
        }
        let mut expected = match self.knows_options(entity, options) {
            Known::No => {
                let expected = Expected::refused(400, "UnknownProperty");
                return if known == Known::Open {
                    expected.or(404, "NotFound")
                } else {
                    expected
                };
            }
            Known::Open => self
                .read_known(path, part, options, entity)
                .or(400, "UnknownProperty"),
            Known::Yes => self.read_known(path, part, options, entity),
        };
        if known == Known::Open || self.is_hidden_on_the_way(path) {
            expected = expected.or(404, "NotFound");
        }
        expected
    }

    /// Whether a navigation of a path is hidden in the row that it starts at: whether that leads to nothing,
    /// or is told as if it were not there, is left open.
    fn is_hidden_on_the_way(&self, path: &Path) -> bool {
        (0..path.steps.len()).any(|count| {
            let before = Path {
                steps: path.steps[..count].to_vec(),
                ..path.clone()
            };
            matches!(self.find(&before), Found::One(row) if !self.reads(row, &path.steps[count].navigation))
        })
    }

    fn read_known(
        &self,
        path: &Path,
        part: &Part,
        options: &Options,
        entity: EntityId,
    ) -> Expected {
        match (self.find(path), part) {
            (Found::Nowhere, _) => Expected::refused(404, "NotFound"),
            (Found::Nothing, Part::Property(_) | Part::Value(_)) => {
                Expected::refused(404, "NotFound")
            }
            (Found::Nothing, _) => Expected::nothing(),
            (Found::One(row), Part::Property(name) | Part::Value(name)) => {
                let value = self.output(row, name);
                if value.is_null() {
                    return Expected::nothing();
                }
                Expected::read(match part {
                    Part::Value(_) => Content::Text(match (name.as_str(), value) {
                        ("createdAt" | "changedAt", _) => SOME_INSTANT.to_owned(),
                        _ => self.attribute(row, name, Sight::Readers).raw(),
                    }),
                    _ => Content::Property(value),
                })
            }
            (Found::One(row), Part::References) => {
                let reference = match path.steps.last() {
                    // It has no URL but by its container, which the reader need not see: the way to it is
                    // its name.
                    Some(step) if step.key.is_none() && self.model.container(entity).is_some() => {
                        vec![format!("/{}", step.navigation)]
                    }
                    _ => self.keys(&[row]),
                };
                Expected::read(Content::References(reference, false))
            }
            (Found::One(row), _) => Expected::read(Content::Row(self.object(row, entity, options))),
            (Found::Many(rows), Part::Count) => {
                let rows = self.filtered(rows, options);
                Expected::read(Content::Text(rows.len().to_string()))
            }
            (Found::Many(rows), part) => {
                let rows = self.filtered(rows, options);
                let count = options.count.then_some(rows.len());
                let rows = self.page(rows, options);
                if *part == Part::References {
                    return Expected::read(Content::References(self.keys(&rows), true));
                }
                let rows = rows
                    .into_iter()
                    .map(|row| self.object(row, entity, options))
                    .collect();
                Expected::read(Content::Rows(rows, count))
            }
        }
    }

    fn keys(&self, rows: &[RowId]) -> Vec<String> {
        rows.iter()
            .map(|row| format!("({})", self.data.rows[row].key.literal()))
            .collect()
    }

    /// Whether every name in options is there.
    fn knows_options(&self, entity: EntityId, options: &Options) -> Known {
        let mut known = Known::Yes;
        for name in options.select.iter().flatten() {
            known = worse(known, self.knows(entity, name));
        }
        for condition in options
            .filter
            .iter()
            .chain(options.order.iter().map(|(term, _)| term))
        {
            known = worse(known, self.knows_names(condition, &mut vec![(0, entity)]));
        }
        for expand in &options.expand {
            known = worse(known, self.knows(entity, &expand.navigation));
            let Some(navigation) = self.model.navigation(entity, &expand.navigation) else {
                return Known::No;
            };
            let target = self.model.target_of(navigation);
            known = worse(known, self.knows_options(target, &expand.options));
        }
        known
    }

    /// Whether every name in an expression is there; `variables` are of these entities.
    fn knows_names(
        &self,
        expression: &Expression,
        variables: &mut Vec<(usize, EntityId)>,
    ) -> Known {
        match expression {
            Expression::Attribute { from, cast, name } => {
                let (mut known, mut entity) = self.knows_place(from, variables);
                if let Some(cast) = cast
                    && let Some(special) = self
                        .model
                        .ids()
                        .find(|id| self.model.entities[*id].name == *cast)
                {
                    known = worse(known, self.knows_entity(special));
                    entity = special;
                }
                worse(known, self.knows(entity, name))
            }
            Expression::Target { from, .. } | Expression::IsUser(from) => {
                self.knows_place(from, variables).0
            }
            Expression::IsOf(name) => self
                .model
                .ids()
                .find(|id| self.model.entities[*id].name == *name)
                .map_or(Known::No, |id| self.knows_entity(id)),
            Expression::Compare(_, left, right) | Expression::Add(left, right) => worse(
                self.knows_names(left, variables),
                self.knows_names(right, variables),
            ),
            Expression::And(operands)
            | Expression::Or(operands)
            | Expression::Call(_, operands) => {
                let mut known = Known::Yes;
                for operand in operands {
                    known = worse(known, self.knows_names(operand, variables));
                }
                known
            }
            Expression::Not(inner) | Expression::In(inner, _) => self.knows_names(inner, variables),
            Expression::Lambda {
                from,
                navigation,
                variable,
                condition,
                ..
            }
            | Expression::Count {
                from,
                navigation,
                variable,
                filter: condition,
            } => {
                let (known, entity) = self.knows_place(from, variables);
                let known = worse(known, self.knows(entity, navigation));
                let (Some(condition), Some(navigation)) =
                    (condition, self.model.navigation(entity, navigation))
                else {
                    return known;
                };
                variables.push((*variable, self.model.target_of(navigation)));
                let inner = self.knows_names(condition, variables);
                variables.pop();
                worse(known, inner)
            }
            Expression::Literal(_) | Expression::User(_) | Expression::Now => Known::Yes,
        }
    }

    fn knows_place(&self, place: &Place, variables: &[(usize, EntityId)]) -> (Known, EntityId) {
        let mut known = Known::Yes;
        let mut entity = variables
            .iter()
            .rev()
            .find(|(variable, _)| *variable == place.variable)
            .map_or(0, |(_, entity)| *entity);
        for step in &place.path {
            known = worse(known, self.knows(entity, step));
            let Some(navigation) = self.model.navigation(entity, step) else {
                return (Known::No, entity);
            };
            entity = self.model.target_of(navigation);
        }
        (known, entity)
    }

    fn filtered(&self, mut rows: Vec<RowId>, options: &Options) -> Vec<RowId> {
        if let Some(filter) = &options.filter {
            rows.retain(|row| self.holds(filter, *row, Sight::Readers));
        }
        rows
    }

    /// In order, without what is left out.
    fn page(&self, mut rows: Vec<RowId>, options: &Options) -> Vec<RowId> {
        rows.sort_by(|one, other| self.order(*one, *other, &options.order));
        let skip = options.skip.unwrap_or(0);
        let top = options.top.unwrap_or(usize::MAX);
        rows.into_iter().skip(skip).take(top).collect()
    }

    fn order(&self, one: RowId, other: RowId, terms: &[(Expression, bool)]) -> Ordering {
        for (term, descending) in terms {
            let value = |row: RowId| self.value(term, &vec![(0, row)], Sight::Readers);
            let order = value(one).order(&value(other));
            let order = if *descending { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        self.data.rows[&one].key.order(&self.data.rows[&other].key)
    }

    /// A value as it is given: JSON, null where it is hidden.
    fn output(&self, row: RowId, name: &str) -> Json {
        let value = self.attribute(row, name, Sight::Readers);
        match (name, value) {
            (_, Scalar::Null) => Json::Null,
            ("createdAt" | "changedAt", _) => json!(SOME_INSTANT),
            (_, value) => value.json(),
        }
    }

    /// A row as it is given, asked for as one of `entity`.
    pub(crate) fn object(&self, row: RowId, entity: EntityId, options: &Options) -> Json {
        let mut object = Map::new();
        let actual = self.data.rows[&row].entity;
        if actual != entity {
            object.insert("@type".to_owned(), json!(self.model.entities[actual].name));
        }
        let mut names: Vec<(EntityId, String)> = match &options.select {
            Some(names) => names.iter().map(|name| (entity, name.clone())).collect(),
            None => {
                let mut names = vec![(entity, self.model.key(entity).0.to_owned())];
                for (declared_by, attribute) in self.model.attributes(actual) {
                    let asked = if self.model.is_a(entity, declared_by) {
                        entity
                    } else {
                        declared_by
                    };
                    names.push((asked, attribute.name.clone()));
                }
                names.push((entity, "createdAt".to_owned()));
                names.push((entity, "changedAt".to_owned()));
                names
            }
        };
        names.retain(|(asked, name)| {
            self.model.kind(*asked, name).is_some()
                && (self.knows(*asked, name) == Known::Yes || *name == self.model.key(entity).0)
        });
        for (_, name) in names {
            let value = self.output(row, &name);
            object.insert(name, value);
        }
        for expand in &options.expand {
            self.expand(row, entity, expand, &mut object);
        }
        Json::Object(object)
    }

    fn expand(
        &self,
        row: RowId,
        entity: EntityId,
        expand: &Expand,
        object: &mut Map<String, Json>,
    ) {
        let name = &expand.navigation;
        let Some(navigation) = self.model.navigation(entity, name) else {
            return;
        };
        let target = self.model.target_of(navigation);
        let options = &expand.options;
        let rows = self.filtered(self.targets(row, name, Sight::Readers), options);
        if self.model.is_many(navigation) {
            if options.count || expand.counts_only {
                object.insert(format!("{name}@count"), json!(rows.len()));
            }
            if !expand.counts_only {
                let rows: Vec<Json> = self
                    .page(rows, options)
                    .into_iter()
                    .map(|row| self.object(row, target, options))
                    .collect();
                object.insert(name.clone(), json!(rows));
            }
        } else {
            let row = rows.first().map(|row| self.object(*row, target, options));
            object.insert(name.clone(), row.unwrap_or(Json::Null));
        }
    }

    /// What `$metadata` must not name, and what it must.
    pub(crate) fn metadata(&self) -> Expected {
        let (mut hidden, mut shown) = (Vec::new(), Vec::new());
        for entity in self.model.ids() {
            let described = &self.model.entities[entity];
            if described.is_system {
                continue;
            }
            let known = self.knows_entity(entity);
            match known {
                Known::Yes => shown.push(described.name.clone()),
                Known::No if self.is_nowhere(entity) => hidden.push(described.name.clone()),
                _ => {}
            }
            for name in self.model.member_names(entity) {
                // Words that occur in any case.
                if matches!(
                    name.as_str(),
                    "id" | "Code" | "No" | "Name" | "createdAt" | "changedAt"
                ) {
                    continue;
                }
                match self.knows(entity, &name) {
                    Known::Yes if known == Known::Yes => shown.push(name),
                    Known::No => {
                        // Named for a base, a specialisation, or to be written.
                        let elsewhere = self.model.ids().any(|other| {
                            self.model.member_names(other).contains(&name)
                                && (self.knows(other, &name) != Known::No
                                    || self.may_write(other, &name))
                        });
                        if !elsewhere {
                            hidden.push(name);
                        }
                    }
                    _ => {}
                }
            }
        }
        Expected::read(Content::Metadata { hidden, shown })
    }

    /// Nothing that is shown leads to an entity or extends it.
    fn is_nowhere(&self, entity: EntityId) -> bool {
        let in_use = self
            .model
            .family(entity)
            .iter()
            .any(|id| self.knows_entity(*id) != Known::No);
        let led_to = self.model.ids().any(|from| {
            self.model
                .navigations(from)
                .iter()
                .any(|(name, navigation)| {
                    self.model.target_of(*navigation) == entity
                        && (self.knows(from, name) != Known::No || self.may_write(from, name))
                })
        });
        !in_use && !led_to
    }
}

/// Of two names, both of which must be there.
pub(crate) fn worse(one: Known, other: Known) -> Known {
    match (one, other) {
        (Known::No, _) | (_, Known::No) => Known::No,
        (Known::Open, _) | (_, Known::Open) => Known::Open,
        _ => Known::Yes,
    }
}

#[test]
fn shades_are_ordered_as_declared() {
    assert_eq!(SHADES[0], "Red");
    assert!(Scalar::Shade(0).order(&Scalar::Shade(2)).is_lt());
    assert!(Scalar::Null.order(&Scalar::Shade(0)).is_lt());
}
