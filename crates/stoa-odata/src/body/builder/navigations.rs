//! Navigations of an object: references to existing rows, and rows nested in it.

use stoa_model::change::{Reference, Target};
use stoa_model::model::{NavigationId, Storage};

use super::{Builder, Draft, Mode, name_of};
use crate::body::Raw;
use crate::body::document::{Members, Shape, elements, shape};
use crate::error::{Code, Error, join};

impl<'a> Builder<'a> {
    /// `Nav@odata.bind`.
    pub(in crate::body) fn bind(
        &mut self,
        draft: &mut Draft<'a>,
        name: &str,
        raw: Raw<'a>,
        mode: Mode,
    ) {
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
    pub(in crate::body) fn refer_once(&mut self, draft: &mut Draft<'a>, id: NavigationId) -> bool {
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
    pub(in crate::body) fn refer(
        &mut self,
        draft: &mut Draft<'a>,
        id: NavigationId,
        target: Target,
    ) {
        match self.model[draft.entity][id].storage {
            Storage::Own(_) => draft.references.push(Reference {
                navigation: id,
                to: Some(target),
            }),
            Storage::Target(_) | Storage::Join { .. } => draft.links.push((id, target)),
        }
    }

    /// Sets a to-one navigation to nothing.
    pub(in crate::body) fn clear(&mut self, draft: &mut Draft<'a>, id: NavigationId, mode: Mode) {
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
    pub(in crate::body) fn navigation(
        &mut self,
        draft: &mut Draft<'a>,
        id: NavigationId,
        raw: Raw<'a>,
        mode: Mode,
    ) {
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
    pub(in crate::body) fn collection(
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
    pub(in crate::body) fn reference_object(&self, raw: Raw<'a>) -> Option<Raw<'a>> {
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
}
