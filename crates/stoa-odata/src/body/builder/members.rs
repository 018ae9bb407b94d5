//! An object is read member by member.

use std::collections::HashSet;

use stoa_model::change::Target;
use stoa_model::expression::error::nearest;
use stoa_model::model::{Attribute, AttributeId, EntityId, Purpose};
use stoa_model::value::{ScalarType, Value};

use super::{Builder, Draft, MAXIMUM_DEPTH, Mode, example, names_of};
use crate::body::document::{Members, Shape, control_name, shape};
use crate::body::faults::shown;
use crate::body::{Raw, link, scalar};
use crate::error::{Code, Error, join};

impl<'a> Builder<'a> {
    /// Members of the object at a location; notes what is wrong with it as a whole.
    pub(in crate::body) fn members(&mut self, raw: Raw<'a>, location: &str) -> Option<Members<'a>> {
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

    pub(in crate::body) fn read(
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
    pub(in crate::body) fn actual_type(
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
            .and_then(|name| model.entities_by_name.get(name).copied())
            .filter(|found| model.is_known(*found));
        let fits = found
            .filter(|found| *found == declared || model[declared].specialisations.contains(found));
        if fits.is_none() {
            let legal = std::iter::once(declared)
                .chain(model[declared].specialisations.iter().copied())
                .filter(|id| model.is_known(*id))
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

    pub(in crate::body) fn member(
        &mut self,
        draft: &mut Draft<'a>,
        name: &str,
        raw: Raw<'a>,
        mode: Mode,
    ) {
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

    pub(in crate::body) fn unknown(&mut self, draft: &Draft<'a>, name: &str) {
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

    pub(in crate::body) fn attribute(
        &mut self,
        draft: &mut Draft<'a>,
        id: AttributeId,
        raw: Raw<'a>,
    ) {
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
    pub(in crate::body) fn value(
        &mut self,
        attribute: &Attribute,
        raw: Raw<'a>,
        location: &str,
    ) -> Option<Value> {
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

    pub(in crate::body) fn link(
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
                    "must be the URL of a row, like {}",
                    example(self.model, wanted)
                ),
            );
            return None;
        };
        match link::parse(
            self.model,
            self.options.root,
            self.options.limits,
            &url,
            wanted,
        ) {
            Ok(target) => Some(target),
            Err(message) => {
                self.faults
                    .add(Code::InvalidReference, location, member, message);
                None
            }
        }
    }
}
