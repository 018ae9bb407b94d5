//! From JSON objects to operations.
//!
//! An object is first read into a [`Draft`] (values, references, what is nested), then completed as the
//! method asks, and becomes an operation; what refers to the row follows it.

use std::collections::HashSet;

use stoa_model::change::{Action, Change, Expected, Operation, Reference, Target};
use stoa_model::expression::error::nearest;
use stoa_model::model::{
    Attribute, AttributeId, Default, Entity, EntityId, Model, Navigation, NavigationId, Purpose,
    Storage,
};
use stoa_model::query::Source;
use stoa_model::value::{ScalarType, Value};

use super::document::{Members, Shape, control_name, elements, shape};
use super::faults::{Faults, shown};
use super::{Method, Options, Raw, Write, link, scalar};
use crate::error::{Code, Error, join};

/// Deepest nesting of entities in a body.
const MAXIMUM_DEPTH: usize = 12;
const DAY: i64 = 86_400_000_000;

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
struct Draft<'a> {
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
        self.drop_key(&mut draft);
        if mode == Mode::Put {
            self.complete_put(&mut draft);
        }
        self.drop_columns_of_references(&mut draft);
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

    /// Members of the object at a location; notes what is wrong with it as a whole.
    fn members(&mut self, raw: Raw<'a>, location: &str) -> Option<Members<'a>> {
        self.objects += 1;
        if self.objects > self.options.limits.write_operations {
            self.refuse_size();
        }
        if self.stopped() {
            return None;
        }
        let Some(members) = Members::read(raw) else {
            let shape = shape(raw);
            let message = if matches!(shape, Shape::Object) {
                "has a member whose name is not Unicode text".to_owned()
            } else {
                format!("must be a JSON object, not {}", shape.name())
            };
            self.faults.add(Code::WrongType, location, "", message);
            return None;
        };
        for name in &members.duplicates {
            self.faults.add(
                Code::DuplicateProperty,
                location,
                &shown(name),
                format!("{} stands twice in the object", shown(name)),
            );
        }
        Some(members)
    }

    fn read(
        &mut self,
        entity: EntityId,
        raw: Raw<'a>,
        location: &str,
        mode: Mode,
        depth: usize,
    ) -> Option<Draft<'a>> {
        if depth > MAXIMUM_DEPTH {
            self.refuse(
                Error::new(
                    Code::LimitExceeded,
                    format!("entities are nested more deeply than {MAXIMUM_DEPTH} levels"),
                )
                .at(location),
            );
            return None;
        }
        let members = self.members(raw, location)?;
        let entity = self.actual_type(entity, &members, location)?;
        let mut draft = Draft {
            entity,
            location: location.to_owned(),
            values: Vec::new(),
            named: HashSet::new(),
            references: Vec::new(),
            referred: HashSet::new(),
            before: Vec::new(),
            after: Vec::new(),
            links: Vec::new(),
            replaced: Vec::new(),
        };
        for (name, value) in &members.list {
            if self.stopped() {
                return None;
            }
            self.member(&mut draft, name, value, mode);
        }
        Some(draft)
    }

    /// The type that `@odata.type` names: the declared one or a specialisation of it.
    fn actual_type(
        &mut self,
        declared: EntityId,
        members: &Members<'a>,
        location: &str,
    ) -> Option<EntityId> {
        let Some(raw) = members.control("type") else {
            return Some(declared);
        };
        let Shape::Text(text) = shape(raw) else {
            self.faults.add(
                Code::WrongType,
                location,
                "@odata.type",
                "must be the name of a type",
            );
            return None;
        };
        // `#ns.Name`, `ns.Name`, `https://…/$metadata#ns.Name`.
        let qualified = text.rsplit('#').next().unwrap_or_default();
        let model = self.model;
        let found = qualified
            .strip_prefix(model.name.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|name| model.entities_by_name.get(name).copied());
        let fits = found
            .filter(|found| *found == declared || model[declared].specialisations.contains(found));
        if fits.is_none() {
            let legal = std::iter::once(declared)
                .chain(model[declared].specialisations.iter().copied())
                .map(|id| format!("#{}.{}", model.name, model[id].name))
                .take(12)
                .collect::<Vec<_>>()
                .join(", ");
            self.faults.add(
                Code::UnknownType,
                location,
                "@odata.type",
                format!(
                    "'{}' is not a type that can stand here: {legal}",
                    shown(&text)
                ),
            );
        }
        fits
    }

    fn member(&mut self, draft: &mut Draft<'a>, name: &str, raw: Raw<'a>, mode: Mode) {
        if let Some(control) = control_name(name) {
            if control == "removed" || control == "delta" {
                self.refuse(Error::not_implemented(format!("@{control} in a body")));
            }
            return;
        }
        if let Some((property, control)) = name.split_once('@') {
            let control = control.strip_prefix("odata.").unwrap_or(control);
            match control {
                "bind" => self.bind(draft, property, raw, mode),
                "delta" => self.refuse(
                    Error::not_implemented("a delta of nested rows")
                        .at(join(&draft.location, property)),
                ),
                // Other control information and annotations say nothing that a write needs.
                _ => {}
            }
            return;
        }
        let model = self.model;
        let entity = &model[draft.entity];
        let attribute = entity
            .attributes_by_name
            .get(name)
            .filter(|id| entity[**id].purpose != Purpose::Version);
        if let Some(id) = attribute {
            self.attribute(draft, *id, raw);
        } else if let Some(id) = entity.navigations_by_name.get(name) {
            self.navigation(draft, *id, raw, mode);
        } else {
            self.unknown(draft, name);
        }
    }

    fn unknown(&mut self, draft: &Draft<'a>, name: &str) {
        let entity = &self.model[draft.entity];
        let hint = match nearest(name, names_of(entity)) {
            Some(nearest) => format!(": did you mean {nearest}?"),
            None => String::new(),
        };
        let cut = shown(name);
        self.faults.add(
            Code::UnknownProperty,
            &draft.location,
            &cut,
            format!("{} has no property {cut}{hint}", entity.name),
        );
    }

    fn attribute(&mut self, draft: &mut Draft<'a>, id: AttributeId, raw: Raw<'a>) {
        let attribute = &self.model[draft.entity][id];
        if !attribute.is_writable() {
            // Computed: a client may send back what it has read.
            return;
        }
        if attribute.scalar_type == ScalarType::File {
            if !matches!(shape(raw), Shape::Null) {
                self.refuse(
                    Error::not_implemented("content of a file in a JSON body")
                        .at(join(&draft.location, &attribute.name)),
                );
            }
            return;
        }
        // A duplicate is a fault already: the first one stays.
        if !draft.named.insert(id) {
            return;
        }
        if let Some(value) = self.value(attribute, raw, &draft.location) {
            draft.values.push((id, value));
        }
    }

    /// A value, null included.
    fn value(&mut self, attribute: &Attribute, raw: Raw<'a>, location: &str) -> Option<Value> {
        let name = attribute.name.as_str();
        // A Json attribute has no null but the absence of a value.
        if matches!(shape(raw), Shape::Null) {
            if attribute.required {
                self.faults.add(
                    Code::Required,
                    location,
                    name,
                    format!("{name} must have a value"),
                );
                return None;
            }
            return Some(Value::Null);
        }
        match scalar::read(self.model, attribute, raw, self.options.ieee754_compatible) {
            Ok(value) => Some(value),
            Err((code, what)) => {
                self.faults
                    .add(code, location, name, format!("{name} {what}"));
                None
            }
        }
    }

    fn link(
        &mut self,
        raw: Raw<'a>,
        wanted: EntityId,
        location: &str,
        member: &str,
    ) -> Option<Target> {
        let Shape::Text(url) = shape(raw) else {
            self.faults.add(
                Code::InvalidReference,
                location,
                member,
                format!(
                    "must be the URL of a row, like {}(key)",
                    self.model[wanted].collection
                ),
            );
            return None;
        };
        match link::parse(self.model, self.options.root, &url, wanted) {
            Ok(target) => Some(target),
            Err(message) => {
                self.faults
                    .add(Code::InvalidReference, location, member, message);
                None
            }
        }
    }

    /// `Nav@odata.bind`.
    fn bind(&mut self, draft: &mut Draft<'a>, name: &str, raw: Raw<'a>, mode: Mode) {
        let entity = &self.model[draft.entity];
        let Some(&id) = entity.navigations_by_name.get(name) else {
            self.unknown(draft, name);
            return;
        };
        let navigation = &entity[id];
        if navigation.contained {
            self.faults.add(
                Code::InvalidReference,
                &draft.location,
                name,
                format!("{name} contains its rows: they are created in it, not bound"),
            );
            return;
        }
        if !navigation.many {
            if matches!(shape(raw), Shape::Null) {
                self.clear(draft, id, mode);
            } else if self.refer_once(draft, id)
                && let Some(target) = self.link(raw, navigation.target, &draft.location, name)
            {
                self.refer(draft, id, target);
            }
            return;
        }
        let Some(urls) = elements(raw) else {
            self.faults.add(
                Code::WrongType,
                &draft.location,
                name,
                format!("{name} leads to many rows: bind an array of URLs"),
            );
            return;
        };
        for (position, url) in urls.into_iter().enumerate() {
            let place = format!("{name}/{position}");
            if self.stopped() {
                return;
            }
            if let Some(target) = self.link(url, navigation.target, &draft.location, &place) {
                draft.links.push((id, target));
            }
            if draft.links.len() > self.options.limits.write_operations {
                self.refuse_size();
            }
        }
    }

    /// Notes that a to-one navigation is set; false (and a fault) if it is so already.
    fn refer_once(&mut self, draft: &mut Draft<'a>, id: NavigationId) -> bool {
        if draft.referred.insert(id) {
            return true;
        }
        let name = name_of(&self.model[draft.entity][id]);
        self.faults.add(
            Code::DuplicateProperty,
            &draft.location,
            name,
            format!("{name} is set twice"),
        );
        false
    }

    /// Sets a to-one navigation to an existing row.
    fn refer(&mut self, draft: &mut Draft<'a>, id: NavigationId, target: Target) {
        match self.model[draft.entity][id].storage {
            Storage::Own(_) => draft.references.push(Reference {
                navigation: id,
                to: Some(target),
            }),
            Storage::Target(_) | Storage::Join { .. } => draft.links.push((id, target)),
        }
    }

    /// Sets a to-one navigation to nothing.
    fn clear(&mut self, draft: &mut Draft<'a>, id: NavigationId, mode: Mode) {
        if !self.refer_once(draft, id) {
            return;
        }
        let navigation = &self.model[draft.entity][id];
        let name = name_of(navigation);
        if navigation.required {
            self.faults.add(
                Code::Required,
                &draft.location,
                name,
                format!("{name} must lead to a row"),
            );
            return;
        }
        match navigation.storage {
            Storage::Own(_) if mode == Mode::Create => {}
            Storage::Own(_) => draft.references.push(Reference {
                navigation: id,
                to: None,
            }),
            Storage::Target(_) | Storage::Join { .. } if mode == Mode::Create => {}
            Storage::Target(_) | Storage::Join { .. } => draft.replaced.push(id),
        }
    }

    /// A navigation with something in it: null, an object, an array.
    fn navigation(&mut self, draft: &mut Draft<'a>, id: NavigationId, raw: Raw<'a>, mode: Mode) {
        let navigation = &self.model[draft.entity][id];
        let name = name_of(navigation);
        let place = join(&draft.location, name);
        let shape = shape(raw);
        if navigation.many {
            if !matches!(shape, Shape::Array) {
                self.faults.add(
                    Code::WrongType,
                    &draft.location,
                    name,
                    format!("{name} must be an array, not {}", shape.name()),
                );
                return;
            }
            self.collection(draft, id, elements(raw).unwrap_or_default(), mode);
            return;
        }
        match shape {
            Shape::Null => self.clear(draft, id, mode),
            Shape::Object => {
                if !self.refer_once(draft, id) {
                    return;
                }
                match self.reference_object(raw) {
                    Some(url) => {
                        if let Some(target) =
                            self.link(url, navigation.target, &draft.location, name)
                        {
                            self.refer(draft, id, target);
                        }
                    }
                    None if mode != Mode::Create => self.refuse(
                        Error::not_implemented(
                            "a change of the row that a to-one navigation leads to, within the \
                             change of another row: change it at its own URL, or bind it,",
                        )
                        .at(place),
                    ),
                    None => match navigation.storage {
                        Storage::Own(_) => draft.before.push((id, raw)),
                        Storage::Target(_) | Storage::Join { .. } => {
                            draft.after.push((id, vec![raw]));
                        }
                    },
                }
            }
            other => self.faults.add(
                Code::WrongType,
                &draft.location,
                name,
                format!("{name} must be an object or null, not {}", other.name()),
            ),
        }
    }

    /// A nested array: new rows, references to existing ones, or the whole of what is contained.
    fn collection(
        &mut self,
        draft: &mut Draft<'a>,
        id: NavigationId,
        list: Vec<Raw<'a>>,
        mode: Mode,
    ) {
        let navigation = &self.model[draft.entity][id];
        let name = name_of(navigation);
        if navigation.contained {
            draft.after.push((id, list));
            return;
        }
        let mut nested = Vec::new();
        for (position, element) in list.into_iter().enumerate() {
            if self.stopped() {
                return;
            }
            match self.reference_object(element) {
                Some(url) => {
                    let place = format!("{name}/{position}");
                    if let Some(target) = self.link(url, navigation.target, &draft.location, &place)
                    {
                        draft.links.push((id, target));
                    }
                }
                None => nested.push(element),
            }
        }
        if mode == Mode::Create {
            draft.after.push((id, nested));
        } else if !nested.is_empty() || !matches!(navigation.storage, Storage::Join { .. }) {
            self.refuse(
                Error::not_implemented(
                    "a change of rows that are not contained, within the change of another row: \
                     change them at their own URL, or bind them,",
                )
                .at(join(&draft.location, name)),
            );
        } else {
            draft.replaced.push(id);
        }
    }

    /// The URL of `{"@id": "…"}` without properties: a reference to an existing row.
    fn reference_object(&self, raw: Raw<'a>) -> Option<Raw<'a>> {
        if !matches!(shape(raw), Shape::Object) {
            return None;
        }
        let members = Members::read(raw)?;
        let only_control = members.list.iter().all(|(name, _)| name.starts_with('@'));
        if only_control {
            members.control("id")
        } else {
            None
        }
    }

    /// Adds what the request's URL or the containing object gives.
    fn give(&mut self, draft: &mut Draft<'a>, given: Vec<Reference>, key: Option<&[Value]>) {
        let model = self.model;
        let entity = &model[draft.entity];
        for reference in given {
            let id = reference.navigation;
            if draft.referred.insert(id) {
                draft.references.push(reference);
                continue;
            }
            let same = draft.references.iter().any(|own| *own == reference);
            if !same {
                let name = name_of(&entity[id]);
                self.faults.add(
                    Code::InvalidReference,
                    &draft.location,
                    name,
                    format!("{name} is given by where the row is created: leave it out"),
                );
            }
        }
        for (position, id) in entity.key.iter().enumerate() {
            let Some(value) = key.and_then(|key| key.get(position)) else {
                continue;
            };
            draft.values.retain(|(own, _)| own != id);
            draft.named.insert(*id);
            draft.values.push((*id, value.clone()));
        }
    }

    /// Attributes that show the columns of references that the draft sets, with the values that are known.
    fn columns_of_references(
        &self,
        draft: &Draft<'a>,
    ) -> Vec<(AttributeId, NavigationId, Option<Value>)> {
        let entity = &self.model[draft.entity];
        let mut shown = Vec::new();
        for reference in &draft.references {
            let navigation = &entity[reference.navigation];
            let Storage::Own(columns) = &navigation.storage else {
                continue;
            };
            let key = reference
                .to
                .as_ref()
                .and_then(|target| self.key_of(navigation.target, target));
            for (position, column) in columns.iter().enumerate() {
                if let Some(attribute) = column.attribute {
                    let value = match &reference.to {
                        None => Some(Value::Null),
                        Some(_) => key.as_ref().and_then(|key| key.get(position).cloned()),
                    };
                    shown.push((attribute, reference.navigation, value));
                }
            }
        }
        shown
    }

    /// A reference and properties that show its columns must not contradict each other, and no column
    /// is written twice: where all columns are properties with known values, these stay, else the
    /// reference does.
    fn drop_columns_of_references(&mut self, draft: &mut Draft<'a>) {
        let columns = self.columns_of_references(draft);
        for (id, navigation, value) in &columns {
            draft.named.insert(*id);
            let own = draft.values.iter().position(|(own, _)| own == id);
            let Some(own) = own else { continue };
            let (_, given) = draft.values.remove(own);
            if value.as_ref().is_some_and(|value| *value != given) {
                let entity = &self.model[draft.entity];
                let (name, other) = (&entity[*id].name, name_of(&entity[*navigation]));
                self.faults.add(
                    Code::InvalidReference,
                    &draft.location,
                    name,
                    format!("{name} and {other} refer to different rows: give one of them"),
                );
            }
        }
        let entity = &self.model[draft.entity];
        let mut values = Vec::new();
        draft.references.retain(|reference| {
            let Storage::Own(all) = &entity[reference.navigation].storage else {
                return true;
            };
            let known: Vec<_> = columns
                .iter()
                .filter(|(_, navigation, value)| {
                    *navigation == reference.navigation && value.is_some()
                })
                .collect();
            if known.len() < all.len() {
                return true;
            }
            for (id, _, value) in known {
                if !values.iter().any(|(own, _)| own == id) {
                    values.push((*id, value.clone().unwrap_or(Value::Null)));
                }
            }
            false
        });
        draft.values.extend(values);
    }

    /// Key of a row, if it is known without reading.
    fn key_of(&self, entity: EntityId, target: &Target) -> Option<Vec<Value>> {
        match target {
            Target::Key(key) => Some(key.clone()),
            Target::Source(Source::Key(key)) => Some(key.clone()),
            Target::Source(Source::Related { key, .. }) => key.clone(),
            Target::Source(Source::All) => None,
            Target::Inserted(position) => {
                let Action::Insert { values, .. } = &self.operations.get(*position)?.action else {
                    return None;
                };
                self.model[entity]
                    .key
                    .iter()
                    .map(|id| {
                        values
                            .iter()
                            .find(|(own, _)| own == id)
                            .map(|(_, value)| value.clone())
                    })
                    .collect()
            }
        }
    }

    /// Key, defaults, and what must be there.
    fn complete_insert(&mut self, draft: &mut Draft<'a>) {
        self.drop_columns_of_references(draft);
        let model = self.model;
        let entity = &model[draft.entity];
        for (position, attribute) in entity.attributes.iter().enumerate() {
            let id = AttributeId(position as u32);
            if draft.named.contains(&id) || attribute.scalar_type == ScalarType::File {
                continue;
            }
            match attribute.purpose {
                Purpose::GeneratedKey => {
                    let key = uuid::Uuid::now_v7();
                    draft.values.push((id, Value::Uuid(key)));
                }
                Purpose::Data => self.default(draft, entity, id, attribute),
                Purpose::AutoNumber
                | Purpose::Version
                | Purpose::CreatedAt
                | Purpose::ChangedAt => {}
            }
        }
        for (position, navigation) in entity.navigations.iter().enumerate() {
            let id = NavigationId(position as u32);
            let Storage::Own(columns) = &navigation.storage else {
                continue;
            };
            if !navigation.required || draft.referred.contains(&id) {
                continue;
            }
            let by_attributes = columns.iter().all(|column| {
                column.attribute.is_some_and(|id| {
                    // Its own fault is told already if the value is illegal or missing.
                    draft.named.contains(&id) || entity[id].required
                })
            });
            if !by_attributes {
                let name = name_of(navigation);
                self.faults.add(
                    Code::Required,
                    &draft.location,
                    name,
                    format!(
                        "{name} must lead to a row: \"{name}@odata.bind\": \"{}(key)\"",
                        model[navigation.target].collection
                    ),
                );
            }
        }
    }

    fn default(
        &mut self,
        draft: &mut Draft<'a>,
        entity: &Entity,
        id: AttributeId,
        attribute: &Attribute,
    ) {
        let value = match &attribute.default {
            Some(Default::Value(value)) => value.clone(),
            Some(Default::Now) => match attribute.scalar_type {
                ScalarType::Date => {
                    // In range: 64 bits of microseconds are fewer than 2^31 days.
                    Value::Date(self.options.now.div_euclid(DAY) as i32)
                }
                ScalarType::Time => Value::Time(self.options.now.rem_euclid(DAY)),
                _ => Value::DateTime(self.options.now),
            },
            None if attribute.required => {
                let name = attribute.name.as_str();
                self.faults.add(
                    Code::Required,
                    &draft.location,
                    name,
                    format!("{name} of {} must have a value", entity.name),
                );
                return;
            }
            None => return,
        };
        draft.values.push((id, value));
    }

    /// The key of an existing row does not change.
    fn drop_key(&mut self, draft: &mut Draft<'a>) {
        let key = &self.model[draft.entity].key;
        draft.values.retain(|(id, _)| !key.contains(id));
    }

    /// PUT: what is not named gets its default or null.
    fn complete_put(&mut self, draft: &mut Draft<'a>) {
        let shown: HashSet<AttributeId> = self
            .columns_of_references(draft)
            .into_iter()
            .map(|(id, ..)| id)
            .collect();
        let model = self.model;
        let entity = &model[draft.entity];
        for (position, attribute) in entity.attributes.iter().enumerate() {
            let id = AttributeId(position as u32);
            let skipped = attribute.purpose != Purpose::Data
                || attribute.scalar_type == ScalarType::File
                || entity.key.contains(&id)
                || draft.named.contains(&id)
                || shown.contains(&id);
            if skipped {
                continue;
            }
            let before = draft.values.len();
            self.default(draft, entity, id, attribute);
            if draft.values.len() == before && !attribute.required {
                draft.values.push((id, Value::Null));
            }
        }
    }

    /// What comes after the row: nested rows and links.
    fn follow(&mut self, draft: &Draft<'a>, row: Target, mode: Mode, depth: usize) {
        let model = self.model;
        let entity = &model[draft.entity];
        for id in &draft.replaced {
            self.push(
                &join(&draft.location, name_of(&entity[*id])),
                Action::Unlink {
                    entity: draft.entity,
                    from: row.clone(),
                    navigation: *id,
                    to: None,
                },
            );
        }
        for (id, to) in &draft.links {
            self.push(
                &join(&draft.location, name_of(&entity[*id])),
                Action::Link {
                    entity: draft.entity,
                    from: row.clone(),
                    navigation: *id,
                    to: to.clone(),
                },
            );
        }
        for (id, list) in &draft.after {
            let navigation = &entity[*id];
            if mode != Mode::Create && navigation.contained {
                self.replace_contained(draft, *id, list, &row, mode, depth);
                continue;
            }
            for (position, nested) in list.iter().enumerate() {
                if self.stopped() {
                    return;
                }
                let place = nested_place(draft, navigation, position);
                self.insert_below(draft.entity, *id, nested, &place, &row, depth);
            }
        }
    }

    /// A new row that belongs to, or is linked with, the row of `from`.
    fn insert_below(
        &mut self,
        entity: EntityId,
        id: NavigationId,
        nested: Raw<'a>,
        place: &str,
        from: &Target,
        depth: usize,
    ) -> Option<usize> {
        let navigation = &self.model[entity][id];
        match &navigation.storage {
            Storage::Target(_) => {
                let reference = Reference {
                    navigation: navigation.partner,
                    to: Some(from.clone()),
                };
                self.insert_at(
                    navigation.target,
                    nested,
                    place,
                    vec![reference],
                    None,
                    depth + 1,
                )
            }
            Storage::Join { .. } | Storage::Own(_) => {
                let position = self.insert_at(
                    navigation.target,
                    nested,
                    place,
                    Vec::new(),
                    None,
                    depth + 1,
                )?;
                self.push(
                    place,
                    Action::Link {
                        entity,
                        from: from.clone(),
                        navigation: id,
                        to: Target::Inserted(position),
                    },
                );
                Some(position)
            }
        }
    }

    /// The array is all that the row shall contain: rows with a known key are changed or made, rows
    /// without one are made, all others go.
    fn replace_contained(
        &mut self,
        draft: &Draft<'a>,
        id: NavigationId,
        list: &[Raw<'a>],
        row: &Target,
        mode: Mode,
        depth: usize,
    ) {
        let entity = draft.entity;
        let navigation = &self.model[entity][id];
        let name = name_of(navigation);
        let retain = self.push(
            &join(&draft.location, name),
            Action::Retain {
                entity,
                from: row.clone(),
                navigation: id,
                keep: Vec::new(),
            },
        );
        let mut keep: Vec<Vec<Value>> = Vec::new();
        for (position, nested) in list.iter().enumerate() {
            if self.stopped() {
                return;
            }
            let place = nested_place(draft, navigation, position);
            let (faults, objects) = (self.faults.len(), self.objects);
            let Some(mut existing) = self.read(navigation.target, nested, &place, mode, depth + 1)
            else {
                continue;
            };
            let reference = Reference {
                navigation: navigation.partner,
                to: Some(row.clone()),
            };
            let Some(key) = self.nested_key(&existing, &reference) else {
                // Without a key it is a new row: read it as such, and judge it once.
                self.faults.truncate(faults);
                self.objects = objects;
                self.insert_below(entity, id, nested, &place, row, depth);
                continue;
            };
            if keep.contains(&key) {
                self.faults.add(
                    Code::DuplicateProperty,
                    &place,
                    "",
                    "the same row stands in the array twice",
                );
                continue;
            }
            let target = Target::Source(Source::Related {
                entity,
                from: Box::new(source_of(row)),
                navigation: id,
                key: Some(key.clone()),
            });
            // What the row would be if it were new: faults of missing values count only then, and the
            // database finds them, because the wire does not know whether it is.
            let mut update = std::mem::take(&mut existing.values);
            let key_ids = &self.model[existing.entity].key;
            update.retain(|(id, _)| !key_ids.contains(id));
            let mut insert = self.values_of_new(&existing, &update, &key, &reference);
            existing.values = update;
            existing.references.push(reference);
            if mode == Mode::Put {
                self.complete_put(&mut existing);
            }
            self.drop_columns_of_references(&mut existing);
            for (id, ..) in self.columns_of_references(&existing) {
                insert.retain(|(own, _)| *own != id);
            }
            for (id, value) in &existing.values {
                if !insert.iter().any(|(own, _)| own == id) {
                    insert.push((*id, value.clone()));
                }
            }
            self.drop_key(&mut existing);
            self.push(
                &place,
                Action::Upsert {
                    entity: existing.entity,
                    target: target.clone(),
                    insert,
                    update: std::mem::take(&mut existing.values),
                    references: std::mem::take(&mut existing.references),
                },
            );
            keep.push(key);
            self.follow(&existing, target, mode, depth + 1);
        }
        if let Some(Operation {
            action: Action::Retain { keep: place, .. },
            ..
        }) = self.operations.get_mut(retain)
        {
            *place = keep;
        }
    }

    /// The key of a nested row, when the object and its container give all of it.
    fn nested_key(&self, draft: &Draft<'a>, container: &Reference) -> Option<Vec<Value>> {
        let entity = &self.model[draft.entity];
        let given = self.columns_given_by(entity, container);
        entity
            .key
            .iter()
            .map(|id| {
                let own = draft.values.iter().find(|(own, _)| own == id);
                own.or_else(|| given.iter().find(|(own, _)| own == id))
                    .map(|(_, value)| value.clone())
            })
            .collect()
    }

    fn columns_given_by(
        &self,
        entity: &Entity,
        container: &Reference,
    ) -> Vec<(AttributeId, Value)> {
        let navigation = &entity[container.navigation];
        let Storage::Own(columns) = &navigation.storage else {
            return Vec::new();
        };
        let key = container
            .to
            .as_ref()
            .and_then(|target| self.key_of(navigation.target, target))
            .unwrap_or_default();
        columns
            .iter()
            .zip(key)
            .filter_map(|(column, value)| Some((column.attribute?, value)))
            .collect()
    }

    /// Values of an upsert's row if it is new: given ones, key, defaults.
    fn values_of_new(
        &self,
        draft: &Draft<'a>,
        given: &[(AttributeId, Value)],
        key: &[Value],
        container: &Reference,
    ) -> Vec<(AttributeId, Value)> {
        let entity = &self.model[draft.entity];
        let mut values: Vec<(AttributeId, Value)> = entity
            .key
            .iter()
            .copied()
            .zip(key.iter().cloned())
            .collect();
        values.extend(given.iter().cloned());
        let from_container = self.columns_given_by(entity, container);
        for (position, attribute) in entity.attributes.iter().enumerate() {
            let id = AttributeId(position as u32);
            let has = draft.named.contains(&id)
                || entity.key.contains(&id)
                || from_container.iter().any(|(own, _)| *own == id);
            if has || attribute.purpose != Purpose::Data {
                continue;
            }
            match (&attribute.default, attribute.scalar_type) {
                (Some(Default::Value(value)), _) => values.push((id, value.clone())),
                (Some(Default::Now), ScalarType::Date) => {
                    values.push((id, Value::Date(self.options.now.div_euclid(DAY) as i32)));
                }
                (Some(Default::Now), ScalarType::Time) => {
                    values.push((id, Value::Time(self.options.now.rem_euclid(DAY))));
                }
                (Some(Default::Now), _) => values.push((id, Value::DateTime(self.options.now))),
                (None, _) => {}
            }
        }
        values
    }
}

fn source_of(target: &Target) -> Source {
    match target {
        Target::Key(key) => Source::Key(key.clone()),
        Target::Source(source) => source.clone(),
        // Replacements start at an existing row.
        Target::Inserted(_) => Source::All,
    }
}

fn nested_place(draft: &Draft<'_>, navigation: &Navigation, position: usize) -> String {
    let place = join(&draft.location, name_of(navigation));
    if navigation.many {
        format!("{place}/{position}")
    } else {
        place
    }
}

fn name_of(navigation: &Navigation) -> &str {
    navigation.name.as_deref().unwrap_or_default()
}

fn names_of(entity: &Entity) -> impl Iterator<Item = &str> {
    let attributes = entity
        .attributes
        .iter()
        .filter(|attribute| attribute.purpose != Purpose::Version)
        .map(|attribute| attribute.name.as_str());
    let navigations = entity
        .navigations
        .iter()
        .filter_map(|navigation| navigation.name.as_deref());
    attributes.chain(navigations)
}
