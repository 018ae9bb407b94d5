//! From JSON objects to operations.
//!
//! An object is first read into a [`Draft`] (values, references, what is nested), then completed as the
//! method asks, and becomes an operation; what refers to the row follows it.

mod complete;
mod members;
mod navigations;
mod nested;

use std::collections::HashSet;

use stoa_model::change::{Action, Change, Expected, Operation, Reference, Target};
use stoa_model::model::{AttributeId, Entity, EntityId, Model, Navigation, NavigationId, Purpose};
use stoa_model::value::Value;

use super::faults::Faults;
use super::{Method, Options, Raw, Write};
use crate::error::{Code, Error, join};

/// Deepest nesting of entities in a body.
const MAXIMUM_DEPTH: usize = 12;

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Create,
    Patch,
    Put,
}

impl From<Method> for Mode {
    fn from(method: Method) -> Self {
        match method {
            Method::Patch => Self::Patch,
            Method::Put => Self::Put,
        }
    }
}

/// An object as read, without what it leaves out.
pub(super) struct Draft<'a> {
    entity: EntityId,
    location: String,
    values: Vec<(AttributeId, Value)>,
    /// Attributes that were named, with a legal value or not.
    named: HashSet<AttributeId>,
    references: Vec<Reference>,
    /// To-one navigations that were named, with a legal reference or not.
    referred: HashSet<NavigationId>,
    /// New rows that the row refers to: they come before it.
    before: Vec<(NavigationId, Raw<'a>)>,
    /// Rows that refer to it or are linked with it: they come after it.
    after: Vec<(NavigationId, Vec<Raw<'a>>)>,
    /// Existing rows to link.
    links: Vec<(NavigationId, Target)>,
    /// Linked rows are all that there are to be (`Nav: [{"@id": …}]` in an update).
    replaced: Vec<NavigationId>,
}

/// Collects operations and faults of one body.
pub(super) struct Builder<'a> {
    model: &'a Model,
    options: &'a Options<'a>,
    faults: Faults,
    /// A refusal of the whole body, beyond faults of its members.
    refusal: Option<Error>,
    operations: Vec<Operation>,
    /// Objects read so far: bounded even while nothing becomes of them.
    objects: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(model: &'a Model, options: &'a Options<'a>) -> Self {
        Self {
            model,
            options,
            faults: Faults::default(),
            refusal: None,
            operations: Vec::new(),
            objects: 0,
        }
    }

    /// The change, or every fault.
    pub(super) fn finish(self, root: Option<usize>) -> Result<Write, Error> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if let Some(error) = self.faults.into_error() {
            return Err(error);
        }
        match root {
            Some(root) => Ok(Write {
                change: Change {
                    operations: self.operations,
                },
                root,
            }),
            None => Err(Error::new(Code::InvalidBody, "the body says nothing to do")),
        }
    }

    pub(super) fn push(&mut self, location: &str, action: Action) -> usize {
        self.operations.push(Operation {
            location: location.to_owned(),
            action,
        });
        if self.operations.len() > self.options.limits.write_operations {
            self.refuse_size();
        }
        self.operations.len() - 1
    }

    fn refuse_size(&mut self) {
        let most = self.options.limits.write_operations;
        self.refusal.get_or_insert_with(|| {
            Error::new(
                Code::LimitExceeded,
                format!("the body asks for more than {most} operations: send it in parts"),
            )
        });
    }

    fn refuse(&mut self, error: Error) {
        self.refusal.get_or_insert(error);
    }

    fn stopped(&self) -> bool {
        self.refusal.is_some() || self.faults.are_full()
    }

    /// A new row; the position of its operation.
    pub(super) fn insert(
        &mut self,
        entity: EntityId,
        raw: Raw<'a>,
        location: &str,
        given: Vec<Reference>,
        key: Option<&[Value]>,
    ) -> Option<usize> {
        self.insert_at(entity, raw, location, given, key, 0)
    }

    fn insert_at(
        &mut self,
        entity: EntityId,
        raw: Raw<'a>,
        location: &str,
        given: Vec<Reference>,
        key: Option<&[Value]>,
        depth: usize,
    ) -> Option<usize> {
        let mut draft = self.read(entity, raw, location, Mode::Create, depth)?;
        for (navigation, nested) in std::mem::take(&mut draft.before) {
            let found = &self.model[draft.entity][navigation];
            let place = join(location, name_of(found));
            let position =
                self.insert_at(found.target, nested, &place, Vec::new(), None, depth + 1);
            if let Some(position) = position {
                draft.references.push(Reference {
                    navigation,
                    to: Some(Target::Inserted(position)),
                });
            }
        }
        self.give(&mut draft, given, key);
        self.complete_insert(&mut draft);
        let action = Action::Insert {
            entity: draft.entity,
            values: std::mem::take(&mut draft.values),
            references: std::mem::take(&mut draft.references),
        };
        let position = self.push(location, action);
        self.follow(&draft, Target::Inserted(position), Mode::Create, depth);
        Some(position)
    }

    /// A change of a row; the position of its operation.
    pub(super) fn update(
        &mut self,
        entity: EntityId,
        raw: Raw<'a>,
        target: Target,
        expected: Expected,
        mode: Mode,
    ) -> Option<usize> {
        let mut draft = self.read(entity, raw, "", mode, 0)?;
        if mode == Mode::Put {
            self.complete_put(&mut draft);
        }
        self.drop_columns_of_references(&mut draft);
        self.drop_key(&mut draft);
        self.drop_key_references(&mut draft);
        let action = Action::Update {
            entity: draft.entity,
            target: target.clone(),
            expected,
            values: std::mem::take(&mut draft.values),
            references: std::mem::take(&mut draft.references),
        };
        let position = self.push("", action);
        self.follow(&draft, target, mode, 0);
        Some(position)
    }

    /// `{"value": …}` for one property.
    pub(super) fn update_property(
        &mut self,
        entity: EntityId,
        target: Target,
        expected: Expected,
        id: AttributeId,
        raw: Raw<'a>,
    ) -> Option<usize> {
        let found = &self.model[entity];
        let attribute = &found[id];
        let name = attribute.name.as_str();
        if found.key.contains(&id) || attribute.purpose != Purpose::Data {
            self.faults.add(
                Code::ReadOnly,
                "",
                name,
                format!("{name} cannot be changed"),
            );
            return None;
        }
        let members = self.members(raw, "")?;
        let mut value = None;
        for (member, raw) in &members.list {
            if member == "value" {
                value = Some(*raw);
            } else if !member.contains('@') {
                self.faults.add(
                    Code::UnknownProperty,
                    "",
                    member,
                    "the body of a property has only the member \"value\"",
                );
            }
        }
        let Some(raw) = value else {
            self.faults
                .add(Code::Required, "", name, "the body must be {\"value\": …}");
            return None;
        };
        let value = self.value(attribute, raw, "")?;
        Some(self.push(
            "",
            Action::Update {
                entity,
                target,
                expected,
                values: vec![(id, value)],
                references: Vec::new(),
            },
        ))
    }

    /// `{"@odata.id": "…"}`.
    pub(super) fn read_reference(&mut self, raw: Raw<'a>, wanted: EntityId) -> Option<Target> {
        let members = self.members(raw, "")?;
        let Some(id) = members.control("id") else {
            self.faults.add(
                Code::Required,
                "",
                "@odata.id",
                "the body must be {\"@odata.id\": \"Collection(key)\"}",
            );
            return None;
        };
        self.link(id, wanted, "", "@odata.id")
    }
}

/// `Customers(key)`, if the reader may know of that collection.
pub(in crate::body) fn example(model: &Model, entity: EntityId) -> String {
    let name = if model.has_collection(entity) {
        model[entity].collection.as_str()
    } else {
        "Collection"
    };
    format!("{name}(key)")
}

fn name_of(navigation: &Navigation) -> &str {
    navigation.name.as_deref().unwrap_or_default()
}

fn names_of(entity: &Entity) -> impl Iterator<Item = &str> {
    let attributes = entity
        .attributes
        .iter()
        .filter(|attribute| attribute.purpose != Purpose::Version)
        .map(|attribute| attribute.name.as_str())
        .filter(|name| entity.attributes_by_name.contains_key(*name));
    let navigations = entity
        .navigations
        .iter()
        .filter_map(|navigation| navigation.name.as_deref())
        .filter(|name| entity.navigations_by_name.contains_key(*name));
    attributes.chain(navigations)
}
