//! Names of attributes and associations: declared once in an entity and all that it inherits.

use super::{Resolver, check_renames};
use crate::application::names::{NameOf, check_identifier};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::document::At;
use crate::model::{EntityId, Member};

/// Generated key.
pub(super) const ID: &str = "id";
/// Instant of the insert.
pub(super) const CREATED_AT: &str = "createdAt";
/// Instant of the last change.
pub(super) const CHANGED_AT: &str = "changedAt";

/// Most attributes, and most associations, of one entity, its base aside (databases have about 1600
/// columns in a table).
const MEMBERS: usize = 1000;

impl<'d> Resolver<'d, '_> {
    /// Declares system attributes, attributes and associations of all entities; what clashes is marked
    /// as broken.
    pub(super) fn declare_members(&mut self) {
        for id in self.ids() {
            let draft = self.drafts[id.index()];
            let entity = self.entity(id);
            if entity.base.is_none() && !entity.table.external {
                let system: &[&str] = if draft.key.is_some() {
                    &[CREATED_AT, CHANGED_AT]
                } else {
                    &[ID, CREATED_AT, CHANGED_AT]
                };
                self.members[id.index()]
                    .extend(system.iter().map(|name| ((*name).to_owned(), None)));
            }
            for attribute in &draft.attributes {
                self.declare_own(id, &attribute.about.name, NameOf::Attribute);
            }
            for association in &draft.associations {
                self.declare_own(id, &association.about.name, NameOf::Association);
            }
            if draft.attributes.len() > MEMBERS || draft.associations.len() > MEMBERS {
                let name = &draft.about.name;
                self.faults.push(
                    Diagnostic::error(
                        Code::TooMany,
                        name.span,
                        format!("{} has too many members", name.value),
                    )
                    .help(format!(
                        "at most {MEMBERS} attributes and {MEMBERS} associations are possible"
                    )),
                );
            }
            let members = &self.members[id.index()];
            let about = draft
                .attributes
                .iter()
                .map(|attribute| &attribute.about)
                .chain(
                    draft
                        .associations
                        .iter()
                        .map(|association| &association.about),
                );
            check_renames(about, |name| members.contains_key(name), self.faults);
        }
    }

    fn declare_own(&mut self, id: EntityId, name: &'d At<String>, of: NameOf) {
        check_identifier(name, of, self.faults);
        if !self.declare(id, name) {
            self.mark_broken(id, &name.value);
        }
    }

    /// Declares a name unless it is taken.
    pub(super) fn declare(&mut self, id: EntityId, name: &At<String>) -> bool {
        let owner = std::iter::once(id)
            .chain(self.ancestors(id))
            .chain(self.entity(id).specialisations.iter().copied())
            .find_map(|owner| Some((owner, *self.members[owner.index()].get(&name.value)?)));
        let Some((owner, first)) = owner else {
            self.members[id.index()].insert(name.value.clone(), Some(name.span));
            return true;
        };
        self.faults.push(taken(
            name,
            &self.entity(id).name,
            &self.entity(owner).name,
            first,
        ));
        false
    }

    pub(super) fn ancestors(&self, id: EntityId) -> impl Iterator<Item = EntityId> {
        std::iter::successors(self.entity(id).base, |base| self.entity(*base).base)
    }

    pub(super) fn mark_broken(&mut self, id: EntityId, name: &'d str) {
        self.broken_members.entry(id).or_default().insert(name);
    }

    /// Whether a member is declared in the entity itself, but cannot be used.
    pub(super) fn is_own_broken(&self, id: EntityId, name: &str) -> bool {
        self.broken_members
            .get(&id)
            .is_some_and(|names| names.contains(name))
    }

    /// Whether a member is declared in the entity or above, but cannot be used.
    pub(super) fn is_broken(&self, id: EntityId, name: &str) -> bool {
        self.rootless[id.index()]
            || std::iter::once(id)
                .chain(self.ancestors(id))
                .any(|owner| self.is_own_broken(owner, name))
    }

    /// The attribute or navigation of a name, or a fault.
    pub(super) fn find_member(&mut self, id: EntityId, name: &At<String>) -> Option<Member> {
        let entity = self.entity(id);
        if let Some(attribute) = entity.attributes_by_name.get(&name.value) {
            return Some(Member::Attribute(*attribute));
        }
        if let Some(navigation) = entity.navigations_by_name.get(&name.value) {
            return Some(Member::Navigation(*navigation));
        }
        if !self.is_broken(id, &name.value) {
            let candidates = entity
                .attributes_by_name
                .keys()
                .chain(entity.navigations_by_name.keys())
                .map(String::as_str);
            let diagnostic = unknown_member(name, &entity.name)
                .nearest(self.faults.nearest(&name.value, candidates));
            self.faults.push(diagnostic);
        }
        None
    }
}

/// A name that an entity does not have.
pub(super) fn unknown_member(name: &At<String>, entity: &str) -> Diagnostic {
    let shown: String = name.value.chars().take(60).collect();
    Diagnostic::error(
        Code::UnknownMember,
        name.span,
        format!("{entity} has no attribute or association `{shown}`"),
    )
}

fn taken(name: &At<String>, entity: &str, owner: &str, first: Option<Span>) -> Diagnostic {
    let place = if entity == owner {
        entity.to_owned()
    } else {
        format!("{owner}, in the hierarchy of {entity},")
    };
    match first {
        Some(first) => Diagnostic::error(Code::DuplicateName, name.span, format!("{place} already has `{}`", name.value))
            .label("given again here")
            .related(Some(first), "first given here"),
        None => Diagnostic::error(Code::ReservedName, name.span, format!("the name `{}` is reserved", name.value)).help(
            if name.value == ID {
                "every entity has the generated key `id`: leave it out, or say `key = [\"id\"]` to make it your own"
            } else {
                "every entity has `createdAt` and `changedAt`: leave it out, or choose another name"
            },
        ),
    }
}
